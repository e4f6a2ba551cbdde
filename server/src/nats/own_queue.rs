//! A subscription with a queue of its own, as the writing half reads it.

use super::gathered::{Copied, Gathered};
use super::policy::QueuePolicy;
use super::render::{self, outgoing};
use crate::limits::NATS_OVERTAKING_MESSAGES;
use crate::message::ServerMessage;
use fanfare::{Batch, EndReason, Mailbox, MailboxDelivery, Pattern, SubscriptionId};
use std::task::{Context, Poll};
use std::time::Instant;

/// The queue, and what was gathered from it.
pub(super) struct OwnQueue {
    pub id: SubscriptionId,
    mailbox: Mailbox<ServerMessage>,
    policy: QueuePolicy,
    gathered: Gathered,
    /// Messages that were left out and not told yet.
    pub missed: render::Missing,
    /// Nothing that was gathered is sent before this.
    next_at: Option<Instant>,
    /// No message of this queue belongs before answers that were placed up to this count.
    clear_for: u64,
    /// Messages taken since.
    taken: u64,
    /// The client has unsubscribed: what is queued is still sent, without delay.
    is_closing: bool,
}

/// The next item of a queue.
pub(super) enum Next {
    Batch(Batch<ServerMessage>),
    Gathered(Copied),
    /// Nothing now. The task is woken when there is something.
    Nothing,
    Ended {
        is_slow: bool,
    },
}

/// The result of a look at the mailbox.
enum Taken {
    Batch(Batch<ServerMessage>),
    Nothing,
    Ended,
}

impl OwnQueue {
    pub fn new(id: SubscriptionId, mailbox: Mailbox<ServerMessage>, policy: QueuePolicy) -> Self {
        Self {
            id,
            mailbox,
            policy,
            gathered: Gathered::default(),
            missed: render::Missing::default(),
            next_at: None,
            clear_for: 0,
            taken: 0,
            is_closing: false,
        }
    }

    /// Goes on under another policy. What was gathered comes first.
    pub fn renew(&mut self, new: Self) {
        let Self { id, mailbox, policy, .. } = new;
        (self.id, self.mailbox, self.policy) = (id, mailbox, policy);
        // Nobody has looked at this mailbox.
        self.is_clear_for(0);
        let latest = policy.interval.map(|interval| Instant::now() + interval);
        self.next_at = self.next_at.min(latest);
    }

    /// Ends its subscription. False if the client has.
    pub fn unsubscribe(&self) -> bool {
        self.mailbox.unsubscribe(self.id)
    }

    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether answers that were placed by now have to wait until this queue is looked at.
    pub fn is_behind(&self, placed: u64) -> bool {
        self.clear_for < placed
    }

    /// When something may be sent that may not be sent now.
    pub fn due(&self) -> Option<Instant> {
        self.next_at.filter(|_| !self.is_closing && !self.gathered.is_empty())
    }

    /// The time has come.
    pub fn alarm(&mut self, now: Instant) {
        self.next_at.take_if(|next_at| *next_at <= now);
    }

    /// The next messages, of topics that `except` does not match.
    pub fn poll(&mut self, context: &mut Context<'_>, placed: u64, except: &[Pattern]) -> Next {
        if !self.policy.gathers() {
            // Messages gathered under an earlier policy come first.
            return match self.gathered.take_first() {
                Some(first) => Next::Gathered(first),
                None => self.poll_plain(context, placed),
            };
        }
        let has_ended = self.gather(context, placed, except);
        let may_send = has_ended || self.is_closing || self.is_due();
        match self.gathered.take_first_if(may_send) {
            Some(first) => {
                self.next_at = self.policy.interval.map(|interval| Instant::now() + interval);
                Next::Gathered(first)
            }
            None if has_ended || self.is_closing => self.ended(),
            None => Next::Nothing,
        }
    }

    /// Takes all messages out of the queue, so that newer ones replace those that wait. Returns
    /// whether the queue has ended.
    pub fn gather(&mut self, context: &mut Context<'_>, placed: u64, except: &[Pattern]) -> bool {
        // Not for ever, however fast others publish.
        let mut left = self.policy.queue_messages;
        while left > 0 {
            let batch = match self.take(context, placed) {
                Taken::Batch(batch) => batch,
                Taken::Nothing => return false,
                Taken::Ended => return true,
            };
            left = left.saturating_sub(batch.len());
            if except.iter().any(|pattern| pattern.matches(batch.topic())) {
                continue;
            }
            let QueuePolicy { latest_by_subject, queue_messages, queue_bytes, .. } = self.policy;
            let mut header = Vec::new();
            for index in 0..batch.len() {
                let Some(message) = outgoing(&batch, index, &mut header) else { continue };
                let bounds = (queue_messages, queue_bytes);
                self.missed.count += self.gathered.put(&message, latest_by_subject, bounds);
            }
        }
        context.waker().wake_by_ref();
        false
    }

    pub fn gathers(&self) -> bool {
        self.policy.gathers()
    }

    fn poll_plain(&mut self, context: &mut Context<'_>, placed: u64) -> Next {
        match self.take(context, placed) {
            Taken::Batch(batch) => Next::Batch(batch),
            Taken::Nothing if !self.is_closing => Next::Nothing,
            Taken::Nothing | Taken::Ended => self.ended(),
        }
    }

    fn take(&mut self, context: &mut Context<'_>, placed: u64) -> Taken {
        loop {
            match self.mailbox.poll_recv_batch(context) {
                Poll::Ready(Some(MailboxDelivery::Batch(_, batch))) => {
                    self.taken += batch.len() as u64;
                    // By now everything queued when an item was placed has been taken.
                    let most = self.policy.queue_messages as u64 + NATS_OVERTAKING_MESSAGES;
                    if self.taken > most {
                        self.is_clear_for(placed);
                    }
                    return Taken::Batch(batch);
                }
                Poll::Ready(Some(MailboxDelivery::Missed(missed))) => self.missed.add(missed),
                Poll::Ready(None) => {
                    self.is_clear_for(placed);
                    return Taken::Ended;
                }
                Poll::Pending => {
                    self.is_clear_for(placed);
                    return Taken::Nothing;
                }
            }
        }
    }

    fn is_clear_for(&mut self, placed: u64) {
        (self.clear_for, self.taken) = (placed, 0);
    }

    fn is_due(&self) -> bool {
        self.next_at.is_none_or(|next_at| next_at <= Instant::now())
    }

    fn ended(&self) -> Next {
        let is_slow = self.mailbox.end_reason() == Some(EndReason::Disconnected);
        Next::Ended { is_slow }
    }
}
