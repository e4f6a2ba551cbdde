//! A queue's place in an audience.

use crate::load::Load;
use crate::log::Segment;
use crate::log::deferred::Deferred;
use crate::membership::Membership;
use crate::payload::Origin;
use crate::queue::Queue;
use crate::stats::{NOBODY, SubscriptionId};
use crate::topic::Topic;
use std::ops::Range;
use std::sync::Arc;

/// One subscription, and the queue that its messages go to. A mailbox's queue serves many
/// subscriptions.
pub(crate) struct Member<M> {
    pub queue: Arc<Queue<M>>,
    pub id: SubscriptionId,
    pub group: Option<Arc<Membership>>,
}

impl<M> Member<M> {
    /// Whether it gets what `origin` publishes. Nobody gets nothing.
    pub fn is_for(&self, origin: Option<Origin>) -> bool {
        !self.is_nobody() && !self.queue.terms.refuses_echo_of(origin)
    }

    /// Whether it has ended and only its place is left.
    pub fn is_nobody(&self) -> bool {
        self.queue.terms.id == NOBODY
    }

    /// Whether it wants this topic, which its pattern matches.
    pub fn wants(&self, topic: &Topic) -> bool {
        self.group.as_ref().is_none_or(|membership| membership.is_for(topic))
            && self.queue.terms.wanted.bridge().is_none_or(|scope| scope.carries(topic))
    }

    /// Whether it wants every topic that its pattern matches.
    pub fn wants_all(&self) -> bool {
        self.group.as_ref().is_none_or(|membership| membership.is_for_all()) && !self.is_bridge()
    }

    /// Its queue group, if it is in one.
    pub fn group_name(&self) -> Option<&Arc<str>> {
        self.group.as_ref().map(|membership| &membership.group)
    }

    /// Whether it stands for another system's interest.
    pub fn is_bridge(&self) -> bool {
        self.queue.terms.wanted.bridge().is_some()
    }

    /// Takes room in its queue for all of `load`, and counts it against what its group may give it.
    pub fn admits(&self, load: Load) -> bool {
        if !self.spend_allowance(load.messages) {
            return false;
        }
        let is_admitted = self.queue.admits(load);
        if !is_admitted {
            self.give_back_allowance(load.messages);
        }
        is_admitted
    }

    /// [`admits`](Self::admits) for as many of the first messages of `range` as its group may give
    /// it; none if those have no room.
    pub fn admits_first_of(&self, segment: &Segment<M>, range: Range<u32>) -> Option<Range<u32>> {
        let most = range.end - range.start;
        let messages =
            self.group.as_ref().map_or(most, |membership| membership.allowance.spend_up_to(most));
        let first = range.start..range.start + messages;
        if messages == 0 || self.queue.admits(segment.load(first.clone())) {
            return (messages > 0).then_some(first);
        }
        self.give_back_allowance(messages);
        None
    }

    /// Gives back what [`admits`](Self::admits) took.
    pub fn give_back(&self, load: Load, deferred: &mut Deferred<M>) {
        self.give_back_allowance(load.messages);
        self.queue.give_back(load, deferred);
    }

    /// Whether its group may give it this many messages.
    pub fn may_be_given(&self, messages: u32) -> bool {
        self.group.as_ref().is_none_or(|membership| membership.allowance.leaves(messages))
    }

    pub fn spend_allowance(&self, messages: u32) -> bool {
        self.group.as_ref().is_none_or(|membership| membership.allowance.spend(messages))
    }

    pub fn give_back_allowance(&self, messages: u32) {
        if let Some(membership) = self.group.as_ref().filter(|_| messages > 0) {
            membership.allowance.give_back(messages);
        }
    }
}

impl<M> Clone for Member<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), id: self.id, group: self.group.clone() }
    }
}
