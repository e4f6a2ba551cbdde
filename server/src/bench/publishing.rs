//! The publishers' side: one thread each.

use super::frames::{Protocol, append_publish};
use super::load::{BenchError, Load};
use super::reading::{NUMBER_BYTES, Progress, TIMED_BYTES};
use crate::transport::ClientStream;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Messages ahead of the slowest subscriber, all subscribers together. So a run has an end soon
/// after its last publish.
const AHEAD_DELIVERIES: u64 = 2_000_000;

/// Bytes ahead of the slowest subscriber. Redis disconnects a client with 32 MiB waiting, or with 8
/// MiB for a minute.
const AHEAD_BYTES: u64 = 4 << 20;

/// How often a publisher that is too far ahead looks again.
const LOOK_AGAIN: Duration = Duration::from_micros(100);

/// A batch, rendered once; only the numbers in it change.
#[derive(Debug)]
pub struct Batch {
    pub bytes: Vec<u8>,
    /// Where each payload begins.
    payloads: Vec<usize>,
}

impl Batch {
    pub fn new(protocol: Protocol, subject: &str, messages: usize, payload_bytes: usize) -> Self {
        Self::made_of(messages, payload_bytes, |out, payload| {
            append_publish(protocol, out, subject, payload)
        })
    }

    /// `append` writes one message and says where its payload begins.
    pub fn made_of(
        messages: usize,
        payload_bytes: usize,
        append: impl Fn(&mut Vec<u8>, &[u8]) -> usize,
    ) -> Self {
        let payload = vec![b'.'; payload_bytes];
        let mut bytes = Vec::new();
        let payloads = (0..messages).map(|_| append(&mut bytes, &payload)).collect();
        Self { bytes, payloads }
    }

    /// Numbers the messages from `first` on.
    pub fn number(&mut self, first: u64) {
        for (number, &begin) in (first..).zip(&self.payloads) {
            self.bytes[begin..begin + NUMBER_BYTES].copy_from_slice(&number.to_le_bytes());
        }
    }

    /// Writes into the only message when it was due.
    fn time(&mut self, due: Duration) {
        let (begin, due_ns) = (self.payloads[0] + NUMBER_BYTES, due.as_nanos() as u64);
        self.bytes[begin..begin + TIMED_BYTES - NUMBER_BYTES]
            .copy_from_slice(&due_ns.to_le_bytes());
    }
}

/// Publishes until the time is over or the messages are sent, and returns their number. `heard_by`
/// are the publisher's subscribers.
pub fn publish_all(
    stream: &ClientStream,
    mut batch: Batch,
    load: &Load,
    progress: &Progress,
    heard_by: &[usize],
) -> Result<u64, BenchError> {
    let begin = Instant::now();
    let ahead = ahead(load, heard_by.len() * load.publishers);
    let (mut sent, mut allowed) = (0, 0);
    while !progress.stop.load(Ordering::Relaxed) && !is_enough(load, begin, sent) {
        let messages = load.batch as u64;
        while sent + messages > allowed {
            allowed = slowest(progress, heard_by).saturating_add(ahead);
            if sent + messages > allowed {
                if progress.stop.load(Ordering::Relaxed) {
                    return Ok(sent);
                }
                thread::park_timeout(LOOK_AGAIN);
            }
        }
        batch.number(sent);
        write(stream, &batch.bytes)?;
        sent += messages;
    }
    Ok(sent)
}

/// Publishes each message when it is due, whatever became of those before.
pub fn publish_at_rate(
    stream: &ClientStream,
    mut batch: Batch,
    load: &Load,
    rate: f64,
    progress: &Progress,
) -> Result<u64, BenchError> {
    let begin = progress.epoch.elapsed();
    let messages = load.messages.unwrap_or((load.duration.as_secs_f64() * rate) as u64).max(1);
    let mut due_together = Vec::new();
    let mut sent = 0;
    while sent < messages && !progress.stop.load(Ordering::Relaxed) {
        let due = |number: u64| begin + Duration::from_secs_f64(number as f64 / rate);
        let now = progress.epoch.elapsed();
        if due(sent) > now {
            thread::park_timeout(due(sent) - now);
            continue;
        }
        due_together.clear();
        while sent < messages && due(sent) <= now {
            batch.number(sent);
            batch.time(due(sent));
            due_together.extend_from_slice(&batch.bytes);
            sent += 1;
        }
        write(stream, &due_together)?;
    }
    Ok(sent)
}

fn is_enough(load: &Load, begin: Instant, sent: u64) -> bool {
    match load.messages {
        Some(messages) => sent >= messages,
        None => begin.elapsed() >= load.duration,
    }
}

/// How far one publisher may be ahead of its slowest subscriber.
fn ahead(load: &Load, subscribers: usize) -> u64 {
    if subscribers == 0 {
        return u64::MAX;
    }
    let by_bytes = AHEAD_BYTES / (load.payload_bytes as u64 + 32);
    let by_deliveries = AHEAD_DELIVERIES / subscribers as u64;
    by_bytes.min(by_deliveries).max(2 * load.batch as u64)
}

fn slowest(progress: &Progress, heard_by: &[usize]) -> u64 {
    heard_by
        .iter()
        .map(|subscriber| progress.received[*subscriber].load(Ordering::Acquire))
        .min()
        .unwrap_or(0)
}

fn write(mut stream: &ClientStream, bytes: &[u8]) -> Result<(), BenchError> {
    stream
        .write_all(bytes)
        .map_err(|error| format!("the server does not take what is published: {error}"))
}
