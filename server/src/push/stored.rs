//! The gateway's part of the database: after a restart no kept push is missing, no signed datagram
//! is accepted twice, and no number is used again.

use super::counters::Counters;
use super::recent::Recent;
use crate::codec::datagram::{Remembered, Replays};
use crate::limits::{PUSH_NUMBERS_RESERVED, PUSH_REMEMBERED_SIGNATURES};
use crate::message::{PushHeader, ServerMessage};
use crate::store::{Answer, Database, Store, StoreError, pushes};
use crate::time::now_ms;
use fanfare::{Broker, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// State of earlier servers for the gateway.
pub struct LeftPushes {
    last_number: u64,
    remembered: Remembered,
    recent: Recent,
}

impl LeftPushes {
    /// Reads what earlier servers left. Their pushes become the histories of the broker, to which
    /// nobody may have subscribed yet.
    pub fn read(database: &Database, broker: &Broker<ServerMessage>) -> Result<Self, StoreError> {
        let mut recent = Recent::default();
        database.each_push_loss(now_ms(), |topic, number, expires_ms| {
            recent.forget(topic, number, expires_ms);
        })?;
        let mut publisher = broker.publisher();
        database.each_push(now_ms(), |topic, message| {
            if let Some(header) = &message.push {
                recent.add(topic, header);
            }
            // Nobody subscribes yet, so no queue can be full. A closed broker keeps nothing.
            let _ = publisher.try_publish(topic, message);
        })?;
        let last_number = database.last_push_number()?.max(now_ms() * 1000);
        database.reserve_push_numbers(last_number + PUSH_NUMBERS_RESERVED)?;
        let remembered = database.take_signatures(PUSH_REMEMBERED_SIGNATURES)?;
        Ok(Self { last_number, remembered, recent })
    }
}

/// Writes to the database for a gateway.
pub(super) struct StoredPushes {
    store: Store,
    counters: Arc<Counters>,
    /// Whether the last push could not be stored.
    is_failing: Arc<AtomicBool>,
    reserved_number: AtomicU64,
    /// Whether an accepted datagram could not be stored.
    is_incomplete: Arc<AtomicBool>,
}

impl StoredPushes {
    /// Also returns the number of the last push, the last pushes, and the signed datagrams that
    /// were accepted.
    pub fn new(
        store: Store,
        left: LeftPushes,
        counters: Arc<Counters>,
    ) -> (Self, u64, Recent, Remembered) {
        let LeftPushes { last_number, remembered, recent } = left;
        let stored = Self {
            store,
            counters,
            is_failing: Arc::default(),
            reserved_number: AtomicU64::new(last_number + PUSH_NUMBERS_RESERVED),
            is_incomplete: Arc::default(),
        };
        (stored, last_number, recent, remembered)
    }

    /// Stores a push; its topic keeps the last `per_topic`. Returns the answer to wait for, if
    /// `is_awaited`.
    pub fn keep(
        &self,
        (topic, header, message): (&Topic, &Arc<PushHeader>, &ServerMessage),
        per_topic: usize,
        is_awaited: bool,
    ) -> Option<Answer<()>> {
        self.reserve_numbers(header.number);
        let (topic, header, message) = (topic.clone(), header.clone(), message.clone());
        let (counters, is_failing) = (self.counters.clone(), self.is_failing.clone());
        let answer = is_awaited.then(Answer::<()>::default);
        let sender = answer.as_ref().map(Answer::sender);
        self.store.submit(
            message.payload().len(),
            move |connection| {
                let push = (&topic, &*header, message.payload());
                pushes::keep(connection, push, per_topic, now_ms())
            },
            move |result| {
                counters.unstored.add(result.is_err().into());
                tell(&result, &is_failing);
                if let Some(sender) = sender {
                    sender.send(result);
                }
            },
        );
        if is_awaited {
            self.store.hurry();
        }
        answer
    }

    /// Reserves more numbers when half of them are used up.
    fn reserve_numbers(&self, number: u64) {
        let reserved = self.reserved_number.load(Ordering::Relaxed);
        if number + PUSH_NUMBERS_RESERVED / 2 > reserved {
            let reserved = number + PUSH_NUMBERS_RESERVED;
            self.reserved_number.store(reserved, Ordering::Relaxed);
            let work = move |connection: &_| pushes::reserve_numbers(connection, reserved);
            self.store.submit(0, work, drop);
        }
    }

    /// Remembers signed datagrams that were just taken.
    pub fn remember(&self, taken: Vec<(u64, u128)>, replays: &Replays) {
        let remembered =
            Remembered { taken, forgotten: replays.forgotten(), complete_from_s: None };
        let (seconds, is_failing) = (replays.seconds(), self.is_failing.clone());
        // Set before the last request runs, whatever fails: this request, or its commit.
        let (of_request, of_commit) = (self.is_incomplete.clone(), self.is_incomplete.clone());
        self.store.submit(
            remembered.taken.len() * size_of::<(u64, u128)>(),
            move |connection| {
                let done = pushes::remember(connection, &remembered, seconds);
                done.inspect_err(|_| of_request.store(true, Ordering::Release))
            },
            move |result| {
                of_commit.fetch_or(result.is_err(), Ordering::Release);
                tell(&result, &is_failing);
            },
        );
    }

    /// Notes that from this second on every accepted datagram is in the database. Call it last.
    pub fn end(&self, complete_from_s: u64) {
        let is_incomplete = self.is_incomplete.clone();
        let work = move |connection: &_| match is_incomplete.load(Ordering::Acquire) {
            true => Ok(()),
            false => pushes::complete(connection, complete_from_s),
        };
        let is_failing = self.is_failing.clone();
        self.store.submit(0, work, move |result| tell(&result, &is_failing));
    }
}

/// Logs when storing begins to fail, and when it works again.
fn tell(result: &Result<(), StoreError>, is_failing: &AtomicBool) {
    match result {
        Ok(()) if is_failing.swap(false, Ordering::Relaxed) => {
            log::warn!("pushes are stored again; those before are not");
        }
        Err(error) if !is_failing.swap(true, Ordering::Relaxed) => {
            log::error!("pushes are not stored: {error}");
        }
        _ => {}
    }
}
