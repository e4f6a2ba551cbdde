//! A queue's place in an audience.

use std::ops::Deref;
use std::sync::Arc;

use super::Origin;
use super::queue::Queue;
use super::stats::SubscriptionId;

/// One subscription, and the queue that its messages go to. A mailbox's queue serves many subscriptions.
pub(super) struct Member<M> {
    pub queue: Arc<Queue<M>>,
    pub id: SubscriptionId,
    pub group: Option<Arc<str>>,
}

impl<M> Member<M> {
    pub fn is_for(&self, origin: Option<Origin>) -> bool {
        !self.queue.terms.refuses_echo_of(origin)
    }
}

impl<M> Clone for Member<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), id: self.id, group: self.group.clone() }
    }
}

impl<M> Deref for Member<M> {
    type Target = Queue<M>;

    fn deref(&self) -> &Queue<M> {
        &self.queue
    }
}

/// Keeps the order by id.
pub(super) fn insert<M>(members: &mut Vec<Member<M>>, member: &Member<M>) {
    let place = members.partition_point(|other| other.id < member.id);
    if members.is_empty() {
        // Most patterns have one subscription, of a million.
        members.reserve_exact(1);
    }
    members.insert(place, member.clone());
}

/// Takes a member out, if it is there, and gives back room that has become much too large.
pub(super) fn remove<M>(members: &mut Vec<Member<M>>, id: SubscriptionId) -> bool {
    let Ok(place) = members.binary_search_by_key(&id, |other| other.id) else { return false };
    members.remove(place);
    if members.capacity() > 4 * members.len() + 16 {
        members.shrink_to(2 * members.len());
    }
    true
}
