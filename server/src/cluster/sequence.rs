//! Counts gaps and duplicates between servers by numbers on messages. State without I/O or clock.
//!
//! A server numbers its own messages on each topic, whether or not anybody beyond the link wants
//! them, and receives all numbered messages of others, whether or not anybody here wants them. So a
//! missing number is a lost message.

use crate::codec::nats::Stamp;
use crate::limits::{CLUSTER_NUMBERED_TOPICS, CLUSTER_NUMBERS_BACK};
use fanfare::Topic;
use std::collections::HashMap;

/// The numbers of this server's own messages.
#[derive(Debug)]
pub(super) struct Numbers {
    run: u64,
    last: HashMap<Topic, u64>,
}

impl Numbers {
    /// Begins with a run that no other process of this name has used.
    pub fn from_run(run: u64) -> Self {
        Self { run, last: HashMap::new() }
    }

    /// Begins another run, since messages may have been published without a number.
    pub fn begin_run(&mut self) {
        self.run = self.run.wrapping_add(1);
        self.last.clear();
    }

    /// The run, and the last number on this topic, for the caller to increment.
    pub fn on(&mut self, topic: &Topic) -> (u64, &mut u64) {
        if self.last.len() >= CLUSTER_NUMBERED_TOPICS && !self.last.contains_key(topic) {
            self.begin_run();
        }
        (self.run, self.last.entry(topic.clone()).or_default())
    }
}

/// What was received from other servers.
#[derive(Debug, Default)]
pub(super) struct Book {
    senders: HashMap<Box<str>, Sender>,
    /// How many topics all senders have together.
    topics: usize,
    /// How often the link has broken, or the book was started afresh.
    breaks: u64,
}

/// One server. Those that do not number their messages count as one, whose name is empty.
#[derive(Debug)]
struct Sender {
    run: u64,
    /// Whether it has begun another run since it was first heard.
    has_lost_count: bool,
    topics: HashMap<Topic, Heard>,
}

/// What was received from a sender on one topic.
#[derive(Debug)]
struct Heard {
    last: u64,
    /// Bit n says that the message n before the last has come.
    recent: u64,
}

/// What an arriving message says about those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// None is missing before it.
    Next,
    /// This many are missing before it.
    After(u32),
    /// An unknown number may be missing before it.
    AfterUnknown,
    /// It was counted as missing, and comes after all.
    Late,
    /// It came before.
    Again,
}

impl Book {
    /// The link has broken: messages may have been missed meanwhile.
    pub fn note_break(&mut self) {
        self.breaks += 1;
    }

    /// Records a message on a topic that servers number.
    pub fn enter(&mut self, topic: &Topic, stamp: Option<Stamp<'_>>) -> Arrival {
        // For servers that do not number, each break leaves an unknown gap, as another run does.
        let unnumbered = Stamp { sender: "", run: self.breaks, number: 0 };
        let Stamp { sender: name, run, number } = stamp.unwrap_or(unnumbered);
        if self.topics >= CLUSTER_NUMBERED_TOPICS {
            *self = Self { breaks: self.breaks + 1, ..Self::default() };
        }
        if !self.senders.contains_key(name) {
            // Unnumbered messages are heard from the start, so nothing is missing before a break.
            let has_lost_count = stamp.is_none() && self.breaks > 0;
            let sender = Sender { run, has_lost_count, topics: HashMap::new() };
            self.senders.insert(name.into(), sender);
        }
        let Some(sender) = self.senders.get_mut(name) else { return Arrival::Next };
        if sender.run != run {
            self.topics -= sender.topics.len();
            (sender.run, sender.has_lost_count) = (run, true);
            sender.topics.clear();
        }
        match sender.topics.get_mut(topic) {
            Some(heard) if stamp.is_some() => heard.enter(number),
            Some(_) => Arrival::Next,
            None => {
                self.topics += 1;
                sender.topics.insert(topic.clone(), Heard { last: number, recent: 1 });
                // Number 1 says that nothing came before it in this run.
                match sender.has_lost_count || (number > 1 && self.breaks > 0) {
                    true => Arrival::AfterUnknown,
                    false => Arrival::Next,
                }
            }
        }
    }
}

impl Heard {
    fn enter(&mut self, number: u64) -> Arrival {
        let (ahead, back) = (number.saturating_sub(self.last), self.last.saturating_sub(number));
        if back > CLUSTER_NUMBERS_BACK || ahead > u64::from(u32::MAX) {
            *self = Self { last: number, recent: 1 };
            return Arrival::AfterUnknown;
        }
        if ahead > 0 {
            let shifted = self.recent.checked_shl(ahead.min(64) as u32).unwrap_or(0);
            *self = Self { last: number, recent: shifted | 1 };
            let missing = (ahead - 1) as u32;
            return if missing > 0 { Arrival::After(missing) } else { Arrival::Next };
        }
        let bit = 1_u64.checked_shl(back as u32).unwrap_or(0);
        let is_late = bit & !self.recent != 0;
        self.recent |= bit;
        if is_late { Arrival::Late } else { Arrival::Again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap()
    }

    fn enter(book: &mut Book, run: u64, number: u64) -> Arrival {
        book.enter(&topic("a"), Some(Stamp { sender: "s", run, number }))
    }

    #[test]
    fn gaps_are_counted_exactly_also_over_a_broken_link() {
        let mut book = Book::default();
        // The sender was there before us.
        assert_eq!(enter(&mut book, 1, 40), Arrival::Next);
        assert_eq!(enter(&mut book, 1, 41), Arrival::Next);
        book.note_break();
        assert_eq!(enter(&mut book, 1, 45), Arrival::After(3));
        assert_eq!(enter(&mut book, 1, 43), Arrival::Late);
        assert_eq!(enter(&mut book, 1, 43), Arrival::Again);
        assert_eq!(enter(&mut book, 1, 46), Arrival::Next);
        // Other topics and other senders have numbers of their own.
        let other = Some(Stamp { sender: "s", run: 1, number: 1 });
        assert_eq!(book.enter(&topic("b"), other), Arrival::Next);
        let other = Some(Stamp { sender: "t", run: 1, number: 9 });
        assert_eq!(book.enter(&topic("a"), other), Arrival::AfterUnknown, "first heard late");
    }

    #[test]
    fn another_run_is_a_gap_of_unknown_size_on_each_topic() {
        let mut book = Book::default();
        assert_eq!(enter(&mut book, 1, 1), Arrival::Next);
        assert_eq!(enter(&mut book, 2, 1), Arrival::AfterUnknown);
        assert_eq!(enter(&mut book, 2, 2), Arrival::Next);
        let other = Some(Stamp { sender: "s", run: 2, number: 1 });
        assert_eq!(book.enter(&topic("b"), other), Arrival::AfterUnknown);
    }

    #[test]
    fn unnumbered_messages_have_an_unknown_gap_after_each_break() {
        let mut book = Book::default();
        for expected in [Arrival::Next, Arrival::AfterUnknown, Arrival::AfterUnknown] {
            for text in ["a", "b"] {
                assert_eq!(book.enter(&topic(text), None), expected);
                assert_eq!(book.enter(&topic(text), None), Arrival::Next);
            }
            book.note_break();
        }
        let mut late = Book::default();
        late.note_break();
        assert_eq!(late.enter(&topic("a"), None), Arrival::AfterUnknown);
    }

    #[test]
    fn a_forged_number_neither_overflows_nor_lasts() {
        let mut book = Book::default();
        assert_eq!(enter(&mut book, 1, 1), Arrival::Next);
        assert_eq!(enter(&mut book, 1, u64::MAX), Arrival::AfterUnknown);
        assert_eq!(enter(&mut book, 1, 2), Arrival::AfterUnknown);
        assert_eq!(enter(&mut book, 1, 3), Arrival::Next);
    }

    #[test]
    fn both_sides_hold_a_bounded_number_of_topics() {
        let (mut numbers, mut book) = (Numbers::from_run(7), Book::default());
        for number in 0..=CLUSTER_NUMBERED_TOPICS {
            let topic = topic(&format!("t.{number}"));
            let (run, last) = numbers.on(&topic);
            *last += 1;
            let stamp = Stamp { sender: "s", run, number: *last };
            assert_eq!(run, if number < CLUSTER_NUMBERED_TOPICS { 7 } else { 8 });
            assert_eq!(book.enter(&topic, Some(stamp)), Arrival::Next);
        }
        assert_eq!((numbers.last.len(), book.topics), (1, 1));
    }

    /// The counts balance, whatever is lost, delayed a little or doubled on the way.
    #[test]
    fn received_and_missing_messages_add_up_to_those_sent() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..500 {
            let (mut numbers, mut book) = (Numbers::from_run(random.u64(..)), Book::default());
            let mut way = Vec::new();
            for sent in 0..random.usize(1..300) {
                let (run, last) = numbers.on(&topic("a"));
                *last += 1;
                let (copies, delay) = match random.u8(0..4) {
                    0 => (0, 0),
                    1 => (1, random.usize(0..20)),
                    2 => (2, random.usize(0..20)),
                    _ => (1, 0),
                };
                way.extend(vec![(sent + delay, run, *last); copies]);
            }
            way.sort_unstable();
            let Some(&(_, _, first)) = way.first() else { continue };
            // The book cannot know of messages sent before the first that came.
            way.retain(|(_, _, number)| *number >= first);
            let (mut seen, mut missing) = (HashSet::new(), 0);
            for (_, run, number) in &way {
                let arrival = enter(&mut book, *run, *number);
                assert_eq!(seen.insert(number), arrival != Arrival::Again, "seed {seed}");
                match arrival {
                    Arrival::After(count) => missing += u64::from(count),
                    Arrival::Late => missing -= 1,
                    Arrival::Next | Arrival::Again => {}
                    Arrival::AfterUnknown => panic!("seed {seed}: nothing is unknown"),
                }
            }
            let last = way.iter().map(|(.., number)| number).max().unwrap();
            assert_eq!(seen.len() as u64 + missing, last - first + 1, "seed {seed}");
        }
    }
}
