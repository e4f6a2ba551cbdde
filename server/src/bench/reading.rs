//! The subscribers' side: a few threads, each with many sockets.

use super::connection::PATIENCE;
use super::frames::{Protocol, Scanner};
use super::load::BenchError;
use crate::counted::counted;
use crate::transport::ClientStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sockets of one thread. A `poll` of that many costs less than one read.
pub const SOCKETS_PER_THREAD: usize = 64;

/// How often a thread that hears nothing looks whether it has heard all.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// How long a thread lets messages gather that it only counts. A thread that wakes for every write
/// takes cores from the server, and reads no faster.
const GATHER: Duration = Duration::from_micros(100);

/// Bytes a socket in one round that are worth a round.
const GATHERED_BYTES: usize = 64 * 1024;

/// Bytes of a read, unless a payload is larger.
const READ_BYTES: usize = 256 * 1024;

/// The payload's first bytes: its number, from 0 on.
pub const NUMBER_BYTES: usize = 8;
/// The bytes behind the number: when it was to be sent, in nanoseconds since the run's epoch.
pub const TIMED_BYTES: usize = 16;

/// The state that the threads of a run share.
#[derive(Debug)]
pub struct Progress {
    /// Since when times are counted.
    pub epoch: Instant,
    /// Messages that each subscriber has received.
    pub received: Vec<AtomicU64>,
    /// For each publisher, how many each of its subscribers is to receive in the end; `u64::MAX`
    /// until that is known.
    pub targets: Vec<AtomicU64>,
    /// Something went wrong, or nobody reads any more.
    pub stop: AtomicBool,
}

impl Progress {
    pub fn new(publishers: usize, subscribers: usize) -> Self {
        Self {
            epoch: Instant::now(),
            received: (0..subscribers).map(|_| AtomicU64::new(0)).collect(),
            targets: (0..publishers).map(|_| AtomicU64::new(u64::MAX)).collect(),
            stop: AtomicBool::new(false),
        }
    }
}

/// One subscriber.
#[derive(Debug)]
pub struct Inbox {
    stream: ClientStream,
    /// The subscriber's index in [`Progress::received`].
    pub subscriber: usize,
    /// The publisher it hears: an index into [`Progress::targets`].
    pub publisher: usize,
    scanner: Scanner,
    /// The beginning of a message whose end has not come yet.
    rest: Vec<u8>,
    received: u64,
}

impl Inbox {
    pub fn new(
        stream: ClientStream,
        subscriber: usize,
        publisher: usize,
        protocol: Protocol,
    ) -> Self {
        Self {
            stream,
            subscriber,
            publisher,
            scanner: Scanner::new(protocol),
            rest: Vec::new(),
            received: 0,
        }
    }

    /// Messages beyond those that it was to receive.
    pub fn beyond(&self, progress: &Progress) -> u64 {
        self.received.saturating_sub(target(self, progress))
    }
}

/// The check that a reader makes of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing: it is counted.
    Count,
    /// Its number must be the next.
    Number,
    /// The same, and how late it is.
    Time,
}

/// The report of a reading thread.
#[derive(Debug, Default)]
pub struct Heard {
    /// When the first and the last message came.
    pub first: Option<Instant>,
    pub last: Option<Instant>,
    /// How late each message was, in nanoseconds.
    pub late_ns: Vec<u64>,
}

/// Reads until every inbox has all of its messages, or the run is stopped. Fails if the server
/// closes or complains, or if a message is missing or out of turn.
pub fn read_all(
    inboxes: &mut [Inbox],
    progress: &Progress,
    look: Look,
    payload_bytes: usize,
) -> Result<Heard, BenchError> {
    let mut buffer = vec![0; READ_BYTES.max(2 * payload_bytes + READ_BYTES)];
    let mut heard = Heard::default();
    let mut quiet_since = Instant::now();
    loop {
        let ready = ready(inboxes)?;
        let mut read_bytes = 0;
        for &index in &ready {
            read_bytes += read_one(&mut inboxes[index], &mut buffer, progress, look, &mut heard)?;
        }
        if has_all(inboxes, progress) || progress.stop.load(Ordering::Relaxed) {
            return Ok(heard);
        }
        if look != Look::Time && read_bytes < GATHERED_BYTES * ready.len() {
            thread::park_timeout(GATHER);
        }
        if !ready.is_empty() {
            quiet_since = Instant::now();
        } else if quiet_since.elapsed() > PATIENCE && is_over(inboxes, progress) {
            return Err(missing(inboxes, progress));
        }
    }
}

/// The inboxes that have something to read; none if nothing comes for a while.
fn ready(inboxes: &[Inbox]) -> Result<Vec<usize>, BenchError> {
    let mut sockets: Vec<PollFd<'_>> =
        inboxes.iter().map(|inbox| PollFd::new(&inbox.stream, PollFlags::IN)).collect();
    match poll(&mut sockets, Some(&LOOK_AGAIN)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(format!("poll failed: {error}")),
    }
    Ok((0..sockets.len()).filter(|index| !sockets[*index].revents().is_empty()).collect())
}

fn read_one(
    inbox: &mut Inbox,
    buffer: &mut [u8],
    progress: &Progress,
    look: Look,
    heard: &mut Heard,
) -> Result<usize, BenchError> {
    let kept = inbox.rest.len();
    buffer[..kept].copy_from_slice(&inbox.rest);
    let read_bytes = match (&inbox.stream).read(&mut buffer[kept..]) {
        Ok(0) => {
            return Err(format!(
                "the server closed a subscriber's connection after {}",
                counted(inbox.received, "message")
            ));
        }
        Ok(read_bytes) => read_bytes,
        Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
            return Ok(0);
        }
        Err(error) => {
            return Err(format!(
                "a subscriber's connection broke after {}: {error}",
                counted(inbox.received, "message")
            ));
        }
    };
    let now = Instant::now();
    let now_ns = now.duration_since(progress.epoch).as_nanos() as u64;
    let bytes = &buffer[..kept + read_bytes];
    let (before, mut received, mut out_of_turn) = (inbox.received, inbox.received, None);
    let walked = match look {
        Look::Count => inbox.scanner.walk(bytes, |_| received += 1),
        Look::Number | Look::Time => inbox.scanner.walk(bytes, |payload| {
            if number(payload, 0) != Some(received) {
                out_of_turn.get_or_insert(number(payload, 0));
            }
            if look == Look::Time {
                let due_ns = number(payload, NUMBER_BYTES).unwrap_or(now_ns);
                heard.late_ns.push(now_ns.saturating_sub(due_ns));
            }
            received += 1;
        }),
    }?;
    if let Some(came) = out_of_turn {
        return Err(format!(
            "a message came out of turn: {came:?} among those from {before} to {received}"
        ));
    }
    inbox.rest.clear();
    inbox.rest.extend_from_slice(&bytes[walked.bytes..]);
    if received > before {
        inbox.received = received;
        progress.received[inbox.subscriber].store(received, Ordering::Release);
        heard.first.get_or_insert(now);
        heard.last = Some(now);
    }
    for _ in 0..walked.pings {
        (&inbox.stream)
            .write_all(b"PONG\r\n")
            .map_err(|error| format!("a subscriber's connection broke: {error}"))?;
    }
    Ok(read_bytes)
}

fn number(payload: &[u8], at: usize) -> Option<u64> {
    payload
        .get(at..at + NUMBER_BYTES)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_le_bytes)
}

fn target(inbox: &Inbox, progress: &Progress) -> u64 {
    progress.targets[inbox.publisher].load(Ordering::Acquire)
}

fn has_all(inboxes: &[Inbox], progress: &Progress) -> bool {
    inboxes.iter().all(|inbox| inbox.received >= target(inbox, progress))
}

/// Whether nothing more is sent.
fn is_over(inboxes: &[Inbox], progress: &Progress) -> bool {
    inboxes.iter().all(|inbox| target(inbox, progress) < u64::MAX)
}

fn missing(inboxes: &[Inbox], progress: &Progress) -> BenchError {
    let missing: u64 =
        inboxes.iter().map(|inbox| target(inbox, progress).saturating_sub(inbox.received)).sum();
    format!("{} did not come within {} s", counted(missing, "message"), PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// The report of a subscriber that expects `target` messages and is sent these numbers.
    fn heard(target: u64, numbers: &[u64]) -> Result<u64, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for number in numbers {
            server.write_all(b"PING\r\nMSG bench.0 1 8\r\n").unwrap();
            server.write_all(&number.to_le_bytes()).unwrap();
            server.write_all(b"\r\n").unwrap();
        }
        server.shutdown(std::net::Shutdown::Write).unwrap();
        let progress = Progress::new(1, 1);
        progress.targets[0].store(target, Ordering::Release);
        let mut inboxes = [Inbox::new(socket.into(), 0, 0, Protocol::Nats)];
        read_all(&mut inboxes, &progress, Look::Number, 8)?;
        Ok(progress.received[0].load(Ordering::Relaxed))
    }

    #[test]
    fn lost_doubled_and_reordered_messages_are_found() {
        assert_eq!(heard(3, &[0, 1, 2]), Ok(3));
        for (numbers, complaint) in [
            (&[0, 2, 3][..], "out of turn"),
            (&[0, 0, 1], "out of turn"),
            (&[1, 0, 2], "out of turn"),
            (&[0, 1], "closed"),
        ] {
            let error = heard(3, numbers).unwrap_err();
            assert!(error.contains(complaint), "{numbers:?}: {error}");
        }
    }
}
