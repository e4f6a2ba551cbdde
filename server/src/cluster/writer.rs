//! The writing half's [`Source`]: our interest, and the messages wanted at the hub.

use super::reader::{Change, Shared};
use super::render::Leaving;
use super::session::{Passage, Terms};
use super::settings::ClusterSettings;
use crate::codec::nats::{append_interest, append_ping};
use crate::connection::duplex::WriteHalf;
use crate::connection::outbound::{OutboundQueue, QueueItem};
use crate::diagnostics::{ConnectionFigures, Ended};
use crate::limits::{CLUSTER_CONFIRM_BYTES, CLUSTER_CONFIRM_MS, CLUSTER_JOIN_MS};
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::tasks::Wait;
use crate::transport::{Filled, Source, WriteBuffer};
use fanfare::{Bridge, BridgeDelivery, InterestChange, InterestWatch, Pattern};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// One connection's interest and messages.
pub(super) struct Writer<'c> {
    shared: &'c Shared,
    settings: &'c ClusterSettings,
    /// This server's name in the cluster.
    name: &'c str,
    queue: &'c OutboundQueue<Change>,
    figures: &'c ConnectionFigures,
    inwards: Passage,
    joined: Option<Joined>,
    /// Whether the broker is closed and everything was received.
    is_drained: bool,
    is_over: bool,
    join_by: Option<Instant>,
    reason: Option<Ended>,
}

struct Joined {
    bridge: Bridge<ServerMessage>,
    interest: InterestWatch<ServerMessage>,
    terms: Box<Terms>,
    /// Interest to announce to the hub, before any message that comes later.
    untold: VecDeque<InterestChange>,
    /// Received but not rendered: the buffer became full in the middle.
    rest: Option<Leaving>,
    /// Bytes of messages since the last `PING`.
    unasked_bytes: usize,
    /// When the next `PING` is due, if there are any.
    ask_at: Option<Instant>,
}

impl<'c> Writer<'c> {
    pub fn new(
        (shared, settings): (&'c Shared, &'c ClusterSettings),
        name: &'c str,
        queue: &'c OutboundQueue<Change>,
        figures: &'c ConnectionFigures,
    ) -> Self {
        Self {
            shared,
            settings,
            name,
            queue,
            figures,
            inwards: Passage::inwards(settings),
            joined: None,
            is_drained: false,
            is_over: false,
            join_by: Some(Instant::now() + Duration::from_millis(CLUSTER_JOIN_MS)),
            reason: None,
        }
    }

    fn apply(&mut self, change: Change) {
        let Change::Joined { bridge, interest, terms } = change;
        self.join_by = None;
        // What was published while there was no link has no numbers.
        lock(&self.shared.numbers).begin_run();
        // All numbered messages must come, whether or not anybody here wants them.
        let wanted = |pattern: &Pattern| {
            let (pattern, group) = (pattern.clone(), None);
            InterestChange { pattern, group, before: 0, now: 1 }
        };
        let untold = self.settings.numbered.iter().map(wanted).collect();
        self.joined = Some(Joined {
            bridge,
            interest,
            terms,
            untold,
            rest: None,
            unasked_bytes: 0,
            ask_at: None,
        });
    }

    /// Appends the next change or batch. Returns false if nothing is ready.
    fn append_next(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> bool {
        let Some(joined) = &mut self.joined else { return false };
        if joined.untold.is_empty() {
            let is_told = |change: &InterestChange| {
                change.group.is_none() && self.settings.numbered.contains(&change.pattern)
            };
            let changes = joined.interest.changes().into_iter();
            joined.untold.extend(changes.filter(|change| !is_told(change)));
        }
        if let Some(change) = joined.untold.pop_front() {
            let is_ours = joined.terms.may_ask_for(&change.pattern)
                && !self.inwards.stops_all_of(&change.pattern);
            if is_ours {
                tell(out.bytes_mut(), &change, &self.shared.figures.interest_out);
            }
            return true;
        }
        if let Some(rest) = joined.rest.take() {
            self.render(rest, out);
            return true;
        }
        match joined.bridge.poll_recv(context) {
            // Rendered after the interest that came before it, such as in the inbox for its answer.
            Poll::Ready(Some(BridgeDelivery::Batch { batch, groups })) => {
                joined.rest = Some(Leaving { batch, groups, done: 0 });
                true
            }
            Poll::Ready(Some(BridgeDelivery::Missed(missed))) => {
                self.shared.front_end.dropped("(all that leaves for the cluster)", missed);
                lock(&self.shared.numbers).begin_run();
                true
            }
            Poll::Ready(None) => {
                self.is_drained = true;
                false
            }
            Poll::Pending => joined.interest.poll_changed(context).is_ready(),
        }
    }

    /// Renders a batch until the buffer is full, and keeps the rest for later.
    fn render(&mut self, mut leaving: Leaving, out: &mut WriteBuffer) {
        let Some(joined) = &mut self.joined else { return };
        let (before_bytes, done_before) = (out.waiting_bytes(), leaving.done);
        let is_numbered = joined.terms.with_headers && self.settings.numbers(leaving.batch.topic());
        let mut numbers = is_numbered.then(|| lock(&self.shared.numbers));
        let numbering = numbers.as_mut().map(|numbers| (self.name, &mut **numbers));
        let too_large = leaving.render(&joined.terms, numbering, out);
        drop(numbers);
        let sent = leaving.done - done_before - too_large;
        joined.rest = (leaving.rest() > 0).then_some(leaving);
        let figures = &self.shared.figures;
        figures.sent.fetch_add(sent as u64, Ordering::Relaxed);
        figures.too_large.fetch_add(too_large as u64, Ordering::Relaxed);
        self.figures.sent(sent);
        joined.unasked_bytes += out.waiting_bytes() - before_bytes;
        let in_time = || Instant::now() + Duration::from_millis(CLUSTER_CONFIRM_MS);
        joined.ask_at.get_or_insert_with(in_time);
        if joined.unasked_bytes >= CLUSTER_CONFIRM_BYTES {
            self.ask(out);
        }
    }

    /// Sends a `PING`. Its answer confirms everything that was sent before it.
    fn ask(&mut self, out: &mut WriteBuffer) {
        append_ping(out.bytes_mut());
        self.shared.figures.asked(Instant::now());
        if let Some(joined) = &mut self.joined {
            (joined.unasked_bytes, joined.ask_at) = (0, None);
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let rest = self.joined.as_ref().and_then(|joined| joined.rest.as_ref());
        let unsent = rest.map_or(0, Leaving::rest);
        self.shared.figures.not_sent(unsent as u64);
    }
}

impl Source for Writer<'_> {
    fn poll_fill(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> Poll<Filled> {
        // Register before looking: what is handed over in between then wakes us.
        self.queue.register_writer(context);
        let before_bytes = out.waiting_bytes();
        while !out.is_full() && !self.is_over {
            // `CONNECT` and the loop subject were queued before anything that joining brings.
            if let Some(item) = self.queue.take_next() {
                match item {
                    QueueItem::Text(text) => out.bytes_mut().extend_from_slice(&text),
                    QueueItem::Change(change) => self.apply(change),
                    QueueItem::Close => self.is_over = true,
                }
                continue;
            }
            let (changes, _) = self.queue.take_changes();
            changes.into_iter().for_each(|change| self.apply(change));
            if !self.append_next(context, out) {
                break;
            }
        }
        let is_at_end = self.is_over
            || (self.queue.closes_after_messages() && (self.is_drained || self.joined.is_none()));
        if is_at_end {
            Poll::Ready(Filled::Ended)
        } else if out.waiting_bytes() > before_bytes {
            Poll::Ready(Filled::Some)
        } else {
            Poll::Pending
        }
    }

    fn waits_for(&self) -> Wait {
        Wait::fixed("messages for the cluster")
    }

    fn ping(&mut self, out: &mut WriteBuffer) {
        // A hub accepts nothing else before it has answered `CONNECT`.
        if self.joined.is_some() {
            self.ask(out);
        }
    }

    fn due(&self) -> Option<Instant> {
        let ask_at = self.joined.as_ref().and_then(|joined| joined.ask_at);
        self.join_by.or(ask_at)
    }

    fn alarm(&mut self, now: Instant, out: &mut WriteBuffer) {
        if self.join_by.take_if(|due| *due <= now).is_some() {
            self.is_over = true;
            self.reason = Some(Ended::Because("no answer from the hub"));
        }
        let ask_at = self.joined.as_ref().and_then(|joined| joined.ask_at);
        if ask_at.is_some_and(|due| due <= now) {
            self.ask(out);
        }
    }
}

impl WriteHalf for Writer<'_> {
    fn end_reason(&self) -> Option<Ended> {
        self.reason
    }
}

/// Announces to the hub how many subscribe to a pattern here. Hubs count plain interest at each
/// announcement, so it is announced once. Hubs of 2.9 lose count of a group unless it begins and
/// ends with a weight of 1.
fn tell(out: &mut Vec<u8>, change: &InterestChange, told: &std::sync::atomic::AtomicU64) {
    let InterestChange { pattern, group, before, now } = change;
    let mut say = |weight| append_interest(out, pattern.as_str(), group.as_deref(), weight);
    match (before, now, group) {
        (0, now, None) if *now > 0 => say(1),
        (0, now, Some(_)) if *now > 0 => {
            say(1);
            (*now > 1).then(|| say(*now));
        }
        (1, 0, _) | (_, 0, None) => say(0),
        (_, 0, Some(_)) => {
            say(1);
            say(0);
        }
        (_, now, Some(_)) => say(*now),
        (_, _, None) => {}
    }
    match (before, now) {
        (0, _) => drop(told.fetch_add(1, Ordering::Relaxed)),
        (_, 0) => drop(told.fetch_sub(1, Ordering::Relaxed)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn a_plain_pattern_is_told_once_and_groups_begin_and_end_with_one() {
        let told = AtomicU64::new(0);
        let say = |group: Option<&str>, before, now| {
            let pattern = Pattern::parse("a").unwrap();
            let change = InterestChange { pattern, group: group.map(Into::into), before, now };
            let mut out = Vec::new();
            tell(&mut out, &change, &told);
            String::from_utf8(out).unwrap().replace("\r\n", ";")
        };
        assert_eq!(say(None, 0, 3), "LS+ a;");
        assert_eq!(say(None, 3, 2), "");
        assert_eq!(say(None, 2, 0), "LS- a;");
        assert_eq!(say(Some("q"), 0, 1), "LS+ a q 1;");
        assert_eq!(say(Some("q"), 1, 3), "LS+ a q 3;");
        assert_eq!(say(Some("q"), 3, 0), "LS+ a q 1;LS- a q;");
        assert_eq!(say(Some("q"), 0, 3), "LS+ a q 1;LS+ a q 3;");
        assert_eq!(say(Some("q"), 3, 1), "LS+ a q 1;");
        assert_eq!(say(Some("q"), 1, 0), "LS- a q;");
        assert_eq!(told.into_inner(), 0);
    }
}
