//! The last events, in a ring. An event that repeats one of the last few is folded into it: a
//! crowd, a flood, or a subscriber that keeps losing messages is one entry with a count.

use super::ended::Ended;
use crate::counted::counted;
use crate::limits::{
    DIAGNOSTIC_TEXT_BYTES, JOURNAL_EVENTS, JOURNAL_FOLD_MS, JOURNAL_FOLDED_EVENTS, LOGGED_EVENTS,
    LOGGED_EVENTS_MS,
};
use crate::locks::lock;
use crate::tasks;
use log::Level;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// An event.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A front-end listens.
    Listening {
        /// The front-end.
        front_end: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The server refuses new connections, and sends its clients elsewhere.
    LameDuck,
    /// The server begins to stop, and refuses new connections.
    Stopping,
    /// A connection began.
    Connected {
        /// The front-end.
        front_end: &'static str,
        /// The peer's address.
        peer: SocketAddr,
    },
    /// A connection was refused.
    Refused {
        /// The front-end.
        front_end: &'static str,
        /// The peer's address.
        peer: SocketAddr,
        /// The reason.
        reason: &'e str,
    },
    /// A connection ended.
    Ended {
        /// The front-end.
        front_end: &'static str,
        /// The peer's address.
        peer: SocketAddr,
        /// The reason. Time-outs have their own kind in the journal.
        reason: Ended,
    },
    /// A publish did not reach everybody.
    Dropped {
        /// The front-end through which it came.
        front_end: &'static str,
        /// The message's topic.
        topic: &'e str,
        /// The number of deliveries given up.
        messages: u64,
    },
    /// Deliveries were lost, and the front-end has more to say of them than their topic.
    Lost {
        /// The front-end through which they came.
        front_end: &'static str,
        /// Their outcome, in one word.
        kind: &'static str,
        /// The target.
        whom: &'e str,
        /// The messages, in words.
        what: &'e str,
        /// The number of deliveries.
        messages: u64,
    },
    /// An act of moderation, or of an account's owner.
    Acted {
        /// The front-end.
        front_end: &'static str,
        /// The kind of event, in a word or two.
        kind: &'static str,
        /// The person or room it is about.
        about: &'e str,
        /// The actor and the reason.
        what: &'e str,
    },
    /// A warning.
    Warned {
        /// The part of the server that warns.
        by: &'static str,
        /// The warning, in one sentence without figures so that it can be folded.
        what: &'e str,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The entry's number, from 1. Missing numbers were forgotten.
    pub number: u64,
    /// When it happened first.
    pub first_at: SystemTime,
    /// When it happened last.
    pub last_at: SystemTime,
    /// How often it happened.
    pub times: u64,
    /// `listening`, `lame duck`, `stopping`, `connected`, `refused`, `ended`, `timed out`, `shed`,
    /// `dropped`, `warned`, or a front-end's own.
    pub kind: &'static str,
    /// The front-end; empty for the server's own events.
    pub front_end: &'static str,
    /// The event's object: the peer's address, or a topic.
    pub about: String,
    /// The peer's port the last time.
    pub port: Option<u16>,
    /// The reason; empty where the kind says it all.
    pub reason: String,
    /// Messages in all, where the event has to do with messages.
    pub messages: u64,
}

/// The last events, in a ring. Noting one takes a lock for less than a microsecond.
#[derive(Debug, Default)]
pub struct Journal {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<JournalEntry>,
    last_number: u64,
    logged: Logged,
}

/// The events that were logged since this window began.
#[derive(Debug, Default)]
struct Logged {
    since: Option<SystemTime>,
    events: u32,
}

impl Journal {
    /// An empty journal, which takes memory as events come.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that something happened just now, and logs it unless it repeats an older entry or too
    /// much was logged lately. Returns the number of the entry, or of the older one that this
    /// repeats.
    pub fn note(&self, event: Event<'_>) -> u64 {
        self.note_at(event, SystemTime::now())
    }

    /// Notes that an entry's event happened once more, with this many messages. False if the entry
    /// is forgotten.
    pub fn add(&self, number: u64, messages: u64) -> bool {
        let mut ring = lock(&self.ring);
        // Numbers follow each other without a gap.
        let first = ring.entries.front().map_or(0, |entry| entry.number);
        let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| ring.entries.get_mut(index)) else { return false };
        entry.times += 1;
        entry.messages += messages;
        entry.last_at = SystemTime::now();
        true
    }

    fn note_at(&self, event: Event<'_>, now: SystemTime) -> u64 {
        let line = Line::of(&event);
        let mut ring = lock(&self.ring);
        let latest = ring.entries.iter_mut().rev().take(JOURNAL_FOLDED_EVENTS);
        if let Some(entry) = latest.into_iter().find(|entry| line.repeats(entry, now)) {
            entry.times += 1;
            entry.messages += line.messages;
            entry.last_at = now;
            entry.port = line.port;
            return entry.number;
        }
        ring.last_number += 1;
        let number = ring.last_number;
        // The oldest makes room first, so that the ring never grows beyond its bound.
        let forgotten = (ring.entries.len() >= JOURNAL_EVENTS).then(|| ring.entries.pop_front());
        ring.entries.push_back(line.entry(number, now));
        let logged = event.level().map(|level| (level, ring.logged.count(now)));
        drop(ring);
        drop(forgotten);
        match logged {
            Some((level, events)) if events <= LOGGED_EVENTS => match tasks::current() {
                Some(task) => log::log!(level, task:% = task; "{event}"),
                None => log::log!(level, "{event}"),
            },
            Some((_, events)) if events == LOGGED_EVENTS + 1 => log::warn!(
                "more happens than is logged: for up to {} s further events are in /journal alone",
                LOGGED_EVENTS_MS / 1_000
            ),
            _ => {}
        }
        number
    }

    /// The number of the newest entry; 0 if nothing has happened.
    pub fn last_number(&self) -> u64 {
        lock(&self.ring).last_number
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        lock(&self.ring).entries.len()
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries, newest first: `limit` of them after the first `offset`.
    pub fn newest(&self, offset: usize, limit: usize) -> Vec<JournalEntry> {
        lock(&self.ring).entries.iter().rev().skip(offset).take(limit).cloned().collect()
    }
}

impl Logged {
    /// Counts an event. Returns the number of events in this window.
    fn count(&mut self, now: SystemTime) -> u32 {
        let length = Duration::from_millis(LOGGED_EVENTS_MS);
        let is_over = |since: SystemTime| now.duration_since(since).is_ok_and(|age| age >= length);
        if self.since.is_none_or(is_over) {
            *self = Self { since: Some(now), events: 0 };
        }
        self.events = self.events.saturating_add(1);
        self.events
    }
}

impl Event<'_> {
    /// The event's log level; `None` if it is logged elsewhere.
    fn level(&self) -> Option<Level> {
        match self {
            Self::Stopping | Self::LameDuck => None,
            Self::Listening { .. } | Self::Connected { .. } | Self::Acted { .. } => {
                Some(Level::Info)
            }
            Self::Ended { reason, .. } if reason.is_ordinary() => Some(Level::Info),
            _ => Some(Level::Warn),
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { front_end, address } => {
                write!(out, "{front_end}: listening on {address}")
            }
            Self::LameDuck => out.write_str("lame duck"),
            Self::Stopping => out.write_str("stopping"),
            Self::Connected { front_end, peer } => write!(out, "{front_end}: {peer} connected"),
            Self::Refused { front_end, peer, reason } => {
                write!(out, "{front_end}: refused {peer}: {reason}")
            }
            Self::Ended { front_end, peer, reason } => {
                write!(out, "{front_end}: {peer} ended: {reason}")
            }
            Self::Dropped { front_end, topic, messages } => {
                let deliveries = counted(messages, "delivery");
                write!(out, "{front_end}: dropped {deliveries} on {}", cut(topic))
            }
            Self::Lost { front_end, kind, whom, what, messages } => {
                let (whom, what) = (cut(whom), cut(what));
                let deliveries = counted(messages, "delivery");
                write!(out, "{front_end}: {kind}: {deliveries} for {whom} {what}")
            }
            Self::Acted { front_end, kind, about, what } => {
                write!(out, "{front_end}: {} {kind}: {}", cut(about), cut(what))
            }
            Self::Warned { by, what } => write!(out, "{by}: {}", cut(what)),
        }
    }
}

/// An event taken apart, without having copied anything yet: most events repeat another.
struct Line<'e> {
    kind: &'static str,
    front_end: &'static str,
    about: About<'e>,
    port: Option<u16>,
    reason: &'e str,
    messages: u64,
}

enum About<'e> {
    Peer(SocketAddr),
    Text(&'e str),
}

impl<'e> Line<'e> {
    fn of(event: &Event<'e>) -> Self {
        let line = |kind, front_end, about, reason| Line {
            kind,
            front_end,
            about,
            port: None,
            reason,
            messages: 0,
        };
        let of_peer = |kind, front_end, peer: &SocketAddr, reason| Line {
            port: Some(peer.port()),
            ..line(kind, front_end, About::Peer(*peer), reason)
        };
        match event {
            Event::Listening { front_end, address } => of_peer("listening", front_end, address, ""),
            Event::LameDuck => line("lame duck", "", About::Text(""), ""),
            Event::Stopping => line("stopping", "", About::Text(""), ""),
            Event::Connected { front_end, peer } => of_peer("connected", front_end, peer, ""),
            Event::Refused { front_end, peer, reason } => {
                of_peer("refused", front_end, peer, reason)
            }
            Event::Ended { front_end, peer, reason } => {
                let kind = match reason {
                    Ended::Shed => "shed",
                    reason if reason.is_time_out() => "timed out",
                    _ => "ended",
                };
                of_peer(kind, front_end, peer, reason.as_str())
            }
            Event::Dropped { front_end, topic, messages } => Line {
                messages: *messages,
                ..line("dropped", front_end, About::Text(cut(topic)), "")
            },
            Event::Lost { front_end, kind, whom, what, messages } => Line {
                messages: *messages,
                ..line(kind, front_end, About::Text(cut(whom)), cut(what))
            },
            Event::Acted { front_end, kind, about, what } => {
                line(kind, front_end, About::Text(cut(about)), cut(what))
            }
            Event::Warned { by, what } => line("warned", by, About::Text(""), cut(what)),
        }
    }

    fn repeats(&self, entry: &JournalEntry, now: SystemTime) -> bool {
        self.kind == entry.kind
            && self.front_end == entry.front_end
            && self.reason == entry.reason
            && self.about.is(&entry.about)
            && now.duration_since(entry.last_at).unwrap_or_default()
                <= Duration::from_millis(JOURNAL_FOLD_MS)
    }

    fn entry(self, number: u64, now: SystemTime) -> JournalEntry {
        JournalEntry {
            number,
            first_at: now,
            last_at: now,
            times: 1,
            kind: self.kind,
            front_end: self.front_end,
            about: self.about.to_string(),
            port: self.port,
            reason: self.reason.to_owned(),
            messages: self.messages,
        }
    }
}

impl About<'_> {
    fn is(&self, text: &str) -> bool {
        match self {
            About::Text(own) => *own == text,
            About::Peer(peer) => text.parse() == Ok(peer.ip()),
        }
    }
}

impl fmt::Display for About<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            About::Text(text) => out.write_str(text),
            About::Peer(peer) => write!(out, "{}", peer.ip()),
        }
    }
}

/// At most [`DIAGNOSTIC_TEXT_BYTES`] of a text.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(DIAGNOSTIC_TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn connected(text: &str) -> Event<'static> {
        Event::Connected { front_end: "chat", peer: peer(text) }
    }

    #[test]
    fn repeated_events_are_one_entry_with_a_count_and_the_last_port() {
        let journal = Journal::new();
        for port in 1..=10_000 {
            let peer = SocketAddr::new("10.0.0.1".parse().unwrap(), port);
            journal.note(Event::Connected { front_end: "chat", peer });
            journal.note(Event::Ended { front_end: "chat", peer, reason: Ended::PeerClosed });
        }
        journal.note(Event::Dropped { front_end: "chat", topic: "a.b", messages: 3 });
        journal.note(Event::Dropped { front_end: "chat", topic: "a.b", messages: 4 });
        journal.note(Event::Dropped { front_end: "chat", topic: "a.c", messages: 5 });
        let newest = journal.newest(0, 10);
        let seen: Vec<_> = newest
            .iter()
            .map(|entry| (entry.kind, entry.about.as_str(), entry.times, entry.messages))
            .collect();
        let expected = [
            ("dropped", "a.c", 1, 5),
            ("dropped", "a.b", 2, 7),
            ("ended", "10.0.0.1", 10_000, 0),
            ("connected", "10.0.0.1", 10_000, 0),
        ];
        assert_eq!(seen, expected);
        assert_eq!(newest[3].port, Some(10_000));
    }

    #[test]
    fn another_reason_address_front_end_or_time_is_another_entry() {
        let journal = Journal::new();
        let now = SystemTime::now();
        let later = now + Duration::from_millis(JOURNAL_FOLD_MS + 1);
        journal.note_at(connected("10.0.0.1:1"), now);
        journal.note_at(connected("10.0.0.2:1"), now);
        journal.note_at(Event::Connected { front_end: "nats", peer: peer("10.0.0.1:1") }, now);
        for reason in [Ended::PeerClosed, Ended::Stuck, Ended::Because("too many subscriptions")] {
            journal
                .note_at(Event::Ended { front_end: "chat", peer: peer("10.0.0.1:1"), reason }, now);
        }
        journal.note_at(connected("10.0.0.1:1"), later);
        let newest = journal.newest(0, 100);
        assert_eq!(newest.iter().map(|entry| entry.times).collect::<Vec<_>>(), [1; 7]);
        assert_eq!(
            (newest[2].kind, newest[1].reason.as_str()),
            ("timed out", "too many subscriptions")
        );
    }

    #[test]
    fn a_crowd_does_not_flood_the_log() {
        let mut logged = Logged::default();
        let now = SystemTime::now();
        let events = || 2 * LOGGED_EVENTS;
        let within = |at: SystemTime, logged: &mut Logged| {
            (0..events()).filter(|_| logged.count(at) <= LOGGED_EVENTS).count() as u32
        };
        assert_eq!(within(now, &mut logged), LOGGED_EVENTS);
        let later = now + Duration::from_millis(LOGGED_EVENTS_MS);
        assert_eq!(within(later, &mut logged), LOGGED_EVENTS);
    }

    #[test]
    fn refusals_and_slow_clients_are_warnings() {
        let level =
            |reason| Event::Ended { front_end: "nats", peer: peer("10.0.0.1:1"), reason }.level();
        assert_eq!(level(Ended::PeerClosed), Some(Level::Info));
        assert_eq!(level(Ended::SlowConsumer), Some(Level::Warn));
        assert_eq!(level(Ended::Because("Authorization Violation")), Some(Level::Warn));
        let refused =
            Event::Refused { front_end: "nats", peer: peer("10.0.0.1:1"), reason: "full" };
        assert_eq!(refused.level(), Some(Level::Warn));
        assert_eq!(refused.to_string(), "nats: refused 10.0.0.1:1: full");
    }

    #[test]
    fn an_entry_is_added_to_until_it_is_forgotten() {
        let journal = Journal::new();
        fn lost(what: &str) -> Event<'_> {
            Event::Lost { front_end: "push", kind: "expired", whom: "all", what, messages: 1 }
        }
        let (one, other) = (journal.note(lost("one")), journal.note(lost("other")));
        assert_eq!(journal.note(lost("one")), one);
        assert!(journal.add(one, 5) && journal.add(other, 1));
        let newest = journal.newest(0, 10);
        assert_eq!((newest[1].reason.as_str(), newest[1].times, newest[1].messages), ("one", 3, 7));
        assert!(!journal.add(other + 1, 1) && !journal.add(0, 1));
        for number in 0..JOURNAL_EVENTS {
            journal.note(lost(&number.to_string()));
        }
        assert!(!journal.add(other, 1) && journal.add(other + 1, 1));
        assert_eq!(journal.newest(JOURNAL_EVENTS - 1, 1)[0].messages, 2);
    }

    #[test]
    fn the_oldest_are_forgotten_and_pages_follow_each_other() {
        let journal = Journal::new();
        let mut topics = (0..).map(|number| format!("topic.{number}"));
        for topic in topics.by_ref().take(JOURNAL_EVENTS + 100) {
            journal.note(Event::Dropped { front_end: "chat", topic: &topic, messages: 1 });
        }
        assert_eq!(journal.len(), JOURNAL_EVENTS);
        let numbers: Vec<u64> = [journal.newest(0, 3), journal.newest(3, 2)]
            .concat()
            .iter()
            .map(|e| e.number)
            .collect();
        let last = (JOURNAL_EVENTS + 100) as u64;
        assert_eq!(numbers, [last, last - 1, last - 2, last - 3, last - 4]);
        assert_eq!(journal.newest(JOURNAL_EVENTS - 1, 10).len(), 1);
        assert_eq!(journal.newest(usize::MAX, usize::MAX).len(), 0);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "é".repeat(1_000);
        assert_eq!(cut(&long).len(), DIAGNOSTIC_TEXT_BYTES);
        assert_eq!(cut(&format!("x{long}")).len(), DIAGNOSTIC_TEXT_BYTES - 1);
    }
}
