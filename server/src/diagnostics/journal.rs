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
    /// A front-end listens on this address.
    Listening(SocketAddr),
    /// The server refuses new connections, and sends its clients elsewhere.
    LameDuck,
    /// The server begins to stop, and refuses new connections.
    Stopping,
    /// A connection from this peer began.
    Connected(SocketAddr),
    /// A connection from this peer was refused for this reason.
    Refused(SocketAddr, &'e str),
    /// A connection from this peer ended. Time-outs have their own kind in the journal.
    Ended(SocketAddr, Ended),
    /// A publish on this topic gave up this many deliveries.
    Dropped(&'e str, u64),
    /// Deliveries were lost, and the front-end has more to say of them than their topic.
    Lost {
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
        /// The kind of event, in a word or two.
        kind: &'static str,
        /// The person or room it is about.
        about: &'e str,
        /// The actor and the reason.
        what: &'e str,
    },
    /// A warning, in one sentence without figures so that it can be folded.
    Warned(&'e str),
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
    /// Notes that something happened just now, and logs it unless it repeats an older entry or too
    /// much was logged lately. `by` is the front-end or the part of the server; empty for the
    /// server itself. Returns the number of the entry, or of the older one that this repeats.
    pub fn note(&self, by: &'static str, event: Event<'_>) -> u64 {
        self.note_at(by, event, SystemTime::now())
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

    fn note_at(&self, by: &'static str, event: Event<'_>, now: SystemTime) -> u64 {
        let line = Line::of(by, event);
        let mut ring = lock(&self.ring);
        let latest = ring.entries.iter_mut().rev().take(JOURNAL_FOLDED_EVENTS);
        if let Some(entry) = latest.into_iter().find(|entry| line.repeats(entry, now)) {
            entry.times += 1;
            entry.messages += line.messages;
            entry.last_at = now;
            entry.port = line.about.port();
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
                Some(task) => log::log!(level, task:% = task; "{by}: {event}"),
                None => log::log!(level, "{by}: {event}"),
            },
            Some((_, events)) if events == LOGGED_EVENTS + 1 => log::warn!(
                "too many events to log: for up to {} s, further ones are only in /journal",
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
    pub fn count(&self) -> usize {
        lock(&self.ring).entries.len()
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
            Self::Listening(_) | Self::Connected(_) | Self::Acted { .. } => Some(Level::Info),
            Self::Ended(_, reason) if reason.is_ordinary() => Some(Level::Info),
            _ => Some(Level::Warn),
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening(address) => write!(out, "listening on {address}"),
            Self::LameDuck => out.write_str("lame duck"),
            Self::Stopping => out.write_str("stopping"),
            Self::Connected(peer) => write!(out, "{peer} connected"),
            Self::Refused(peer, reason) => write!(out, "refused {peer}: {reason}"),
            Self::Ended(peer, reason) => write!(out, "{peer} ended: {reason}"),
            Self::Dropped(topic, messages) => {
                write!(out, "dropped {} on {}", counted(messages, "delivery"), cut(topic))
            }
            Self::Lost { kind, whom, what, messages } => {
                let deliveries = counted(messages, "delivery");
                write!(out, "{kind}: {deliveries} for {} {}", cut(whom), cut(what))
            }
            Self::Acted { kind, about, what } => {
                write!(out, "{} {kind}: {}", cut(about), cut(what))
            }
            Self::Warned(what) => out.write_str(cut(what)),
        }
    }
}

/// An event taken apart, without having copied anything yet: most events repeat another.
struct Line<'e> {
    kind: &'static str,
    by: &'static str,
    about: About<'e>,
    reason: &'e str,
    messages: u64,
}

#[derive(Clone, Copy)]
enum About<'e> {
    Peer(SocketAddr),
    Text(&'e str),
}

impl<'e> Line<'e> {
    fn of(by: &'static str, event: Event<'e>) -> Self {
        let of_peer = |kind, peer, reason| (kind, About::Peer(peer), reason, 0);
        let of_text = |kind, text, reason| (kind, About::Text(cut(text)), cut(reason), 0);
        let (kind, about, reason, messages) = match event {
            Event::Listening(address) => of_peer("listening", address, ""),
            Event::LameDuck => of_text("lame duck", "", ""),
            Event::Stopping => of_text("stopping", "", ""),
            Event::Connected(peer) => of_peer("connected", peer, ""),
            Event::Refused(peer, reason) => of_peer("refused", peer, reason),
            Event::Ended(peer, Ended::Shed) => of_peer("shed", peer, Ended::Shed.as_str()),
            Event::Ended(peer, reason) if reason.is_time_out() => {
                of_peer("timed out", peer, reason.as_str())
            }
            Event::Ended(peer, reason) => of_peer("ended", peer, reason.as_str()),
            Event::Dropped(topic, messages) => ("dropped", About::Text(cut(topic)), "", messages),
            Event::Lost { kind, whom, what, messages } => {
                (kind, About::Text(cut(whom)), cut(what), messages)
            }
            Event::Acted { kind, about, what } => of_text(kind, about, what),
            Event::Warned(what) => of_text("warned", "", what),
        };
        Self { kind, by, about, reason, messages }
    }

    fn repeats(&self, entry: &JournalEntry, now: SystemTime) -> bool {
        self.kind == entry.kind
            && self.by == entry.front_end
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
            front_end: self.by,
            about: self.about.to_string(),
            port: self.about.port(),
            reason: self.reason.to_owned(),
            messages: self.messages,
        }
    }
}

impl About<'_> {
    fn port(self) -> Option<u16> {
        match self {
            About::Text(_) => None,
            About::Peer(peer) => Some(peer.port()),
        }
    }

    fn is(self, text: &str) -> bool {
        match self {
            About::Text(own) => own == text,
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
        Event::Connected(peer(text))
    }

    #[test]
    fn repeated_events_are_one_entry_with_a_count_and_the_last_port() {
        let journal = Journal::default();
        for port in 1..=10_000 {
            let peer = SocketAddr::new("10.0.0.1".parse().unwrap(), port);
            journal.note("chat", Event::Connected(peer));
            journal.note("chat", Event::Ended(peer, Ended::PeerClosed));
        }
        journal.note("chat", Event::Dropped("a.b", 3));
        journal.note("chat", Event::Dropped("a.b", 4));
        journal.note("chat", Event::Dropped("a.c", 5));
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
        let journal = Journal::default();
        let now = SystemTime::now();
        let later = now + Duration::from_millis(JOURNAL_FOLD_MS + 1);
        journal.note_at("chat", connected("10.0.0.1:1"), now);
        journal.note_at("chat", connected("10.0.0.2:1"), now);
        journal.note_at("nats", connected("10.0.0.1:1"), now);
        for reason in [Ended::PeerClosed, Ended::Stuck, Ended::Because("too many subscriptions")] {
            journal.note_at("chat", Event::Ended(peer("10.0.0.1:1"), reason), now);
        }
        journal.note_at("chat", connected("10.0.0.1:1"), later);
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
        let level = |reason| Event::Ended(peer("10.0.0.1:1"), reason).level();
        assert_eq!(level(Ended::PeerClosed), Some(Level::Info));
        assert_eq!(level(Ended::SlowConsumer), Some(Level::Warn));
        assert_eq!(level(Ended::Because("Authorization Violation")), Some(Level::Warn));
        let refused = Event::Refused(peer("10.0.0.1:1"), "full");
        assert_eq!(refused.level(), Some(Level::Warn));
        assert_eq!(refused.to_string(), "refused 10.0.0.1:1: full");
    }

    #[test]
    fn an_entry_is_added_to_until_it_is_forgotten() {
        let journal = Journal::default();
        fn lost(what: &str) -> Event<'_> {
            Event::Lost { kind: "expired", whom: "all", what, messages: 1 }
        }
        let (one, other) = (journal.note("push", lost("one")), journal.note("push", lost("other")));
        assert_eq!(journal.note("push", lost("one")), one);
        assert!(journal.add(one, 5) && journal.add(other, 1));
        let newest = journal.newest(0, 10);
        assert_eq!((newest[1].reason.as_str(), newest[1].times, newest[1].messages), ("one", 3, 7));
        assert!(!journal.add(other + 1, 1) && !journal.add(0, 1));
        for number in 0..JOURNAL_EVENTS {
            journal.note("push", lost(&number.to_string()));
        }
        assert!(!journal.add(other, 1) && journal.add(other + 1, 1));
        assert_eq!(journal.newest(JOURNAL_EVENTS - 1, 1)[0].messages, 2);
    }

    #[test]
    fn the_oldest_are_forgotten_and_pages_follow_each_other() {
        let journal = Journal::default();
        let mut topics = (0..).map(|number| format!("topic.{number}"));
        for topic in topics.by_ref().take(JOURNAL_EVENTS + 100) {
            journal.note("chat", Event::Dropped(&topic, 1));
        }
        assert_eq!(journal.count(), JOURNAL_EVENTS);
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
