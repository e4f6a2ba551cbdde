//! A bridge's place in an audience: what the other system wants of a topic.

use crate::queue::entries::Named;
use crate::routing::member::Member;
use crate::stats::SubscriptionId;
use std::sync::Arc;

/// One bridge. It gets each message once, however many of the other system's subscriptions match.
pub(crate) struct Bridged<M> {
    /// Without a group: messages are queued for this one.
    pub member: Member<M>,
    /// The other system's interest, and the queue group of each, if any.
    interest: Vec<(SubscriptionId, Option<Arc<str>>)>,
}

impl<M> Bridged<M> {
    pub fn new(first: &Member<M>) -> Self {
        let member = Member { group: None, ..first.clone() };
        Self { member, interest: vec![entry(first)] }
    }

    /// Whether `other` is of the same bridge. Then it is added.
    pub fn add(&mut self, other: &Member<M>) -> bool {
        let is_same = Arc::ptr_eq(&self.member.queue, &other.queue);
        if is_same {
            self.interest.push(entry(other));
        }
        is_same
    }

    /// False once nothing is wanted any more.
    pub fn remove(&mut self, id: SubscriptionId) -> bool {
        self.interest.retain(|(other, _)| *other != id);
        !self.interest.is_empty()
    }

    /// Whether somebody over there gets the messages whatever groups are named.
    pub fn is_plain(&self) -> bool {
        self.interest.iter().any(|(_, group)| group.is_none())
    }

    /// Whether the group has members over there.
    pub fn wants_group(&self, name: &str) -> bool {
        self.groups().any(|group| **group == *name)
    }

    /// The group over there, if it may take over what its local members have no room for.
    pub fn takes_over(&self, group: &str) -> Option<&Arc<str>> {
        let scope = self.member.queue.terms.wanted.bridge()?;
        self.groups().find(|name| scope.takes_over && ***name == *group)
    }

    /// The groups over there that `is_theirs` leaves to them, each once.
    pub fn named(&self, is_theirs: impl Fn(&str) -> bool) -> Option<Named> {
        let mut named: Vec<Arc<str>> = Vec::new();
        for group in self.groups().filter(|group| is_theirs(group)) {
            if !named.contains(group) {
                named.push(group.clone());
            }
        }
        (!named.is_empty()).then(|| Arc::new(named))
    }

    fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.interest.iter().filter_map(|(_, group)| group.as_ref())
    }
}

fn entry<M>(member: &Member<M>) -> (SubscriptionId, Option<Arc<str>>) {
    (member.id, member.group_name().cloned())
}
