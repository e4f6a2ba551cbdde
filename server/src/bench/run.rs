//! One run: publishers and subscribers side by side.

use super::connection::{Connection, Endpoint};
use super::load::{BenchError, Listening, Load, Outcome, SUBJECT};
use super::publishing::{Batch, publish_all, publish_at_rate};
use super::reading::{Heard, Inbox, Look, Progress, SOCKETS_PER_THREAD, read_all};
use crate::counted::counted;
use crate::process;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Publishes to subscribers who check everything.
pub fn run(endpoint: &Endpoint, load: &Load) -> Result<Outcome, BenchError> {
    let mut inboxes = Vec::new();
    let mut stuck = Vec::new();
    for publisher in 0..load.publishers {
        for _ in 0..load.stuck {
            stuck.push(subscriber(endpoint, &subject(publisher))?);
        }
        for _ in 0..load.subscribers {
            let stream = subscriber(endpoint, &subject(publisher))?.into_stream()?;
            inboxes.push(Inbox::new(stream, inboxes.len(), publisher, endpoint.protocol));
        }
    }
    let publishers = publishers(endpoint, load)?;
    let progress = Progress::new(load.publishers, inboxes.len());
    let heard_by =
        |publisher: usize| publisher * load.subscribers..(publisher + 1) * load.subscribers;
    let look = if load.rate.is_some() { Look::Time } else { Look::Number };
    measured(&mut inboxes, &progress, look, load.payload_bytes, || {
        publish_side_by_side(endpoint, load, &publishers, &progress, heard_by)
    })
}

/// Publishes to nobody, until the server has dealt with it.
pub fn publish(endpoint: &Endpoint, load: &Load) -> Result<Outcome, BenchError> {
    let mut publishers = publishers(endpoint, load)?;
    let progress = Progress::new(load.publishers, 0);
    let mut outcome = measured(&mut [], &progress, Look::Count, load.payload_bytes, || {
        let messages = publish_side_by_side(endpoint, load, &publishers, &progress, |_| 0..0)?;
        publishers.iter_mut().try_for_each(Connection::sync)?;
        Ok(messages)
    })?;
    outcome.deliveries = 0;
    Ok(outcome)
}

/// Counts what others publish.
pub fn listen(endpoint: &Endpoint, listening: &Listening) -> Result<Outcome, BenchError> {
    let mut inboxes = Vec::new();
    for number in 0..listening.subscribers {
        let mut connection = endpoint.connect()?;
        // Not confirmed: messages may come before the confirmation.
        connection.subscribe(&listening.subject)?;
        let stream = connection.into_stream()?;
        inboxes.push(Inbox::new(stream, number, 0, endpoint.protocol));
    }
    let progress = Progress::new(1, inboxes.len());
    let heard_any = || progress.received.iter().any(|count| count.load(Ordering::Relaxed) > 0);
    let mut outcome = measured(&mut inboxes, &progress, Look::Count, 0, || {
        while !heard_any() && !progress.stop.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(1));
        }
        let end = Instant::now() + listening.duration;
        while Instant::now() < end && !progress.stop.load(Ordering::Relaxed) {
            thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
        progress.stop.store(true, Ordering::Relaxed);
        Ok(0)
    })?;
    // Nobody knows when the publishers began, so the time counts from the first message to the
    // last.
    outcome.messages = outcome.deliveries / listening.subscribers.max(1) as u64;
    Ok(outcome)
}

fn subject(publisher: usize) -> String {
    format!("{SUBJECT}.{publisher}")
}

fn subscriber(endpoint: &Endpoint, subject: &str) -> Result<Connection, BenchError> {
    let mut connection = endpoint.connect()?;
    connection.subscribe_surely(subject)?;
    Ok(connection)
}

fn publishers(endpoint: &Endpoint, load: &Load) -> Result<Vec<Connection>, BenchError> {
    let publisher = |_| {
        let mut connection = endpoint.connect()?;
        connection.for_publishing()?;
        Ok(connection)
    };
    (0..load.publishers).map(publisher).collect()
}

/// Returns how many messages all publishers published.
fn publish_side_by_side(
    endpoint: &Endpoint,
    load: &Load,
    publishers: &[Connection],
    progress: &Progress,
    heard_by: impl Fn(usize) -> Range<usize>,
) -> Result<u64, BenchError> {
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, publisher) in publishers.iter().enumerate() {
            let heard_by: Vec<usize> = heard_by(number).collect();
            let publish = move || -> Result<u64, BenchError> {
                let messages = if load.rate.is_some() { 1 } else { load.batch };
                let batch =
                    Batch::new(endpoint.protocol, &subject(number), messages, load.payload_bytes);
                let sent = match load.rate {
                    Some(rate) => publish_at_rate(publisher.stream(), batch, load, rate, progress),
                    None => publish_all(publisher.stream(), batch, load, progress, &heard_by),
                }?;
                progress.targets[number].store(sent, Ordering::Release);
                Ok(sent)
            };
            let thread = thread::Builder::new()
                .name(format!("publisher {number}"))
                .spawn_scoped(scope, publish);
            threads.push(thread.map_err(|error| error.to_string())?);
        }
        // If one fails, the others are still waited for. They stop when told to.
        let sent: Vec<_> = threads.into_iter().map(|thread| joined(thread.join())).collect();
        sent.into_iter().sum()
    })
}

/// Lets the inboxes read while `publish` does its work, and takes the time.
pub fn measured(
    inboxes: &mut [Inbox],
    progress: &Progress,
    look: Look,
    payload_bytes: usize,
    publish: impl FnOnce() -> Result<u64, BenchError>,
) -> Result<Outcome, BenchError> {
    let (begin, processor_begin) = (Instant::now(), process::cpu_time());
    let heard = thread::scope(|scope| {
        let mut threads = Vec::new();
        for group in inboxes.chunks_mut(SOCKETS_PER_THREAD) {
            let read = move || {
                let heard = read_all(group, progress, look, payload_bytes);
                if heard.is_err() {
                    progress.stop.store(true, Ordering::Relaxed);
                }
                heard
            };
            let thread =
                thread::Builder::new().name("subscribers".to_owned()).spawn_scoped(scope, read);
            threads.push(thread.map_err(|error| error.to_string())?);
        }
        let published = publish();
        if published.is_err() {
            progress.stop.store(true, Ordering::Relaxed);
        }
        let heard: Vec<_> = threads.into_iter().map(|thread| joined(thread.join())).collect();
        // A subscriber's error says more than that its publisher stopped afterwards.
        let heard: Vec<Heard> = heard.into_iter().collect::<Result<_, _>>()?;
        Ok::<_, BenchError>((published?, heard))
    });
    let (messages, heard) = heard?;
    let too_many: u64 = inboxes.iter().map(|inbox| inbox.beyond(progress)).sum();
    if too_many > 0 {
        return Err(format!("{} came that nobody had published", counted(too_many, "message")));
    }
    let client_time = process::cpu_time().saturating_sub(processor_begin);
    let begin = if messages == 0 {
        heard.iter().filter_map(|heard| heard.first).min().unwrap_or(begin)
    } else {
        begin
    };
    let end = heard.iter().filter_map(|heard| heard.last).max().unwrap_or_else(Instant::now);
    let mut late_ns: Vec<u64> = heard.into_iter().flat_map(|heard| heard.late_ns).collect();
    late_ns.sort_unstable();
    let deliveries = progress.received.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    Ok(Outcome { messages, deliveries, elapsed: end.duration_since(begin), client_time, late_ns })
}

fn joined<T>(result: thread::Result<Result<T, BenchError>>) -> Result<T, BenchError> {
    result.unwrap_or_else(|_| Err("a thread of the client panicked".to_owned()))
}
