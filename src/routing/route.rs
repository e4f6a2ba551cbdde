//! Routes: the queues that a topic reaches, shared by all publishers that remember the topic.
//!
//! A route is changed in place, under its lock, when a subscription that it concerns begins or
//! ends; publishers fan out under the same lock, shared among them. So a subscription that has
//! begun is served by every later publish, one that has ended is reached by none, and nobody keeps
//! a copy that could hold an ended one's memory.

use crate::busy::Busy;
use crate::limits::GROUP_SAMPLE_MAX;
use crate::log::history::History;
use crate::membership::Membership;
use crate::payload::Origin;
use crate::policy::WhenFull;
use crate::queue::Queue;
use crate::routing::bridged::Bridged;
use crate::routing::member::Member;
use crate::routing::members::Members;
use crate::routing::tree::Leaf;
use crate::stats::tally::Tally;
use crate::stats::{SubscriptionId, TopicStats};
use crate::sync::{lock, read, write};
use crate::topic::Topic;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockWriteGuard, Weak};

pub(crate) struct Route<M> {
    /// Identifies the route for segments; never zero and never used twice.
    pub id: u64,
    /// Of siblings, the first that was published to.
    pub topic: Topic,
    /// Set if the route is of all siblings of the topic that have no route of their own.
    pub siblings: Option<Siblings>,
    pub audience: RwLock<Audience<M>>,
    /// How often the audience has been changed. Written under its lock.
    changes: AtomicU64,
    /// Whether a publish does nothing but count. Written under the audience's lock.
    is_silent: AtomicBool,
    pub history: Option<History<M>>,
    pub tally: Tally,
    /// The counts of the one publisher that has claimed the route: with one writer, counting takes
    /// no locked operation.
    claimed_tally: Tally,
    claimed_by: Mutex<Option<Arc<Busy>>>,
}

/// Topics that differ in their last token alone, and that no subscription tells apart. So those
/// that are used once need not be looked up one by one.
#[derive(Default)]
pub(crate) struct Siblings {
    /// Whether some have a route of their own, or had.
    has_routes: AtomicBool,
}

impl Siblings {
    pub fn has_routes(&self) -> bool {
        self.has_routes.load(Ordering::Acquire)
    }

    pub fn note_route(&self) {
        self.has_routes.store(true, Ordering::Release);
    }
}

/// The subscriptions that get a topic's messages.
pub(crate) struct Audience<M> {
    /// Subscriptions outside queue groups, by id.
    pub singles: Members<M>,
    /// Queue groups: one member of each gets each message.
    pub groups: Vec<Group<M>>,
    /// What other systems want of it.
    pub bridges: Vec<Bridged<M>>,
    /// Changes with every change of `singles`, so that a segment knows whether its reader slots are
    /// still right.
    pub version: u64,
    /// Whether some do not want the messages of some origin.
    pub has_no_echo: bool,
    /// Whether some are lossless.
    pub has_block: bool,
    /// Whether the broker is closed.
    pub is_closed: bool,
    /// Whether the router has forgotten the route; ask it for a new one.
    pub is_retired: bool,
}

pub(crate) struct Group<M> {
    pub name: Arc<str>,
    pub members: Arc<Members<M>>,
    turn: AtomicUsize,
}

impl<M> Route<M> {
    pub fn new(
        id: u64,
        topic: Topic,
        siblings: Option<Siblings>,
        audience: Audience<M>,
        history: Option<History<M>>,
    ) -> Self {
        let route = Self {
            id,
            topic,
            siblings,
            audience: RwLock::new(audience),
            changes: AtomicU64::new(0),
            is_silent: AtomicBool::new(false),
            history,
            tally: Tally::default(),
            claimed_tally: Tally::default(),
            claimed_by: Mutex::default(),
        };
        route.change(|_| ());
        route
    }

    /// Whether nobody is to get or to keep what is published. A publish that begins after a
    /// subscription, or after the close of the broker, finds this changed.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Acquire)
    }

    /// Changes the audience.
    pub fn change(&self, change: impl FnOnce(&mut Audience<M>)) {
        let mut audience = self.lock_for_change();
        change(&mut audience);
        let is_silent = audience.is_empty() && audience.is_open() && self.history.is_none();
        self.is_silent.store(is_silent, Ordering::Release);
    }

    /// Locks the audience while no publish relies on it. The publisher that has claimed the route
    /// takes no lock: it sees that there is a change, or is waited for.
    fn lock_for_change(&self) -> RwLockWriteGuard<'_, Audience<M>> {
        loop {
            let audience = write(&self.audience);
            self.changes.fetch_add(1, Ordering::SeqCst);
            let Some(publisher) = lock(&self.claimed_by).clone() else { return audience };
            if publisher.wait_while_busy() {
                return audience;
            }
            drop(audience);
            publisher.wait_until_free();
        }
    }

    /// How often the audience has been changed. Under its lock this stands; a publisher that is
    /// busy, and has claimed the route, finds it changed before the audience is.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Makes the caller the one publisher that changes of the audience wait for, and whose counts
    /// are apart, if there is none, until it [releases](Self::release) the route.
    pub fn claim(&self, publisher: &Arc<Busy>) -> bool {
        let mut claimed_by = lock(&self.claimed_by);
        let is_free = claimed_by.is_none();
        claimed_by.get_or_insert_with(|| publisher.clone());
        is_free
    }

    pub fn release(&self) {
        *lock(&self.claimed_by) = None;
    }

    /// Counts one message that this many queues got.
    #[inline]
    pub fn count(&self, queued: u64, has_claimed: bool) {
        match has_claimed {
            true => self.claimed_tally.count_alone(queued),
            false => self.tally.count(queued),
        }
    }

    pub fn stats(&self) -> TopicStats {
        // Before the audience is locked: publishers lock in this order.
        let kept = self.history.as_ref().map_or(0, History::kept);
        let audience = read(&self.audience);
        let tally = Tally::default();
        tally.add_all(&self.tally);
        tally.add_all(&self.claimed_tally);
        TopicStats {
            topic: self.topic.clone(),
            published: tally.published(),
            subscriptions: audience.singles.live_count()
                + audience.groups.len()
                + audience.bridges.len(),
            kept,
            deliveries: tally.deliveries(),
        }
    }

    /// A publisher may remember the route for long, so it holds no queue any more.
    pub fn retire(&self) {
        self.change(|audience| {
            audience.is_retired = true;
            audience.singles = Members::default();
            audience.groups.clear();
            audience.bridges.clear();
        });
        // Whoever remembers it has to ask from now on.
        self.siblings.iter().for_each(Siblings::note_route);
    }
}

impl<M> Audience<M> {
    pub fn new(is_closed: bool) -> Self {
        Self {
            singles: Members::default(),
            groups: Vec::new(),
            bridges: Vec::new(),
            version: 0,
            has_no_echo: false,
            has_block: false,
            is_closed,
            is_retired: false,
        }
    }

    pub fn add(&mut self, new: &Member<M>) {
        if new.is_bridge() {
            if !self.bridges.iter_mut().any(|bridged| bridged.add(new)) {
                self.bridges.push(Bridged::new(new));
            }
            return;
        }
        self.has_no_echo |= new.queue.terms.no_echo.is_some();
        self.has_block |= new.queue.terms.when_full == WhenFull::Block;
        let Some(membership) = &new.group else {
            self.version += 1;
            return self.singles.insert(new);
        };
        let group = match self.groups.iter_mut().position(|group| group.name == membership.group) {
            Some(index) => &mut self.groups[index],
            None => self.groups.push_mut(Group::new(membership.group.clone())),
        };
        Arc::make_mut(&mut group.members).insert(new);
    }

    /// Takes out what a bridge wants.
    pub fn remove_bridged(&mut self, id: SubscriptionId) {
        self.bridges.retain_mut(|bridged| bridged.remove(id));
    }

    pub fn remove(
        &mut self,
        id: SubscriptionId,
        membership: Option<&Membership>,
        nobody: &Arc<Queue<M>>,
    ) {
        let Some(membership) = membership else {
            self.version += 1;
            self.singles.remove(id, nobody);
            return;
        };
        if let Some(index) = self.groups.iter().position(|group| group.name == membership.group) {
            Arc::make_mut(&mut self.groups[index].members).remove(id, nobody);
            if self.groups[index].members.is_empty() {
                self.groups.swap_remove(index);
            }
        }
    }

    /// Whether some places in it are not for what `origin` publishes.
    pub fn has_exceptions_for(&self, origin: Option<Origin>) -> bool {
        self.singles.has_ended() || self.has_no_echo && origin.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.singles.is_empty() && self.groups.is_empty() && self.bridges.is_empty()
    }

    pub fn has_singles_only(&self) -> bool {
        self.groups.is_empty() && self.bridges.is_empty()
    }

    /// Whether its route can be used and the broker publishes.
    pub fn is_open(&self) -> bool {
        !self.is_closed && !self.is_retired
    }
}

impl<M> Group<M> {
    fn new(name: Arc<str>) -> Self {
        // Groups of routes that are used once would all begin with the same member.
        static NEXT_TURN: AtomicUsize = AtomicUsize::new(0);
        let turn = NEXT_TURN.fetch_add(1, Ordering::Relaxed);
        Self { name, members: Arc::default(), turn: AtomicUsize::new(turn) }
    }

    /// The members that may get a message from `origin`: first the member of a sample that has the
    /// least queued, then all of them, starting with another one each time. Where several have the
    /// same queued, they take turns.
    pub fn in_turn(&self, origin: Option<Origin>) -> impl Iterator<Item = &Member<M>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.members.len().max(1);
        let (before, after) = self.members.split_at(first);
        let all = after.iter().chain(before);
        let is_for = move |member: &&Member<M>| member.is_for(origin);
        let apart = self.members.len().div_ceil(GROUP_SAMPLE_MAX).max(1);
        let sample = all.clone().step_by(apart).filter(is_for);
        let least = sample.min_by_key(|member| member.queue.backlog());
        least.into_iter().chain(all.filter(is_for))
    }

    /// How many messages each member gets at a time, so that all get some, in few pieces.
    pub fn share(&self, range: &Range<u32>) -> u32 {
        (range.end - range.start).div_ceil(self.members.live_count().max(1) as u32)
    }
}

/// A topic's route while anybody remembers it.
impl<M> Leaf for Weak<Route<M>> {
    fn is_empty(&self) -> bool {
        self.strong_count() == 0
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;
    use std::thread;

    /// Else a publish beside the end of a subscription could still reach it afterwards.
    #[test]
    fn a_change_waits_for_the_publisher_that_claimed_the_route() {
        let topic = Topic::parse("a").unwrap();
        let route = Route::<u8>::new(1, topic, None, Audience::new(false), None);
        let publisher = Arc::new(Busy::new());
        assert!(route.claim(&publisher) && !route.claim(&Arc::new(Busy::new())));
        let (before, is_changed) = (route.changes(), AtomicBool::new(false));
        thread::scope(|scope| {
            let busy = publisher.begin();
            scope.spawn(|| route.change(|_| is_changed.store(true, Ordering::SeqCst)));
            while route.changes() == before {
                thread::yield_now();
            }
            for _ in 0..100 {
                thread::yield_now();
                assert!(!is_changed.load(Ordering::SeqCst));
            }
            drop(busy);
        });
        assert!(is_changed.into_inner());
        route.release();
        assert!(route.claim(&publisher));
    }
}
