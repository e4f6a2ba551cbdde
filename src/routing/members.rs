//! Subscriptions in the order of their ids, which end in any order.
//!
//! A short list closes the place of one that has ended at once. In a long list that would move
//! megabytes for each end, so the place stays, taken by [nobody], until there are enough of them to
//! be closed together. Then an end costs a bisection, however long the list is.
//!
//! [nobody]: Member::is_nobody

use crate::limits::{ENDED_MEMBERS_FROM, ENDED_MEMBERS_PART_MAX};
use crate::queue::Queue;
use crate::routing::member::Member;
use crate::routing::tree::Leaf;
use crate::stats::SubscriptionId;
use std::ops::Deref;
use std::sync::Arc;

/// Derefs to all places, those of nobody too: the index of a place in an audience is the index of
/// the reader slot.
pub(crate) struct Members<M> {
    places: Vec<Member<M>>,
    /// Places of nobody.
    ended: usize,
}

impl<M> Members<M> {
    pub fn insert(&mut self, member: &Member<M>) {
        let index = self.places.partition_point(|other| other.id < member.id);
        if self.places.is_empty() {
            // Most patterns have one subscription, of a million.
            self.places.reserve_exact(1);
        }
        self.places.insert(index, member.clone());
    }

    /// Takes a member out, if it is there, and gives back room that has become much too large.
    pub fn remove(&mut self, id: SubscriptionId, nobody: &Arc<Queue<M>>) -> bool {
        let Ok(index) = self.places.binary_search_by_key(&id, |other| other.id) else {
            return false;
        };
        if self.places.len() < ENDED_MEMBERS_FROM {
            self.places.remove(index);
        } else {
            if self.places[index].is_nobody() {
                return false;
            }
            self.places[index] = Member { queue: nobody.clone(), id, group: None };
            self.ended += 1;
            if self.ended * ENDED_MEMBERS_PART_MAX > self.places.len() {
                // Compares pointers, which needs no look at each queue.
                self.places.retain(|member| !Arc::ptr_eq(&member.queue, nobody));
                self.ended = 0;
            }
        }
        if self.places.capacity() > 4 * self.places.len() + 16 {
            self.places.shrink_to(2 * self.places.len());
        }
        true
    }

    /// The members, without places of nobody.
    pub fn live(&self) -> impl Iterator<Item = &Member<M>> {
        self.places.iter().filter(|member| !member.is_nobody())
    }

    /// The number of members, without places of nobody.
    pub fn live_count(&self) -> usize {
        self.places.len() - self.ended
    }

    pub fn has_ended(&self) -> bool {
        self.ended > 0
    }
}

impl<M> Default for Members<M> {
    fn default() -> Self {
        Self { places: Vec::new(), ended: 0 }
    }
}

impl<M> Clone for Members<M> {
    fn clone(&self) -> Self {
        Self { places: self.places.clone(), ended: self.ended }
    }
}

impl<M> Deref for Members<M> {
    type Target = [Member<M>];

    fn deref(&self) -> &[Member<M>] {
        &self.places
    }
}

impl<M> Leaf for Members<M> {
    fn is_empty(&self) -> bool {
        // A list of nobody alone is closed up.
        self.places.is_empty()
    }
}
