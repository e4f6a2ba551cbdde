//! From patterns to routes, kept right while subscriptions come and go.
//!
//! Locks are taken in this order: the router's, then histories, then audiences. A publisher that
//! holds a history or an audience never takes the router's.

pub mod bridged;
pub mod interest;
pub mod member;
pub mod members;
pub mod route;
pub mod route_cache;
pub mod tree;
mod yielding_lock;

use crate::error::SubscribeError;
use crate::limits::{ENDS_PER_TURN, HISTORY_TOPICS_MAX, MATCH_STEPS_MAX, ROUTES_MAX};
use crate::log::history::{History, KeptMessage};
use crate::log::message::Message;
use crate::queue::{Queue, Want, Wanted};
use crate::routing::interest::{InterestKey, InterestLogs};
use crate::routing::member::Member;
use crate::routing::members::Members;
use crate::routing::route::{Audience, Route, Siblings};
use crate::routing::tree::Tree;
use crate::routing::yielding_lock::YieldingLock;
use crate::stats::SubscriptionId;
use crate::sync::{lock, read};
use crate::topic::{ANY_ONE, Pattern, Topic};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

pub(crate) struct Router<M> {
    state: YieldingLock<State<M>>,
    /// The topics that keep a history, and its length; the first pattern that matches decides.
    histories: Vec<(Pattern, usize)>,
    subscriptions_max: usize,
    /// Told of every subscription that comes or goes.
    pub interest: InterestLogs,
}

struct State<M> {
    subscriptions: Tree<Members<M>>,
    /// Takes the places of ended subscriptions.
    nobody: Arc<Queue<M>>,
    count: usize,
    /// Queues of mailboxes and of closed subscriptions: the only ones that may be in no tree.
    apart: BTreeMap<SubscriptionId, Arc<Queue<M>>>,
    last_subscription: u64,
    routes: Routes<M>,
    /// Those of siblings, with `*` for the last token.
    siblings: Routes<M>,
    last_route: u64,
    /// Routes with a history, which stay even if no publisher remembers them.
    kept: HashMap<Topic, Arc<Route<M>>>,
    is_closed: bool,
}

/// Routes that publishers remember.
struct Routes<M> {
    tree: Tree<Weak<Route<M>>>,
    /// At least as many as there are: those of the last sweep, and those made since.
    count: usize,
    after_sweep: usize,
    asked_since_sweep: usize,
}

impl<M> Router<M> {
    pub fn new(histories: Vec<(Pattern, usize)>, subscriptions_max: usize) -> Self {
        let state = State {
            subscriptions: Tree::default(),
            nobody: Arc::new(Queue::nobody()),
            count: 0,
            apart: BTreeMap::new(),
            last_subscription: 0,
            routes: Routes::default(),
            siblings: Routes::default(),
            last_route: 0,
            kept: HashMap::new(),
            is_closed: false,
        };
        Self {
            state: YieldingLock::new(state),
            histories,
            subscriptions_max,
            interest: InterestLogs::default(),
        }
    }

    /// Begins a subscription: every publish that begins after this reaches it. Its queue gets the
    /// last `replay` kept messages of each topic first.
    pub fn subscribe(
        &self,
        want: Want,
        replay: usize,
        make: impl FnOnce(SubscriptionId, Want) -> Queue<M>,
    ) -> Result<Arc<Queue<M>>, SubscribeError> {
        // Outlives the lock: the last holder of a route drops what its history keeps.
        let mut routes = Vec::new();
        let mut state = self.state.write();
        let id = state.next_id(self.subscriptions_max)?;
        let asked = want.clone();
        let queue = Arc::new(make(id, want));
        let member = Member { queue: queue.clone(), id, group: asked.group.clone() };
        state.begin(&asked.pattern, &member, replay, &mut routes, |kept| queue.replay(kept));
        drop(state);
        self.interest.note([&asked]);
        Ok(queue)
    }

    /// Adds the queue of a mailbox, which wants nothing yet.
    pub fn open(
        &self,
        make: impl FnOnce(SubscriptionId) -> Queue<M>,
    ) -> Result<Arc<Queue<M>>, SubscribeError> {
        let mut state = self.state.write();
        let id = state.next_id(self.subscriptions_max)?;
        let queue = Arc::new(make(id));
        state.apart.insert(id, queue.clone());
        Ok(queue)
    }

    /// Adds a subscription to a mailbox. Returns the last `last` kept messages of each of its
    /// topics too: what is published from now on comes through the mailbox, and only that.
    pub fn add(
        &self,
        queue: &Arc<Queue<M>>,
        want: Want,
        last: usize,
    ) -> Result<(SubscriptionId, Vec<Message<M>>), SubscribeError> {
        let (mut routes, mut history) = (Vec::new(), Vec::new());
        let mut state = self.state.write();
        // Checked under the lock: the thread that ends the mailbox takes it out of the routes
        // later, under the same lock.
        let Wanted::Many(mailbox) = &queue.terms.wanted else { return Err(SubscribeError::Ended) };
        let id = state.next_id(self.subscriptions_max)?;
        if queue.is_ended() || queue.is_closing() {
            return Err(SubscribeError::Ended);
        }
        let member = Member { queue: queue.clone(), id, group: want.group.clone() };
        state.begin(&want.pattern, &member, last, &mut routes, |kept| {
            history = kept.into_iter().cloned().collect();
        });
        lock(&mailbox.wants).insert(id, want.clone());
        drop(state);
        self.interest.note([&want]);
        Ok((id, history))
    }

    /// Takes one subscription out of a mailbox. False if the mailbox has none with this id.
    pub fn remove(&self, queue: &Queue<M>, id: SubscriptionId) -> bool {
        let mut routes = Vec::new();
        let mut state = self.state.write();
        let Wanted::Many(mailbox) = &queue.terms.wanted else { return false };
        let Some(want) = lock(&mailbox.wants).remove(&id) else { return false };
        state.remove(&want.pattern, [(id, &want)], mailbox.bridge.is_some(), &mut routes);
        drop(state);
        self.interest.note([&want]);
        true
    }

    /// Moves a subscription from one mailbox to another, where it has a new id. Each publish finds
    /// it in one of the two.
    pub fn move_to(
        &self,
        (from, id): (&Queue<M>, SubscriptionId),
        to: &Arc<Queue<M>>,
    ) -> Result<SubscriptionId, SubscribeError> {
        let mut routes = Vec::new();
        let mut state = self.state.write();
        let (Wanted::Many(old), Wanted::Many(new)) = (&from.terms.wanted, &to.terms.wanted) else {
            return Err(SubscribeError::Ended);
        };
        // As in `add`.
        if to.is_ended() || to.is_closing() {
            return Err(SubscribeError::Ended);
        }
        let new_id = state.next_id(self.subscriptions_max)?;
        let want = lock(&old.wants).remove(&id).ok_or(SubscribeError::Ended)?;
        let member = Member { queue: to.clone(), id: new_id, group: want.group.clone() };
        state.replace(&want.pattern, id, &member, &mut routes);
        lock(&new.wants).insert(new_id, want);
        Ok(new_id)
    }

    /// Takes a queue out of all routes. It stays among the live ones until it is
    /// [forgotten](Self::forget). When this returns, nothing is pushed to it any more, unless it is
    /// a mailbox that has subscribed in the meantime.
    pub fn set_apart(&self, queue: &Arc<Queue<M>>) {
        let Wanted::One(want) = &queue.terms.wanted else { return self.end_subscriptions(queue) };
        let mut routes = Vec::new();
        let (mut state, id) = (self.state.write(), queue.terms.id);
        // Checked under the lock: the thread that ends it forgets it later, under the same lock.
        if queue.is_ended() {
            return;
        }
        state.remove(&want.pattern, [(id, want)], false, &mut routes);
        state.apart.insert(id, queue.clone());
        drop(state);
        self.interest.note([want]);
    }

    /// Takes the subscriptions of an ended or closed mailbox out of everything, in turns. The
    /// mailbox stays among the live queues until it is [forgotten](Self::forget).
    pub fn end_subscriptions(&self, queue: &Queue<M>) {
        let Wanted::Many(mailbox) = &queue.terms.wanted else { return };
        // Under the router's lock, so that a subscription that `add` has let in is here.
        let state = self.state.read();
        let wants = std::mem::take(&mut *lock(&mailbox.wants));
        drop(state);
        let mut wants: Vec<_> = wants.into_iter().collect();
        wants.sort_unstable_by(|(_, one), (_, other)| one.pattern.cmp(&other.pattern));
        for same in wants.chunk_by(|(_, one), (_, other)| one.pattern == other.pattern) {
            for turn in same.chunks(ENDS_PER_TURN) {
                // Outlives the lock.
                let mut routes = Vec::new();
                let ended = turn.iter().map(|(id, want)| (*id, want));
                let (pattern, is_bridge) = (&same[0].1.pattern, mailbox.bridge.is_some());
                self.state.write().remove(pattern, ended, is_bridge, &mut routes);
                self.interest.note(turn.iter().map(|(_, want)| want));
                self.state.let_others_in();
            }
        }
    }

    /// Takes an ended queue out of everything, but for what
    /// [`end_subscriptions`](Self::end_subscriptions) has taken out. When this returns, nothing is
    /// pushed to it any more.
    pub fn forget(&self, queue: &Queue<M>) {
        let mut routes = Vec::new();
        let (mut state, id) = (self.state.write(), queue.terms.id);
        let was_apart = state.apart.remove(&id).is_some();
        if let Wanted::One(want) = &queue.terms.wanted
            && !was_apart
        {
            state.remove(&want.pattern, [(id, want)], false, &mut routes);
        }
    }

    /// Tells the watchers of interest that an ended queue is forgotten. Under no lock.
    pub fn note_end(&self, queue: &Queue<M>) {
        if let Wanted::One(want) = &queue.terms.wanted {
            self.interest.note([want]);
        }
    }

    /// All subscriptions but those of bridges: each queue with what it asked for.
    pub fn interested(&self) -> Vec<(Arc<Queue<M>>, InterestKey)> {
        let mut all = Vec::new();
        self.state.read().subscriptions.visit_all(&mut |members| {
            for member in members.live().filter(|member| !member.is_bridge()) {
                let want = member.queue.terms.wanted.get(member.id);
                all.extend(want.map(|want| (member.queue.clone(), want.key())));
            }
        });
        all
    }

    /// How many subscriptions there are to exactly this pattern, in this group; those of bridges
    /// not counted.
    pub fn count_interest(&self, (pattern, group): &InterestKey) -> usize {
        let state = self.state.read();
        let is_in =
            |member: &&Member<M>| !member.is_bridge() && member.group_name() == group.as_ref();
        state.members_of(pattern).filter(is_in).count()
    }

    /// The subscriptions of this queue to exactly this pattern.
    pub fn subscriptions_to(
        &self,
        pattern: &Pattern,
        queue: &Arc<Queue<M>>,
    ) -> Vec<SubscriptionId> {
        let state = self.state.read();
        let is_here = |member: &&Member<M>| Arc::ptr_eq(&member.queue, queue);
        state.members_of(pattern).filter(is_here).map(|member| member.id).collect()
    }

    /// All interest there is, but that of bridges, with the number of subscriptions.
    pub fn all_interest(&self) -> HashMap<InterestKey, usize> {
        let mut all = HashMap::new();
        for (_, key) in self.interested() {
            *all.entry(key).or_default() += 1;
        }
        all
    }

    /// The route of a topic, if anybody has one. Topics with a history always get one.
    pub fn find(&self, topic: &Topic) -> Option<Arc<Route<M>>> {
        let found = self.state.read().route(topic);
        found.or_else(|| if self.history_of(topic) > 0 { self.make(topic) } else { None })
    }

    /// The route of a topic; makes one if there is none. None: there are [`ROUTES_MAX`], and the
    /// topic has no history.
    pub fn make(&self, topic: &Topic) -> Option<Arc<Route<M>>> {
        let history = self.history_of(topic);
        let mut forgotten = Vec::new();
        let mut state = self.state.write();
        let found = state.route(topic);
        let routes_max = ROUTES_MAX + state.kept.len();
        if found.is_some() || (!state.routes.has_room(routes_max) && history == 0) {
            return found;
        }
        state.last_route += 1;
        let kept = (history > 0).then(|| History::new(history));
        let audience = state.audience(topic);
        let route = Arc::new(Route::new(state.last_route, topic.clone(), None, audience, kept));
        if history > 0 {
            state.forget_quiet_histories(&mut forgotten);
            state.kept.insert(topic.clone(), route.clone());
        }
        state.routes.insert(topic.as_str(), &route);
        let of_siblings = siblings_path(topic).and_then(|path| state.siblings_at(&path));
        if let Some(siblings) = of_siblings.as_ref().and_then(|route| route.siblings.as_ref()) {
            siblings.note_route();
        }
        Some(route)
    }

    /// The route of a topic's siblings; makes one if there is none. None: a subscription or a
    /// history tells them apart, or there are [`ROUTES_MAX`].
    pub fn siblings(&self, topic: &Topic) -> Option<Arc<Route<M>>> {
        let path = siblings_path(topic)?;
        if self.histories.iter().any(|(pattern, _)| pattern.begins_like(topic)) {
            return None;
        }
        // Under the shared lock, which is all it takes where they are told apart.
        let found = {
            let state = self.state.read();
            state.audience_of_siblings(topic)?;
            state.siblings_at(&path)
        };
        if found.is_some() {
            return found;
        }
        let mut state = self.state.write();
        let found = state.siblings_at(&path);
        if found.is_some() || !state.siblings.has_room(ROUTES_MAX) {
            return found;
        }
        let audience = state.audience_of_siblings(topic)?;
        state.last_route += 1;
        let siblings = Siblings::default();
        if state.routes.tree.tells_siblings_apart(topic.as_str()) {
            siblings.note_route();
        }
        let (id, siblings) = (state.last_route, Some(siblings));
        let route = Arc::new(Route::new(id, topic.clone(), siblings, audience, None));
        state.siblings.insert(&path, &route);
        Some(route)
    }

    /// Shows a topic's audience without making a route, for topics that are used once.
    pub fn with_audience<R>(&self, topic: &Topic, see: impl FnOnce(&Audience<M>) -> R) -> R {
        // Subscriptions cannot end while this is held, just as with a route.
        let state = self.state.read();
        let audience = state.audience(topic);
        let result = see(&audience);
        drop(state);
        result
    }

    /// Whether any subscription wants a topic's messages.
    pub fn is_wanted(&self, topic: &Topic) -> bool {
        let is_unwanted = |members: &Members<M>| !members.live().any(|member| member.wants(topic));
        let state = self.state.read();
        !state.subscriptions.visit_matching(topic.as_str(), &mut |members| is_unwanted(members))
    }

    /// A subscription of this queue, outside queue groups, that matches `topic`. Gives up after
    /// [`MATCH_STEPS_MAX`].
    pub fn first_match(&self, queue: &Arc<Queue<M>>, topic: &Topic) -> Option<SubscriptionId> {
        let (mut steps, mut found) = (0, None);
        let state = self.state.read();
        state.subscriptions.visit_matching(topic.as_str(), &mut |members| {
            let is_its =
                |member: &&Member<M>| member.group.is_none() && Arc::ptr_eq(&member.queue, queue);
            let left = MATCH_STEPS_MAX.saturating_sub(steps);
            steps += 1 + members.len();
            found = members.iter().take(left).find(is_its).map(|member| member.id);
            found.is_none() && steps < MATCH_STEPS_MAX
        });
        found
    }

    /// The queues of those that `is_meant` picks of all that get a topic's messages; of a queue
    /// group all may.
    pub fn subscribers(
        &self,
        topic: &Topic,
        is_meant: impl Fn(&Member<M>) -> bool,
    ) -> Vec<Arc<Queue<M>>> {
        let mut queues = Vec::new();
        let state = self.state.read();
        state.subscriptions.visit_matching(topic.as_str(), &mut |members| {
            let wanting = members.live().filter(|member| member.wants(topic) && is_meant(member));
            queues.extend(wanting.map(|member| member.queue.clone()));
            true
        });
        queues
    }

    /// The last messages kept of a topic, oldest first.
    pub fn history(&self, topic: &Topic, count: usize) -> Vec<Message<M>> {
        let route = self.state.read().kept.get(topic).cloned();
        route
            .iter()
            .filter_map(|route| route.history.as_ref())
            .flat_map(|history| history.last(count))
            .collect()
    }

    /// Forgets the kept messages of a topic. Its history starts again.
    pub fn forget_history(&self, topic: &Topic) {
        let route = self.state.write().forget_kept(topic);
        // A publisher may remember the route until its next publish; what was kept goes now.
        drop(route.as_ref().and_then(|route| route.history.as_ref()).map(History::clear));
    }

    /// Forgets what is kept of all topics.
    pub fn forget_histories(&self) {
        let kept: Vec<_> = self.state.read().kept.values().cloned().collect();
        // One history after the other, under no other lock.
        for route in kept {
            drop(route.history.as_ref().map(History::clear));
        }
    }

    /// No more publishing. When this returns, no fan-out is under way. Returns the subscriptions,
    /// to be closed, each with what it had received when the broker closed.
    pub fn close(&self) -> Vec<(Arc<Queue<M>>, u64)> {
        let mut routes = Vec::new();
        let mut state = self.state.write();
        let queues =
            state.queues().into_iter().map(|queue| (queue.clone(), queue.received())).collect();
        state.is_closed = true;
        for of in [&state.routes, &state.siblings] {
            of.tree.visit_all(&mut |leaf| routes.extend(leaf.upgrade()));
        }
        for route in &routes {
            route.change(|audience| audience.is_closed = true);
        }
        queues
    }

    pub fn is_closed(&self) -> bool {
        self.state.read().is_closed
    }

    /// All live subscriptions.
    pub fn subscriptions(&self) -> Vec<Arc<Queue<M>>> {
        self.state.read().queues()
    }

    pub fn subscription_count(&self) -> usize {
        self.state.read().count
    }

    /// The routes of all topics that a publisher remembers or that keep a history.
    pub fn routes(&self) -> Vec<Arc<Route<M>>> {
        let mut routes = Vec::new();
        self.state.read().routes.tree.visit_all(&mut |leaf| routes.extend(leaf.upgrade()));
        routes
    }

    fn history_of(&self, topic: &Topic) -> usize {
        self.histories
            .iter()
            .find(|(pattern, _)| pattern.matches(topic))
            .map_or(0, |(_, messages)| *messages)
    }
}

impl<M> State<M> {
    /// The subscriptions to exactly this pattern.
    fn members_of(&self, pattern: &Pattern) -> impl Iterator<Item = &Member<M>> {
        self.subscriptions.find(pattern.as_str()).into_iter().flat_map(Members::live)
    }

    fn next_id(&mut self, subscriptions_max: usize) -> Result<SubscriptionId, SubscribeError> {
        if self.is_closed {
            return Err(SubscribeError::Closed);
        }
        if self.count + self.apart.len() >= subscriptions_max {
            return Err(SubscribeError::TooMany { max: subscriptions_max });
        }
        self.last_subscription += 1;
        Ok(SubscriptionId(self.last_subscription))
    }

    /// Puts a subscription where new routes find it, and into the routes there are. `hand_over`
    /// gets the last `last` kept messages of each of its topics in the order they were published,
    /// before anything that follows them can be delivered. `routes` outlives the lock.
    fn begin(
        &mut self,
        pattern: &Pattern,
        member: &Member<M>,
        last: usize,
        routes: &mut Vec<Arc<Route<M>>>,
        hand_over: impl FnOnce(Vec<&Message<M>>),
    ) {
        self.subscriptions.edit(pattern.as_str(), |members| members.insert(member));
        self.count += 1;
        self.find_routes(pattern, |route| member.wants(&route.topic), routes);
        // All histories at once: otherwise a publisher of two topics could see its later message
        // replayed first.
        routes.sort_unstable_by_key(|route| route.id);
        let histories =
            routes.iter().filter(|_| last > 0).filter_map(|route| route.history.as_ref());
        let histories: Vec<_> = histories.map(History::lock).collect();
        if !histories.is_empty() {
            let is_wanted =
                |kept: &&KeptMessage<M>| !member.queue.terms.refuses_echo_of(kept.origin);
            let newest =
                histories.iter().flat_map(|kept| kept.newest_first().filter(is_wanted).take(last));
            let mut kept: Vec<_> = newest.collect();
            kept.sort_unstable_by_key(|kept| kept.stamp);
            hand_over(kept.into_iter().map(|kept| &kept.message).collect());
        }
        for route in routes.iter() {
            route.change(|audience| audience.add(member));
        }
    }

    /// Ends subscriptions to one pattern. `routes` outlives the lock.
    fn remove<'a>(
        &mut self,
        pattern: &Pattern,
        ended: impl IntoIterator<Item = (SubscriptionId, &'a Want)> + Clone,
        is_bridge: bool,
        routes: &mut Vec<Arc<Route<M>>>,
    ) {
        let Self { subscriptions, nobody, count, .. } = self;
        subscriptions.edit(pattern.as_str(), |members| {
            for (id, _) in ended.clone() {
                *count -= usize::from(members.remove(id, nobody));
            }
        });
        self.find_routes(pattern, |_| true, routes);
        let nobody = &self.nobody;
        for route in routes {
            route.change(|audience| {
                for (id, want) in ended.clone() {
                    match is_bridge {
                        true => audience.remove_bridged(id),
                        false => audience.remove(id, want.group.as_deref(), nobody),
                    }
                }
            });
        }
    }

    /// Puts a subscription in the place of another that wants the same. `routes` outlives the lock.
    fn replace(
        &mut self,
        pattern: &Pattern,
        id: SubscriptionId,
        member: &Member<M>,
        routes: &mut Vec<Arc<Route<M>>>,
    ) {
        let Self { subscriptions, nobody, .. } = self;
        subscriptions.edit(pattern.as_str(), |members| {
            members.remove(id, nobody);
            members.insert(member);
        });
        self.find_routes(pattern, |route| member.wants(&route.topic), routes);
        let nobody = &self.nobody;
        for route in routes {
            // In one change, so that no publish finds neither of them, or both.
            route.change(|audience| {
                audience.remove(id, member.group.as_deref(), nobody);
                audience.add(member);
            });
        }
    }

    fn route(&self, topic: &Topic) -> Option<Arc<Route<M>>> {
        self.routes.tree.get(topic.as_str()).and_then(Weak::upgrade)
    }

    /// The route of siblings, if there is one that can be used.
    fn siblings_at(&self, path: &str) -> Option<Arc<Route<M>>> {
        let route = self.siblings.tree.find(path).and_then(Weak::upgrade)?;
        let is_retired = read(&route.audience).is_retired;
        (!is_retired).then_some(route)
    }

    /// The routes that a change of subscriptions to `pattern` concerns. Those of siblings it
    /// retires, since it may tell them apart.
    fn find_routes(
        &self,
        pattern: &Pattern,
        is_concerned: impl Fn(&Route<M>) -> bool,
        routes: &mut Vec<Arc<Route<M>>>,
    ) {
        self.routes.tree.visit_matched(pattern.as_str(), &mut |leaf| {
            routes.extend(leaf.upgrade().filter(|route| is_concerned(route)));
        });
        self.siblings.tree.visit_matched(pattern.as_str(), &mut |leaf| {
            leaf.upgrade().iter().for_each(|route| route.retire());
        });
    }

    /// The audience that all siblings of `topic` have. None: a subscription tells them apart.
    fn audience_of_siblings(&self, topic: &Topic) -> Option<Audience<M>> {
        let (all, topic_text) = (&self.subscriptions, topic.as_str());
        let are_one = !all.tells_siblings_apart(topic_text)
            && all.visit_matching(topic_text, &mut |found| found.live().all(Member::wants_all));
        are_one.then(|| self.audience(topic))
    }

    fn audience(&self, topic: &Topic) -> Audience<M> {
        let mut members = Vec::new();
        self.subscriptions.visit_matching(topic.as_str(), &mut |found| {
            members.extend(found.live().filter(|member| member.wants(topic)));
            true
        });
        // In order, so that each is added at the end.
        members.sort_unstable_by_key(|member| member.id);
        let mut audience = Audience::new(self.is_closed);
        members.into_iter().for_each(|member| audience.add(member));
        audience
    }

    fn queues(&self) -> Vec<Arc<Queue<M>>> {
        let mut queues: Vec<_> = self.apart.values().cloned().collect();
        self.subscriptions.visit_all(&mut |found| {
            let own =
                found.live().filter(|member| matches!(member.queue.terms.wanted, Wanted::One(_)));
            queues.extend(own.map(|member| member.queue.clone()));
        });
        queues.sort_unstable_by_key(|queue| queue.terms.id);
        queues
    }

    /// At the bound, forgets the sixteenth of the topics that has been quiet for longest, so that
    /// the bound is not hit again soon.
    fn forget_quiet_histories(&mut self, forgotten: &mut Vec<VecDeque<KeptMessage<M>>>) {
        if self.kept.len() < HISTORY_TOPICS_MAX {
            return;
        }
        let stamp = |route: &Route<M>| route.history.as_ref().map_or(0, History::last_stamp);
        let mut by_stamp: Vec<_> =
            self.kept.values().map(|route| (stamp(route), route.topic.clone())).collect();
        by_stamp.sort_unstable();
        for (_, topic) in by_stamp.into_iter().take(HISTORY_TOPICS_MAX / 16) {
            let route = self.forget_kept(&topic);
            forgotten.extend(route.and_then(|route| route.history.as_ref().map(History::clear)));
        }
    }

    /// Takes out the route of a topic with a history.
    fn forget_kept(&mut self, topic: &Topic) -> Option<Arc<Route<M>>> {
        let route = self.kept.remove(topic)?;
        route.retire();
        self.routes.tree.edit(topic.as_str(), |leaf| *leaf = Weak::new());
        Some(route)
    }
}

impl<M> Routes<M> {
    fn insert(&mut self, path: &str, route: &Arc<Route<M>>) {
        self.count += 1;
        self.tree.edit(path, |leaf| *leaf = Arc::downgrade(route));
    }

    /// Whether there may be one more. A route that nobody remembers leaves its nodes behind. They
    /// are swept up after as many requests for a new route as there were routes.
    fn has_room(&mut self, routes_max: usize) -> bool {
        const SWEEP_AFTER: usize = 1024;
        self.asked_since_sweep += 1;
        if self.asked_since_sweep > self.after_sweep.max(SWEEP_AFTER) {
            self.tree.sweep();
            self.asked_since_sweep = 0;
            let mut count = 0;
            self.tree.visit_all(&mut |leaf| count += usize::from(leaf.strong_count() > 0));
            self.after_sweep = count;
            self.count = count;
        }
        self.count < routes_max
    }
}

impl<M> Default for Routes<M> {
    fn default() -> Self {
        Self { tree: Tree::default(), count: 0, after_sweep: 0, asked_since_sweep: 0 }
    }
}

/// The path at which the route of a topic's siblings is.
fn siblings_path(topic: &Topic) -> Option<String> {
    topic.stem().map(|stem| format!("{stem}{ANY_ONE}"))
}
