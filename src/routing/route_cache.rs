//! The routes a publisher remembers, so that most publishes look nothing up.

use crate::busy::Busy;
use crate::limits::{CACHED_ROUTES_MAX, SEEN_TOPICS, SIBLINGS_PAUSE_TOPICS};
use crate::routing::Router;
use crate::routing::route::Route;
use crate::topic::{ANY_ONE, ANY_REST, Topic};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

pub(crate) struct RouteCache<M> {
    /// The route of the last publish, with the topic value it was asked with.
    last: Option<Last<M>>,
    known: HashMap<Topic, Arc<Route<M>>>,
    /// Routes of siblings, by what these have in common, and the one that was used last.
    siblings: HashMap<Box<str>, Arc<Route<M>>>,
    last_siblings: Option<(Box<str>, Arc<Route<M>>)>,
    /// For how many topics not to ask for one, since siblings were told apart.
    siblings_pause: u32,
    /// Topics seen once; the second time makes a route.
    seen: Seen,
    /// The same for what siblings have in common: beside each other, one could hide the other.
    seen_stems: Seen,
}

/// Hashes of texts seen once.
#[derive(Default)]
struct Seen {
    hashes: Vec<u64>,
    hasher: RandomState,
}

impl Seen {
    /// Whether it was seen lately. From now on it was.
    fn note(&mut self, text: &str) -> bool {
        let (place, hash) = self.place(text);
        std::mem::replace(place, hash) == hash
    }

    fn forget(&mut self, text: &str) {
        let (place, hash) = self.place(text);
        if *place == hash {
            *place = 0;
        }
    }

    /// Where its hash is if it was seen, and the hash.
    fn place(&mut self, text: &str) -> (&mut u64, u64) {
        if self.hashes.is_empty() {
            self.hashes.resize(SEEN_TOPICS, 0);
        }
        let hash = self.hasher.hash_one(text) | 1;
        (&mut self.hashes[(hash >> 1) as usize & (SEEN_TOPICS - 1)], hash)
    }
}

/// The route of the last publish.
pub(crate) struct Last<M> {
    topic: Topic,
    pub route: Arc<Route<M>>,
    /// Whether this publisher has claimed the route. It tries when it publishes to it again, so
    /// that those that turn from topic to topic need not.
    claim: Option<bool>,
}

impl<M> Last<M> {
    #[inline]
    fn is_of(&self, topic: &Topic) -> bool {
        self.topic.is_same(topic) || self.topic == *topic
    }

    /// Counts one message that this many queues got.
    #[inline]
    pub fn count(&self, queued: u64) {
        self.route.count(queued, self.has_claimed());
    }

    #[inline]
    pub fn has_claimed(&self) -> bool {
        self.claim == Some(true)
    }
}

impl<M> Drop for Last<M> {
    fn drop(&mut self) {
        if self.has_claimed() {
            self.route.release();
        }
    }
}

impl<M> RouteCache<M> {
    pub fn new() -> Self {
        Self {
            last: None,
            known: HashMap::new(),
            siblings: HashMap::new(),
            last_siblings: None,
            siblings_pause: 0,
            seen: Seen::default(),
            seen_stems: Seen::default(),
        }
    }

    /// Whether the topic has a route of its own, which is then the [last](Self::last). Not if it is
    /// used for the first time, or there are too many routes.
    pub fn find(&mut self, topic: &Topic, router: &Router<M>) -> bool {
        if self.again(topic).is_some() {
            return true;
        }
        let known = self.known.get(topic).cloned();
        let Some(route) = known.or_else(|| self.learn(topic, router)) else { return false };
        self.last = None;
        self.last = Some(Last { topic: topic.clone(), route, claim: None });
        true
    }

    /// The route of the last publish, if that was to this topic.
    #[inline]
    pub fn again(&self, topic: &Topic) -> Option<&Last<M>> {
        self.last.as_ref().filter(|last| last.is_of(topic))
    }

    /// The route of the last publish, if that was to this topic. This publisher claims it, unless
    /// another has.
    #[inline]
    pub fn claim_again(&mut self, topic: &Topic, publisher: &Arc<Busy>) -> Option<&Last<M>> {
        let last = self.last.as_mut().filter(|last| last.is_of(topic))?;
        last.claim.get_or_insert_with(|| last.route.claim(publisher));
        Some(last)
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
        // Where its siblings have a route and none of them has its own, neither has this one.
        let found = match self.last_siblings_of(topic) {
            Some(route) if route.siblings.as_ref().is_some_and(|it| !it.has_routes()) => None,
            // Routes are found by the patterns that match them, in a tree that would take this
            // topic for a pattern.
            None if topic.has_wildcard() => return None,
            _ => router.find(topic),
        };
        let route = match found {
            Some(route) => route,
            None if self.seen.note(topic.as_str()) => router.make(topic)?,
            None => return None,
        };
        if self.known.len() >= CACHED_ROUTES_MAX {
            self.known.clear();
        }
        self.known.insert(topic.clone(), route.clone());
        Some(route)
    }

    /// The route of the siblings of a topic that has no route of its own, for one that is used
    /// once. None: they have none either.
    pub fn find_siblings(&mut self, topic: &Topic, router: &Router<M>) -> Option<&Arc<Route<M>>> {
        if self.last_siblings_of(topic).is_none() {
            let stem = topic.stem().filter(|_| !topic.has_wildcard())?;
            let route = match self.siblings.get(stem).cloned() {
                Some(route) => route,
                None if self.siblings_pause > 0 => {
                    self.siblings_pause -= 1;
                    return None;
                }
                None if self.seen_stems.note(stem) => self.learn_siblings(topic, stem, router)?,
                None => return None,
            };
            self.last_siblings = Some((stem.into(), route));
        }
        self.last_siblings()
    }

    /// The route of siblings that was used last, if it is this topic's.
    fn last_siblings_of(&self, topic: &Topic) -> Option<&Arc<Route<M>>> {
        let (stem, route) = self.last_siblings.as_ref()?;
        let token = topic.as_str().strip_prefix(&**stem)?;
        (!token.contains('.') && token != ANY_ONE && token != ANY_REST).then_some(route)
    }

    /// How many of these topics, from the first on, are used for the first time and have the route
    /// of siblings that is remembered [last](Self::last_siblings) from here on. They are noted as
    /// used.
    pub fn note_siblings(&mut self, topics: &[Topic], router: &Router<M>) -> usize {
        match topics.first().and_then(|first| self.find_siblings(first, router)) {
            Some(_) => topics.iter().take_while(|topic| self.is_new_sibling(topic, router)).count(),
            None => 0,
        }
    }

    fn is_new_sibling(&mut self, topic: &Topic, router: &Router<M>) -> bool {
        let Some(siblings) = self.last_siblings_of(topic).and_then(|it| it.siblings.as_ref())
        else {
            return false;
        };
        let has_own = siblings.has_routes()
            && (self.known.contains_key(topic) || router.find(topic).is_some());
        !has_own && !self.seen.note(topic.as_str())
    }

    /// The route of siblings that was used last.
    pub fn last_siblings(&self) -> Option<&Arc<Route<M>>> {
        self.last_siblings.as_ref().map(|(_, route)| route)
    }

    /// They have not been used after all.
    pub fn forget_seen(&mut self, topics: &[Topic]) {
        topics.iter().for_each(|topic| self.seen.forget(topic.as_str()));
    }

    pub fn forget_siblings(&mut self) {
        if let Some((stem, _)) = self.last_siblings.take() {
            self.siblings.remove(&stem);
        }
    }

    #[cold]
    fn learn_siblings(
        &mut self,
        topic: &Topic,
        stem: &str,
        router: &Router<M>,
    ) -> Option<Arc<Route<M>>> {
        let Some(route) = router.siblings(topic) else {
            self.siblings_pause = SIBLINGS_PAUSE_TOPICS;
            return None;
        };
        if self.siblings.len() >= CACHED_ROUTES_MAX {
            self.siblings.clear();
        }
        self.siblings.insert(stem.into(), route.clone());
        Some(route)
    }
}
