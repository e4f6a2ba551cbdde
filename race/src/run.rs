//! One run of one peer.

use crate::executor::Task;
use crate::ledger::{Finish, Ledger};
use crate::message::{Plain, RaceMessage, Stamp, Text};
use crate::peers::Peer;
use crate::scenario::{Content, Scenario};
use crate::wakes::CountWakes;
use futures_lite::future::block_on;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A scenario, and how long it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub scenario: Scenario,
    /// Messages of each publisher: a multiple of the batch.
    pub messages_each: u64,
    /// Counting wake-ups costs time, so it is off where time is measured.
    pub counts_wakes: bool,
}

/// The result of a run. Stuck subscribers are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// From the first publish until the last living subscriber had its last message.
    pub elapsed: Duration,
    pub deliveries: u64,
    /// Deliveries that living subscribers missed.
    pub lost: u64,
    /// Of the whole process.
    pub processor: Duration,
    /// How often a subscriber's task was woken; counted only if asked for.
    pub wake_ups: u64,
    /// Known where the scenario has a rate, as the next two are.
    pub median_latency: Duration,
    /// 99 of 100 deliveries take no longer.
    pub p99_latency: Duration,
    pub longest_publish: Duration,
}

impl Load {
    pub fn new(scenario: Scenario, messages_each: u64) -> Self {
        let batch = scenario.batch as u64;
        let messages_each = messages_each.div_ceil(batch) * batch;
        Self { scenario, messages_each, counts_wakes: false }
    }

    /// Messages that every living subscriber is to receive.
    pub fn expected_each(&self) -> u64 {
        self.messages_each * self.scenario.publishers as u64
    }
}

impl Outcome {
    pub fn deliveries_per_s(&self) -> f64 {
        self.deliveries as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub fn processor_ns(&self) -> f64 {
        self.processor.as_nanos() as f64 / self.deliveries.max(1) as f64
    }
}

/// Runs the peer.
pub fn run<P: Peer>(load: &Load) -> Outcome {
    match load.scenario.content {
        Content::Copy => run_with::<P, Plain>(load),
        Content::String => run_with::<P, Text>(load),
    }
}

fn run_with<P: Peer, M: RaceMessage>(load: &Load) -> Outcome {
    let (publishers, mut readers) = P::open::<M>(&load.scenario);
    let stuck = readers.split_off(load.scenario.living());
    let course = Arc::new(Course {
        load: *load,
        started: OnceLock::new(),
        longest_publish_ns: AtomicU64::new(0),
        wakes: load.counts_wakes.then(Default::default),
        finishes: Mutex::default(),
    });
    let mut tasks: Vec<Task> = Vec::new();
    for reader in readers {
        let task = CountWakes::new(read::<P, M>(reader, course.clone()), course.wakes.clone());
        tasks.push(Box::pin(task));
    }
    let began = processor();
    if let Some(rate_per_s) = load.scenario.rate_per_s {
        thread::scope(|scope| {
            for publisher in publishers {
                scope.spawn(|| publish_at_rate::<P, M>(publisher, rate_per_s, &course));
            }
            load.scenario.executor.run(tasks);
        });
    } else {
        for (number, publisher) in publishers.into_iter().enumerate() {
            tasks.push(Box::pin(publish::<P, M>(publisher, number, course.clone())));
        }
        load.scenario.executor.run(tasks);
    }
    drop(stuck);
    course.outcome(processor() - began)
}

/// One run, shared by its tasks.
struct Course {
    load: Load,
    started: OnceLock<Instant>,
    longest_publish_ns: AtomicU64,
    wakes: Option<Arc<AtomicU64>>,
    finishes: Mutex<Vec<Finish>>,
}

impl Course {
    fn outcome(&self, processor: Duration) -> Outcome {
        let mut readers = self.finishes.lock().unwrap_or_else(PoisonError::into_inner);
        let started = *self.started.get().expect("a publisher has started the clock");
        let last = readers.iter().map(|finish| finish.at).max().expect("somebody reads");
        let mut latencies_ns: Vec<u64> =
            readers.iter_mut().flat_map(|finish| finish.latencies_ns.drain(..)).collect();
        latencies_ns.sort_unstable();
        let of_hundred = |part: usize| {
            latencies_ns.get(latencies_ns.len() * part / 100).copied().unwrap_or_default()
        };
        Outcome {
            elapsed: last.saturating_duration_since(started),
            deliveries: readers.iter().map(|finish| finish.received).sum(),
            lost: readers.iter().map(|finish| finish.lost).sum(),
            processor,
            wake_ups: self.wakes.as_ref().map_or(0, |wakes| wakes.load(Ordering::Relaxed)),
            median_latency: Duration::from_nanos(of_hundred(50)),
            p99_latency: Duration::from_nanos(of_hundred(99)),
            longest_publish: Duration::from_nanos(self.longest_publish_ns.load(Ordering::Relaxed)),
        }
    }
}

async fn read<P: Peer, M: RaceMessage>(mut reader: P::Reader<M>, course: Arc<Course>) {
    let scenario = &course.load.scenario;
    let mut ledger = Ledger::new(scenario.publishers, course.load.expected_each());
    let blocks = scenario.executor.blocks();
    while !ledger.is_complete() {
        let mut see = |message: &M| ledger.record(message.stamp());
        if !P::read(&mut reader, blocks, &mut see).await {
            break;
        }
    }
    let finish = ledger.finish();
    P::check(&reader, finish.received);
    course.finishes.lock().unwrap_or_else(PoisonError::into_inner).push(finish);
}

async fn publish<P: Peer, M: RaceMessage>(
    mut publisher: P::Publisher<M>,
    number: usize,
    course: Arc<Course>,
) {
    let Load { scenario, messages_each, .. } = course.load;
    let blocks = scenario.executor.blocks();
    let message = |sequence| M::new(Stamp { publisher: number, sequence, published: None });
    let mut batch = Vec::with_capacity(scenario.batch);
    course.started.get_or_init(Instant::now);
    for begin in (0..messages_each).step_by(scenario.batch) {
        if scenario.batch == 1 {
            P::publish(&mut publisher, message(begin), blocks).await;
        } else {
            batch.extend((begin..begin + scenario.batch as u64).map(message));
            P::publish_batch(&mut publisher, &mut batch, blocks).await;
        }
    }
}

/// On a thread of its own, as one that is told by the network what to publish. It sleeps between
/// messages, so it costs next to nothing itself.
#[expect(clippy::disallowed_methods, reason = "the pace is what is asked for, and no test waits")]
fn publish_at_rate<P: Peer, M: RaceMessage>(
    mut publisher: P::Publisher<M>,
    rate_per_s: u32,
    course: &Course,
) {
    let started = *course.started.get_or_init(Instant::now);
    for sequence in 0..course.load.messages_each {
        let due = started + Duration::from_secs(sequence) / rate_per_s;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let published = Instant::now();
        let stamp = Stamp { publisher: 0, sequence, published: Some(published) };
        block_on(P::publish(&mut publisher, M::new(stamp), true));
        let took_ns = published.elapsed().as_nanos() as u64;
        course.longest_publish_ns.fetch_max(took_ns, Ordering::Relaxed);
    }
}

/// Processor time of the process so far.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
