//! What a link counts, for whoever looks.

use super::confirm::Confirmations;
use super::session::Terms;
use crate::diagnostics::Family;
use crate::locks::lock;
use crate::message::ServerMessage;
use fanfare::SubscriptionWatch;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The figures of a link, over all of its connections.
#[derive(Default)]
pub struct LinkFigures {
    pub(super) received: AtomicU64,
    /// Came in, and is not for here by our settings.
    pub(super) refused: AtomicU64,
    /// Came in, and has no topic here.
    pub(super) undeliverable: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) interest_in: AtomicU64,
    pub(super) interest_out: AtomicU64,
    pub(super) joins: AtomicU64,
    pub(super) ends: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Messages that the hub has processed, of all connections.
    confirmed: u64,
    /// Messages that were sent over connections that broke before the hub confirmed them.
    unconfirmed: u64,
    /// Messages taken out of the queue and not sent when the connection ended.
    not_sent: u64,
    /// Messages that earlier connections had no room for, or had not sent at their end.
    dropped_before: u64,
    round_trip: Option<Duration>,
    asked: Confirmations,
    joined: Option<Joined>,
    /// Why the last connection ended.
    last_end: &'static str,
}

struct Joined {
    terms: Terms,
    watch: SubscriptionWatch<ServerMessage>,
}

/// The figures of a link as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkReport {
    /// The hub that it is joined to, by name and version, and the account there.
    pub hub: Option<(String, String, String)>,
    /// How long a question and its answer took the last time.
    pub round_trip: Option<Duration>,
    /// Patterns, and patterns in groups, that the hub was told.
    pub interest_out: u64,
    /// What the hub has told us.
    pub interest_in: u64,
    /// Messages that came in.
    pub received: u64,
    /// Messages that came in and stay out by our settings.
    pub refused: u64,
    /// Messages that came in whose subject is no topic here.
    pub undeliverable: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// Messages sent that the hub has processed.
    pub confirmed: u64,
    /// Messages that were sent over connections that broke before the hub confirmed them.
    pub unconfirmed: u64,
    /// Messages that had no room, or were not sent when a connection ended.
    pub dropped: u64,
    /// Messages larger than the hub takes.
    pub too_large: u64,
    /// How often it joined.
    pub joins: u64,
    /// How often a connection, or an attempt, ended.
    pub ends: u64,
    /// Why the last one did.
    pub last_end: &'static str,
}

impl LinkFigures {
    /// The link stands.
    pub(super) fn joined(&self, terms: Terms, watch: SubscriptionWatch<ServerMessage>) {
        self.joins.fetch_add(1, Ordering::Relaxed);
        lock(&self.state).joined = Some(Joined { terms, watch });
    }

    /// The connection has ended, or none came about. Gives how many messages were sent and not
    /// confirmed, and how many were still queued or had no room.
    pub(super) fn ended(&self, reason: &'static str) -> (u64, u64) {
        self.ends.fetch_add(1, Ordering::Relaxed);
        self.interest_in.store(0, Ordering::Relaxed);
        self.interest_out.store(0, Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.last_end = reason;
        state.asked = Confirmations::default();
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

    /// What was agreed on with the hub, while the link stands.
    pub(super) fn terms(&self) -> Option<Terms> {
        lock(&self.state).joined.as_ref().map(|joined| joined.terms.clone())
    }

    pub(super) fn asked(&self, now: Instant) {
        let sent = self.sent.load(Ordering::Relaxed);
        lock(&self.state).asked.ask(sent, now);
    }

    pub(super) fn answered(&self, now: Instant) {
        let mut state = lock(&self.state);
        if let Some((sent, round_trip)) = state.asked.answer(now) {
            state.confirmed = sent - state.unconfirmed;
            state.round_trip = Some(round_trip);
        }
    }

    /// What it has counted.
    pub fn report(&self) -> LinkReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = lock(&self.state);
        let joined = state.joined.as_ref();
        LinkReport {
            hub: joined.map(|Joined { terms, .. }| {
                (terms.hub.clone(), terms.version.clone(), terms.account.clone())
            }),
            round_trip: state.round_trip,
            interest_out: count(&self.interest_out),
            interest_in: count(&self.interest_in),
            received: count(&self.received),
            refused: count(&self.refused),
            undeliverable: count(&self.undeliverable),
            sent: count(&self.sent),
            confirmed: state.confirmed,
            unconfirmed: state.unconfirmed,
            dropped: state.dropped_before + joined.map_or(0, |joined| joined.watch.books().dropped),
            too_large: count(&self.too_large),
            joins: count(&self.joins),
            ends: count(&self.ends),
            last_end: state.last_end,
        }
    }

    /// The figures as metrics.
    pub(super) fn families(&self) -> Vec<Family> {
        let report = self.report();
        let round_trip_us = report.round_trip.map_or(0, |time| time.as_micros() as u64);
        let gauge = |name, glance, help, value| {
            let mut family = Family::gauge(name, help, value);
            let figures = family.figures.into_iter();
            family.figures = figures.map(|figure| figure.at_a_glance(glance)).collect();
            family
        };
        let counters = [
            ("cluster_received", "Messages that came over the link", report.received),
            (
                "cluster_refused",
                "Messages that came over the link and stay out by the settings",
                report.refused,
            ),
            (
                "cluster_undeliverable",
                "Messages that came over the link whose subject is no topic here",
                report.undeliverable,
            ),
            ("cluster_sent", "Messages sent to the hub", report.sent),
            ("cluster_confirmed", "Messages that the hub has confirmed", report.confirmed),
            (
                "cluster_unconfirmed",
                "Messages sent over links that broke before the hub confirmed them",
                report.unconfirmed,
            ),
            (
                "cluster_dropped",
                "Messages for the hub that had no room, or were queued when a link broke",
                report.dropped,
            ),
            ("cluster_too_large", "Messages larger than the hub takes", report.too_large),
            ("cluster_joins", "Times that the link was made", report.joins),
            ("cluster_ends", "Times that the link, or an attempt at it, ended", report.ends),
        ];
        let counters = counters.map(|(name, help, value)| Family::counter(name, help, value));
        let mut families = vec![
            gauge(
                "cluster_joined",
                "leafnodes",
                "Whether the link stands",
                u64::from(report.hub.is_some()),
            ),
            gauge(
                "cluster_round_trip_us",
                "leafnode_rtt_us",
                "Microseconds from a question to the hub to its answer",
                round_trip_us,
            ),
            Family::gauge(
                "cluster_interest_out",
                "Patterns that the hub was told",
                report.interest_out,
            ),
            Family::gauge(
                "cluster_interest_in",
                "Patterns that the hub has told us",
                report.interest_in,
            ),
        ];
        families.extend(counters);
        families
    }
}
