//! The last messages of a topic, for subscriptions that begin later.

use crate::limits::HISTORY_BYTES_MAX;
use crate::log::deferred::Deferred;
use crate::log::message::Message;
use crate::payload::Origin;
use crate::sync::lock;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

/// The kept messages of one topic. Its lock is held over a whole fan-out and over the beginning of
/// a subscription with replay, so each message is either in the replay or delivered live, never
/// both and never neither.
pub(crate) struct History<M> {
    kept: Mutex<Kept<M>>,
}

pub(crate) struct Kept<M> {
    messages_max: usize,
    messages: VecDeque<KeptMessage<M>>,
    bytes: usize,
    last_stamp: u64,
}

/// A kept message, and its number among all kept messages of the broker.
pub(crate) struct KeptMessage<M> {
    pub stamp: u64,
    pub origin: Option<Origin>,
    pub message: Message<M>,
}

impl<M> History<M> {
    pub fn new(messages_max: usize) -> Self {
        let kept = Kept { messages_max, messages: VecDeque::new(), bytes: 0, last_stamp: 0 };
        Self { kept: Mutex::new(kept) }
    }

    pub fn lock(&self) -> MutexGuard<'_, Kept<M>> {
        lock(&self.kept)
    }

    pub fn kept(&self) -> usize {
        self.lock().messages.len()
    }

    /// The last `count` messages, oldest first.
    pub fn last(&self, count: usize) -> Vec<Message<M>> {
        let kept = self.lock();
        let mut last: Vec<_> =
            kept.newest_first().take(count).map(|kept| kept.message.clone()).collect();
        last.reverse();
        last
    }

    /// Takes out all that is kept, to be dropped under no lock.
    pub fn clear(&self) -> VecDeque<KeptMessage<M>> {
        let mut kept = self.lock();
        kept.bytes = 0;
        std::mem::take(&mut kept.messages)
    }

    /// The number of the last message kept here; only the order means something.
    pub fn last_stamp(&self) -> u64 {
        self.lock().last_stamp
    }
}

impl<M> Kept<M> {
    pub fn keep(&mut self, kept: KeptMessage<M>, deferred: &mut Deferred<M>) {
        self.last_stamp = kept.stamp;
        self.bytes += kept.message.weight_bytes() as usize;
        self.messages.push_back(kept);
        while self.messages.len() > self.messages_max || self.bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.messages.pop_front() else {
                return;
            };
            self.bytes -= oldest.message.weight_bytes() as usize;
            deferred.segments.push(oldest.message.into_segment());
        }
    }

    pub fn newest_first(&self) -> impl Iterator<Item = &KeptMessage<M>> {
        self.messages.iter().rev()
    }
}
