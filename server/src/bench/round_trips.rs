//! Requests and answers: two clients that wait for each other.

use super::connection::Endpoint;
use super::frames::{Protocol, Scanner};
use super::load::{BenchError, SUBJECT};
use crate::transport::ClientStream;
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The round trips to measure.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    /// How long to measure.
    pub duration: Duration,
    /// Bytes of each request and of each reply.
    pub payload_bytes: usize,
    /// Requests that are sent at once, before the first answer.
    pub in_flight: usize,
}

/// How long the answering side waits before it looks whether it is still wanted.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Returns how long each round trip took, or each row of them that was sent at once: nanoseconds in
/// ascending order.
pub fn round_trips(endpoint: &Endpoint, what: &RoundTrips) -> Result<Vec<u64>, BenchError> {
    if endpoint.protocol != Protocol::Nats {
        return Err("only NATS has requests".to_owned());
    }
    let (service, inbox) = (format!("{SUBJECT}.service"), format!("_INBOX.{SUBJECT}.1"));
    let mut answering = endpoint.connect()?;
    answering.subscribe_surely(&service)?;
    let mut asking = endpoint.connect()?;
    asking.subscribe_surely(&inbox)?;
    let (answering, asking) = (answering.into_stream()?, asking.into_stream()?);
    let payload = ".".repeat(what.payload_bytes);
    let request = format!("PUB {service} {inbox} {}\r\n{payload}\r\n", what.payload_bytes);
    let answer = format!("PUB {inbox} {}\r\n{payload}\r\n", what.payload_bytes);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let service = thread::Builder::new().name("answering".to_owned());
        let service = service
            .spawn_scoped(scope, || answer_all(&answering, answer.as_bytes(), &is_over))
            .map_err(|error| error.to_string())?;
        let times = ask_all(&asking, request.as_bytes(), what);
        is_over.store(true, Ordering::Relaxed);
        service.join().unwrap_or_else(|_| Err("the answering thread panicked".to_owned()))?;
        times
    })
}

fn ask_all(
    stream: &ClientStream,
    request: &[u8],
    what: &RoundTrips,
) -> Result<Vec<u64>, BenchError> {
    let (mut inbox, mut times) = (Inbox::new(stream), Vec::new());
    let requests = request.repeat(what.in_flight);
    let begin = Instant::now();
    while begin.elapsed() < what.duration {
        let sent = Instant::now();
        inbox.write(&requests)?;
        let mut missing = what.in_flight;
        while missing > 0 {
            missing = missing.saturating_sub(inbox.read()?);
        }
        times.push(sent.elapsed().as_nanos() as u64);
    }
    times.sort_unstable();
    Ok(times)
}

fn answer_all(
    stream: &ClientStream,
    answer: &[u8],
    is_over: &AtomicBool,
) -> Result<(), BenchError> {
    stream.set_read_patience(Some(LOOK_AGAIN)).map_err(|error| error.to_string())?;
    let mut inbox = Inbox::new(stream);
    while !is_over.load(Ordering::Relaxed) {
        let requests = inbox.read()?;
        inbox.write(&answer.repeat(requests))?;
    }
    Ok(())
}

struct Inbox<'a> {
    stream: &'a ClientStream,
    scanner: Scanner,
    unread: Vec<u8>,
}

impl Inbox<'_> {
    fn new(stream: &ClientStream) -> Inbox<'_> {
        Inbox { stream, scanner: Scanner::new(Protocol::Nats), unread: Vec::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.stream.write_all(bytes).map_err(|error| format!("a connection broke: {error}"))
    }

    /// How many messages came; none too, after the read time-out or within a message.
    fn read(&mut self) -> Result<usize, BenchError> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err("the server closed a connection".to_owned()),
            Ok(read_bytes) => self.unread.extend_from_slice(&buffer[..read_bytes]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(0);
            }
            Err(error) => return Err(format!("a connection broke: {error}")),
        }
        let mut messages = 0;
        let walked = self.scanner.walk(&self.unread, |_| messages += 1)?;
        self.unread.drain(..walked.bytes);
        for _ in 0..walked.pings {
            self.write(b"PONG\r\n")?;
        }
        Ok(messages)
    }
}
