//! The routes a publisher remembers, so that most publishes look nothing up.

use crate::limits::{CACHED_ROUTES_MAX, SEEN_TOPICS};
use crate::routing::Router;
use crate::routing::route::Route;
use crate::topic::Topic;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

pub(crate) struct RouteCache<M> {
    /// The route of the last publish, with the topic value it was asked with.
    last: Option<Last<M>>,
    known: HashMap<Topic, Arc<Route<M>>>,
    /// Hashes of topics seen once; the second time makes a route.
    seen: Vec<u64>,
    hasher: RandomState,
}

/// The route of the last publish.
pub(crate) struct Last<M> {
    topic: Topic,
    pub route: Arc<Route<M>>,
    /// Whether this publisher counts for the route alone.
    has_claimed: bool,
}

impl<M> Last<M> {
    /// Counts one message that this many queues got.
    #[inline]
    pub fn count(&self, queued: u64) {
        self.route.count(queued, self.has_claimed);
    }
}

impl<M> Drop for Last<M> {
    fn drop(&mut self) {
        if self.has_claimed {
            self.route.release();
        }
    }
}

impl<M> RouteCache<M> {
    pub fn new() -> Self {
        Self { last: None, known: HashMap::new(), seen: Vec::new(), hasher: RandomState::new() }
    }

    /// None: the topic is used for the first time, or there are too many routes.
    pub fn find(&mut self, topic: &Topic, router: &Router<M>) -> Option<&Arc<Route<M>>> {
        if self.again(topic).is_none() {
            let route = match self.known.get(topic) {
                Some(route) => route.clone(),
                None => self.learn(topic, router)?,
            };
            self.last = None;
            let has_claimed = route.claim();
            self.last = Some(Last { topic: topic.clone(), route, has_claimed });
        }
        self.last.as_ref().map(|last| &last.route)
    }

    /// The route of the last publish, if that was to this topic.
    #[inline]
    pub fn again(&self, topic: &Topic) -> Option<&Last<M>> {
        self.last.as_ref().filter(|last| last.topic.is_same(topic) || last.topic == *topic)
    }

    /// The route of the last publish.
    #[inline]
    pub fn last(&self) -> Option<&Last<M>> {
        self.last.as_ref()
    }

    pub fn forget(&mut self, topic: &Topic) {
        self.last = None;
        self.known.remove(topic);
    }

    #[cold]
    fn learn(&mut self, topic: &Topic, router: &Router<M>) -> Option<Arc<Route<M>>> {
        if topic.has_wildcard() {
            // Routes are found by the patterns that match them, in a tree that would take this
            // topic for a pattern.
            return None;
        }
        let route = match router.find(topic) {
            Some(route) => route,
            None if self.was_seen(topic) => router.make(topic)?,
            None => return None,
        };
        if self.known.len() >= CACHED_ROUTES_MAX {
            self.known.clear();
        }
        self.known.insert(topic.clone(), route.clone());
        Some(route)
    }

    fn was_seen(&mut self, topic: &Topic) -> bool {
        if self.seen.is_empty() {
            self.seen.resize(SEEN_TOPICS, 0);
        }
        let hash = self.hasher.hash_one(topic) | 1;
        let index = &mut self.seen[(hash >> 1) as usize & (SEEN_TOPICS - 1)];
        std::mem::replace(index, hash) == hash
    }
}
