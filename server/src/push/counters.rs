//! The gateway's counters. `/figures`, `/metrics` and `/varz` all show these and no others.

use crate::diagnostics::{Family, Figure};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a push came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// A datagram.
    Udp,
    /// An HTTP request.
    Http,
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets a figure that is measured, not counted.
    pub fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    (
        $counters:ident $figures:ident $about:literal
        { $( $(#[$attribute:meta])* $name:ident, )* }
        $( { $( $(#[$of:meta])* $part:ident, )* } )?
    ) => {
        #[doc = $about]
        #[derive(Debug, Default)]
        pub(super) struct $counters {
            $( pub $name: Counter, )*
            $( $( pub $part: OutcomeCounters, )* )?
        }

        #[doc = $about]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[cfg_attr(test, derive(serde::Deserialize))]
        pub struct $figures {
            $( $(#[$attribute])* pub $name: u64, )*
            $( $( $(#[$of])* pub $part: PushOutcomes, )* )?
        }

        impl $counters {
            pub fn figures(&self) -> $figures {
                $figures { $( $name: self.$name.get(), )* $( $( $part: self.$part.figures(), )* )? }
            }
        }
    };
}

counters! {
    OutcomeCounters PushOutcomes "What became of the pushes that came in one way." {
        /// Accepted: queued for every connection that had room.
        accepted,
        /// Not in a known form, or for a topic that is not valid.
        malformed,
        /// Their sender may not push there, or not at all.
        denied,
        /// Refused because their sender sends too many, or because no thread was free to check
        /// signatures.
        limited,
        /// Refused because the gateway handled as many pushes as it may.
        busy,
        /// They took too long, so not every connection got them.
        timed_out,
        /// Refused because the server was stopping.
        closed,
    }
}

counters! {
    Counters PushFigures "What a gateway has counted since its start." {
        /// Datagrams that arrived. Each is in an outcome of `udp`, or in one of the refusals that
        /// follow, or still being handled.
        datagrams,
        /// Datagrams that are too large.
        oversized,
        /// Unsigned datagrams that are not taken.
        unsigned,
        /// Datagrams whose signature is wrong or whose key is unknown.
        forged,
        /// Signed datagrams whose time is too far from ours, or before the server's start.
        stale,
        /// Signed datagrams that were taken before.
        replayed,
        /// Signed datagrams refused because too many are remembered.
        signatures_full,
        /// Signed datagrams that are remembered now.
        signatures_remembered,
        /// Answers to datagrams.
        answers,
        /// Requests answered 503.
        unavailable,
        /// Deliveries queued for a connection.
        reached,
        /// Deliveries for which a connection had no room.
        missed,
        /// Deliveries that were too old when their turn came.
        expired,
        /// Acknowledgements.
        acknowledged,
        /// Kept pushes sent to clients that came back.
        replays,
        /// Accepted pushes that the database could not keep.
        unstored,
    } {
        /// Pushes that came as datagrams.
        udp,
        /// Pushes that came by HTTP.
        http,
    }
}

impl Counters {
    pub fn of(&self, ingress: Ingress) -> &OutcomeCounters {
        match ingress {
            Ingress::Udp => &self.udp,
            Ingress::Http => &self.http,
        }
    }
}

impl PushFigures {
    /// Accepted pushes, by any ingress.
    pub fn accepted(&self) -> u64 {
        self.udp.accepted + self.http.accepted
    }

    /// The same figures under the names that monitoring uses.
    pub(super) fn families(&self) -> Vec<Family> {
        let labelled = |label, figures: &[(&'static str, u64)]| -> Vec<Figure> {
            figures.iter().map(|(word, value)| Figure::new(vec![(label, *word)], *value)).collect()
        };
        let refused = [
            ("malformed", self.udp.malformed),
            ("oversized", self.oversized),
            ("unsigned", self.unsigned),
            ("signature", self.forged),
            ("stale", self.stale),
            ("replayed", self.replayed),
            ("signatures_full", self.signatures_full),
        ];
        let deliveries = [
            ("reached", self.reached, "push_reached"),
            ("missed", self.missed, "push_missed"),
            ("expired", self.expired, "push_expired"),
            ("acknowledged", self.acknowledged, "push_acknowledged"),
            ("replayed", self.replays, "push_replayed"),
        ];
        let deliveries = deliveries.map(|(outcome, value, name)| {
            Figure::new(vec![("outcome", outcome)], value).at_a_glance(name)
        });
        let [by_udp, by_http] = [("udp", self.udp), ("http", self.http)]
            .map(|(way, outcomes)| outcomes.figures_of(way));
        // Malformed datagrams are shown with the other refused datagrams.
        let by_udp =
            by_udp.into_iter().filter(|figure| !figure.labels.contains(&("outcome", "malformed")));
        vec![
            Family::counters(
                "push_pushes",
                "Pushes, by ingress and outcome",
                by_udp.chain(by_http).collect(),
            ),
            Family::counters(
                "push_deliveries",
                "Pushes times the connections they were for, by outcome",
                deliveries.into(),
            ),
            Family::counter(
                "push_unstored",
                "Accepted pushes that the database could not keep",
                self.unstored,
            ),
            Family::counter("push_datagrams", "Datagrams that arrived", self.datagrams),
            Family::counters(
                "push_datagrams_refused",
                "Datagrams that were not taken for a push, by reason",
                labelled("reason", &refused),
            ),
            Family::counter("push_datagram_answers", "Answers to datagrams", self.answers),
            Family::counter("push_http_unavailable", "Requests answered 503", self.unavailable),
            Family::gauge(
                "push_signatures_remembered",
                "Signed datagrams that would be refused as replayed",
                self.signatures_remembered,
            ),
        ]
    }
}

impl PushOutcomes {
    fn figures_of(&self, way: &'static str) -> Vec<Figure> {
        let outcomes = [
            ("accepted", self.accepted),
            ("malformed", self.malformed),
            ("denied", self.denied),
            ("limited", self.limited),
            ("busy", self.busy),
            ("timed_out", self.timed_out),
            ("closed", self.closed),
        ];
        let glance = |outcome, figure: Figure| match (way, outcome) {
            ("udp", "accepted") => figure.at_a_glance("push_accepted_udp"),
            ("http", "accepted") => figure.at_a_glance("push_accepted_http"),
            _ => figure,
        };
        let labels = |outcome| vec![("way", way), ("outcome", outcome)];
        outcomes.map(|(outcome, value)| glance(outcome, Figure::new(labels(outcome), value))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::HashSet;

    #[test]
    fn every_figure_is_told_to_monitoring_once() {
        // A different value for each, so that it is seen where it went.
        let mut values: Value = serde_json::to_value(PushFigures::default()).unwrap();
        let mut next = 0;
        number(&mut values, &mut next);
        assert_eq!(next, 16 + 2 * 7);
        let families = serde_json::from_value::<PushFigures>(values).unwrap().families();
        let told: Vec<u64> =
            families.iter().flat_map(|family| &family.figures).map(|figure| figure.value).collect();
        let distinct: HashSet<u64> = told.iter().copied().collect();
        assert_eq!((told.len(), distinct.len()), (next as usize, next as usize), "{families:?}");
        let names: HashSet<&str> = families.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), families.len());
        assert!(names.iter().all(|name| name.starts_with("push_")));
    }

    fn number(values: &mut Value, next: &mut u64) {
        for value in values.as_object_mut().unwrap().values_mut() {
            if value.is_object() {
                number(value, next);
            } else {
                *next += 1;
                *value = json!(*next);
            }
        }
    }
}
