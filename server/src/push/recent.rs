//! The numbers of the last pushes, so that a client that returns is told how many it missed.

use crate::limits::PUSH_NUMBERS_REMEMBERED;
use crate::message::PushHeader;
use fanfare::Topic;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// Remembers pushes in the order of their numbers, whether or not they are still kept.
#[derive(Default)]
pub(super) struct Recent {
    pushes: VecDeque<Remembered>,
    /// Earlier pushes, of any topic.
    unknown: Unknown,
    /// Pushes that an earlier server forgot, by the fingerprints of their topics.
    unknown_of: HashMap<u64, Unknown>,
    fingerprints: RandomState,
}

struct Remembered {
    number: u64,
    expires_ms: u64,
    topic: u64,
}

/// Pushes up to a number, none of which anybody wants from this time on.
#[derive(Clone, Copy, Debug, Default)]
struct Unknown {
    number: u64,
    until_ms: u64,
}

impl Recent {
    /// Adds a push, if it is for clients that are away at all.
    pub fn add(&mut self, topic: &Topic, header: &PushHeader) {
        let (Some(expires_ms), number) = (header.expires_ms, header.number) else { return };
        if self.pushes.len() >= PUSH_NUMBERS_REMEMBERED
            && let Some(oldest) = self.pushes.pop_front()
        {
            self.forget_before(oldest.number, oldest.expires_ms);
        }
        let topic = self.fingerprints.hash_one(topic);
        self.pushes.push_back(Remembered { number, expires_ms, topic });
    }

    /// Nothing is known of pushes up to `number`, all of which expire by then.
    pub fn forget_before(&mut self, number: u64, until_ms: u64) {
        self.unknown.add(number, until_ms);
    }

    /// Some pushes to a topic up to `number`, which expire by then, are no longer kept.
    pub fn forget(&mut self, topic: &Topic, number: u64, until_ms: u64) {
        let topic = self.fingerprints.hash_one(topic);
        match self.unknown_of.len() < PUSH_NUMBERS_REMEMBERED {
            true => self.unknown_of.entry(topic).or_default().add(number, until_ms),
            false => self.forget_before(number, until_ms),
        }
    }

    /// How many pushes to these topics came after `seen`, apart from those whose numbers are in
    /// `kept`. `None`: nobody knows. A client that has seen nothing has missed what is known.
    pub fn missed(
        &self,
        topics: &[Topic],
        seen: u64,
        kept: impl Iterator<Item = u64>,
        now_ms: u64,
    ) -> Option<u64> {
        let topics: Vec<u64> =
            topics.iter().map(|topic| self.fingerprints.hash_one(topic)).collect();
        let mut unknown = topics.iter().filter_map(|topic| self.unknown_of.get(topic));
        let hides = |unknown: &Unknown| seen < unknown.number && now_ms < unknown.until_ms;
        if seen > 0 && (hides(&self.unknown) || unknown.any(hides)) {
            return None;
        }
        let from = seen.max(self.unknown.number);
        let first = self.pushes.partition_point(|push| push.number <= from);
        let came = self.pushes.range(first..).filter(|push| topics.contains(&push.topic)).count();
        Some(came.saturating_sub(kept.filter(|number| *number > from).count()) as u64)
    }
}

impl Unknown {
    fn add(&mut self, number: u64, until_ms: u64) {
        self.number = self.number.max(number);
        self.until_ms = self.until_ms.max(until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::empty;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    fn add(recent: &mut Recent, name: &str, number: u64, expires_ms: Option<u64>) {
        let id = Box::default();
        recent.add(&topic(name), &PushHeader { number, expires_ms, wants_ack: false, id });
    }

    #[test]
    fn one_misses_what_came_to_its_topics_and_is_not_kept() {
        let mut recent = Recent::default();
        for (number, name) in [(1, "a"), (2, "b"), (3, "a"), (5, "a"), (8, "c")] {
            add(&mut recent, name, number, Some(100));
        }
        add(&mut recent, "a", 9, None);
        let both = [topic("a"), topic("b")];
        for (seen, kept, missed) in
            [(0, vec![], 4), (0, vec![5], 3), (1, vec![], 3), (3, vec![1, 5], 0), (9, vec![], 0)]
        {
            let told = recent.missed(&both, seen, kept.iter().copied(), 10);
            assert_eq!(told, Some(missed), "{seen} {kept:?}");
        }
    }

    #[test]
    fn nobody_knows_what_is_forgotten_until_it_would_have_expired() {
        let mut recent = Recent::default();
        let a = [topic("a")];
        for number in 1..=PUSH_NUMBERS_REMEMBERED as u64 + 3 {
            add(&mut recent, "a", number, Some(100 + number));
        }
        let missed = |seen, now_ms| recent.missed(&a, seen, empty(), now_ms);
        let known = Some(PUSH_NUMBERS_REMEMBERED as u64);
        assert_eq!((missed(2, 50), missed(3, 50), missed(2, 103)), (None, known, known));
        assert_eq!(missed(0, 50), known);

        let mut recent = Recent::default();
        recent.forget(&a[0], 7, 100);
        let missed = |name, seen, now_ms| recent.missed(&[topic(name)], seen, empty(), now_ms);
        assert_eq!((missed("a", 6, 50), missed("a", 6, 100)), (None, Some(0)));
        assert_eq!((missed("a", 7, 50), missed("b", 6, 50)), (Some(0), Some(0)));
    }
}
