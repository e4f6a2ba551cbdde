//! The figures of a link.

use super::session::Terms;
use crate::diagnostics::{Facts, Family, Figure};
use crate::locks::lock;
use crate::message::ServerMessage;
use fanfare::SubscriptionWatch;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The figures of a link, over all of its connections.
#[derive(Default)]
pub struct LinkFigures {
    pub(super) received: AtomicU64,
    /// Messages from the hub that the settings keep out.
    pub(super) refused: AtomicU64,
    /// Messages from the hub whose subject is no topic here.
    pub(super) undeliverable: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) interest_in: AtomicU64,
    pub(super) interest_out: AtomicU64,
    pub(super) joins: AtomicU64,
    pub(super) ends: AtomicU64,
    /// Numbered messages of other servers that did not come.
    pub(super) missing: AtomicU64,
    /// Messages counted as missing that came after all.
    pub(super) late: AtomicU64,
    /// Numbered messages that came more than once.
    pub(super) duplicates: AtomicU64,
    state: Mutex<State>,
}

/// The figures that `/varz` also shows, and their names there.
const AT_A_GLANCE: [(&str, &str); 5] = [
    ("cluster_round_trip_us", "leafnode_rtt_us"),
    ("cluster_received", "leafnode_in_msgs"),
    ("cluster_sent", "leafnode_out_msgs"),
    ("cluster_unconfirmed", "leafnode_unconfirmed"),
    ("cluster_dropped", "leafnode_dropped"),
];

#[derive(Default)]
struct State {
    /// Messages that the hub has processed, of all connections.
    confirmed: u64,
    /// Messages that were sent over connections that broke before the hub confirmed them.
    unconfirmed: u64,
    /// Messages taken out of the queue and not sent when the connection ended.
    not_sent: u64,
    /// Messages that earlier connections had no room for, or had not sent when they ended.
    dropped_before: u64,
    round_trip: Option<Duration>,
    /// How many messages were sent before each unanswered `PING`, and when it was sent. Its `PONG`
    /// says that the hub has processed them.
    asked: VecDeque<(u64, Instant)>,
    joined: Option<Joined>,
    /// Why the last connection, or attempt at one, ended.
    last_end: &'static str,
}

struct Joined {
    terms: Terms,
    watch: SubscriptionWatch<ServerMessage>,
}

impl LinkFigures {
    /// The link is up.
    pub(super) fn joined(&self, terms: Terms, watch: SubscriptionWatch<ServerMessage>) {
        self.joins.fetch_add(1, Ordering::Relaxed);
        lock(&self.state).joined = Some(Joined { terms, watch });
    }

    /// The connection has ended, or the attempt has failed. Returns how many messages were sent but
    /// not confirmed, and how many were still queued or had no room.
    pub(super) fn ended(&self, reason: &'static str) -> (u64, u64) {
        self.ends.fetch_add(1, Ordering::Relaxed);
        self.interest_in.store(0, Ordering::Relaxed);
        self.interest_out.store(0, Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.last_end = reason;
        state.asked.clear();
        state.round_trip = None;
        let unconfirmed = sent - state.confirmed - state.unconfirmed;
        state.unconfirmed += unconfirmed;
        let joined = state.joined.take();
        let not_sent = std::mem::take(&mut state.not_sent);
        let dropped = not_sent + joined.map_or(0, |joined| joined.watch.books().dropped);
        state.dropped_before += dropped;
        (unconfirmed, dropped)
    }

    pub(super) fn not_sent(&self, messages: u64) {
        lock(&self.state).not_sent += messages;
    }

    /// The terms agreed with the hub, while the link is up.
    pub(super) fn terms(&self) -> Option<Terms> {
        lock(&self.state).joined.as_ref().map(|joined| joined.terms.clone())
    }

    pub(super) fn asked(&self, now: Instant) {
        let sent = self.sent.load(Ordering::Relaxed);
        lock(&self.state).asked.push_back((sent, now));
    }

    pub(super) fn answered(&self, now: Instant) {
        let mut state = lock(&self.state);
        if let Some((sent, asked_at)) = state.asked.pop_front() {
            state.confirmed = sent - state.unconfirmed;
            state.round_trip = Some(now.saturating_duration_since(asked_at));
        }
    }

    /// The hub's name, and why the link ended last.
    pub(super) fn facts(&self) -> Facts {
        let state = lock(&self.state);
        let terms = state.joined.as_ref().map(|joined| &joined.terms);
        vec![
            ("hub", terms.map(|terms| terms.hub.as_str()).into()),
            ("hub_version", terms.map(|terms| terms.version.as_str()).into()),
            ("account", terms.map(|terms| terms.account.as_str()).into()),
            ("last_end", state.last_end.into()),
        ]
    }

    /// The figures as metrics, labelled with the link's name.
    pub(super) fn families(&self, title: &'static str) -> Vec<Family> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = lock(&self.state);
        let dropped = state.joined.as_ref().map_or(0, |joined| joined.watch.books().dropped);
        let round_trip_us = state.round_trip.map_or(0, |time| time.as_micros() as u64);
        let gauges = [
            ("cluster_joined", "Whether the link is up", u64::from(state.joined.is_some())),
            (
                "cluster_round_trip_us",
                "Microseconds between a PING to the hub and its answer",
                round_trip_us,
            ),
            ("cluster_interest_out", "Patterns announced to the hub", count(&self.interest_out)),
            ("cluster_interest_in", "Patterns announced by the hub", count(&self.interest_in)),
        ];
        let counters = [
            ("cluster_received", "Messages that came over the link", count(&self.received)),
            (
                "cluster_refused",
                "Messages from the hub that the settings keep out",
                count(&self.refused),
            ),
            (
                "cluster_undeliverable",
                "Messages from the hub whose subject is no topic here",
                count(&self.undeliverable),
            ),
            ("cluster_sent", "Messages sent to the hub", count(&self.sent)),
            ("cluster_confirmed", "Messages that the hub has confirmed", state.confirmed),
            (
                "cluster_unconfirmed",
                "Messages sent over links that broke before the hub confirmed them",
                state.unconfirmed,
            ),
            (
                "cluster_dropped",
                "Messages for the hub that had no room, or were queued when a link broke",
                state.dropped_before + dropped,
            ),
            ("cluster_too_large", "Messages larger than the hub accepts", count(&self.too_large)),
            (
                "cluster_missing",
                "Numbered messages of other servers that did not come",
                count(&self.missing),
            ),
            ("cluster_late", "Messages counted as missing that came after all", count(&self.late)),
            (
                "cluster_duplicates",
                "Numbered messages of other servers that came again",
                count(&self.duplicates),
            ),
            ("cluster_joins", "Times that the link came up", count(&self.joins)),
            ("cluster_ends", "Times that the link, or an attempt at it, ended", count(&self.ends)),
        ];
        let figures = |name, value| {
            let shown = AT_A_GLANCE.iter().find(|(known, _)| *known == name);
            let figure = Figure::new(vec![("front_end", title)], value);
            vec![Figure { at_a_glance: shown.map(|(_, glance)| *glance), ..figure }]
        };
        let gauges =
            gauges.map(|(name, help, value)| Family::gauges(name, help, figures(name, value)));
        let counters =
            counters.map(|(name, help, value)| Family::counters(name, help, figures(name, value)));
        gauges.into_iter().chain(counters).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_to_the_oldest_question() {
        let (figures, start) = (LinkFigures::default(), Instant::now());
        figures.sent.store(3, Ordering::Relaxed);
        figures.asked(start);
        figures.sent.store(9, Ordering::Relaxed);
        figures.asked(start + Duration::from_millis(5));
        let answered = || {
            figures.answered(start + Duration::from_millis(7));
            let state = lock(&figures.state);
            (state.confirmed, state.round_trip)
        };
        assert_eq!(answered(), (3, Some(Duration::from_millis(7))));
        assert_eq!(answered(), (9, Some(Duration::from_millis(2))));
        // To nothing that was asked: it changes nothing.
        assert_eq!(answered(), (9, Some(Duration::from_millis(2))));
    }
}
