//! The short way of one message, which most publishes take: the audience is as it was, everybody
//! has room by a credit grant or is written off, and nothing else is to be done. All else takes the
//! other way.

use crate::load::Load;
use crate::log::{Record, Segment};
use crate::payload::Payload;
use crate::policy::Receipt;
use crate::publish::fan_out::{FanOut, Hold};
use crate::publish::{Open, Publisher};
use crate::routing::route_cache::Last;
use crate::sync::read;
use crate::topic::Topic;
use std::sync::Arc;

/// How many queues got a message, and what is to be dropped under no lock.
type Given<M> = (u64, Option<Arc<Segment<M>>>);

impl<M: Payload> Publisher<M> {
    /// Publishes the message where the last one went, to as many queues as it returns; or leaves
    /// it and has done nothing. Returned like this, neither goes through memory.
    #[inline(always)]
    pub(super) fn publish_short(
        &mut self,
        topic: &Topic,
        message: &mut Option<M>,
        bytes: u32,
    ) -> Option<u64> {
        let Self { fan_out, routes, tally, open, .. } = self;
        if open.published > 0 {
            return None;
        }
        let last = routes.claim_again(topic, &fan_out.busy)?;
        if last.route.is_silent() {
            tally.count_alone(0);
            last.count(0);
            *message = None;
            return Some(0);
        }
        let (queued, upgraded) = fan_out.append_short(last, 0, message, bytes)?;
        tally.count_alone(queued);
        last.count(queued);
        // Under no lock, and last: this wakes tasks, and may drop payloads.
        fan_out.deliveries.deferred.run();
        drop(upgraded);
        Some(queued)
    }

    /// Takes the short way past those that are written off, and opens the account of the publish:
    /// others may be due a turn before it is closed. Or leaves the message and has done nothing.
    pub(super) fn begin_past_written_off(
        &mut self,
        topic: &Topic,
        message: &mut Option<M>,
        bytes: u32,
    ) {
        let Self { fan_out, routes, .. } = self;
        let dropped = fan_out.written_off();
        if dropped == 0 {
            return;
        }
        let Some(last) = routes.again(topic) else { return };
        let given = fan_out.append_short(last, dropped, message, bytes);
        if let Some((queued, _)) = given {
            let matched = queued + dropped;
            fan_out.deliveries.receipt = Receipt { matched, queued, dropped, ..Receipt::default() };
            self.turns.count(dropped as usize, false);
            self.open = Open { published: 1, has_route: true, waits_since: None };
        }
        // Under no lock, and once the account is open: foreign code may panic.
        self.fan_out.deliveries.run_deferred(&self.handle.shared);
        drop(given);
    }
}

impl<M> FanOut<M> {
    /// How many are written off where the short way goes past some.
    fn written_off(&self) -> u64 {
        let way = self.growing.as_ref().and_then(|growing| growing.short.as_ref());
        way.map_or(0, |way| way.written_off)
    }

    /// Appends a message to the growing segment and gives it to all of the audience but this
    /// number of subscriptions that are written off. Leaves it if another number is.
    #[inline(always)]
    fn append_short(
        &mut self,
        last: &Last<M>,
        written_off: u64,
        message: &mut Option<M>,
        bytes: u32,
    ) -> Option<Given<M>> {
        let load = Load { messages: 1, bytes };
        let growing = self.growing.as_mut()?;
        let way = growing.short.as_ref().filter(|way| {
            way.written_off == written_off
                && growing.route == last.route.id
                && growing.has_room_for(load)
        })?;
        let mut upgraded = None;
        let segment = match &growing.segment {
            Hold::Strong(segment) => segment,
            Hold::Weak(segment) => match segment.upgrade() {
                Some(segment) => &*upgraded.insert(segment),
                None => return None,
            },
        };
        let locked = (!last.has_claimed()).then(|| read(&last.route.audience));
        let busy = self.busy.begin();
        if way.changes != last.route.changes() || !way.grant.spend_at_once(load, &busy) {
            return None;
        }
        let (index, bytes_before) = (growing.used, growing.bytes);
        growing.used += load.messages;
        growing.bytes += u64::from(load.bytes);
        let make = |message| Record::new(message, None, bytes, bytes_before);
        segment.put(index, || message.take().map(make));
        segment.length.advance(index + 1);
        if !segment.length.nobody_has_left() {
            // Not busy while readers are called: that may recall credit, which would wait for this
            // very publisher.
            let audience = locked.unwrap_or_else(|| busy.until(|| read(&last.route.audience)));
            self.deliveries.call_back_all(&audience.singles, segment);
        }
        Some((way.queues, upgraded))
    }
}
