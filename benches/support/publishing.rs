//! The publishers' side of a run that is the same for every peer: what to publish when, and the
//! clock.

use super::ledger::{Finish, Progress};
use super::load::{Load, Outcome, SLOW_PUBLISH};
use super::wakes::CountWakes;
use futures_lite::future::yield_now;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// One run, shared by its publishers and readers.
pub struct Course {
    load: Load,
    progress: Vec<Progress>,
    started: OnceLock<Instant>,
    wakes: Option<Arc<AtomicU64>>,
}

impl Course {
    pub fn new(load: &Load) -> Arc<Self> {
        let warms_up = load.warm_up > 0;
        assert!(!warms_up || load.scenario.publishers == 1, "rows that warm up have one publisher");
        assert!(warms_up || load.scenario.stuck == 0, "rows with stuck subscribers warm up");
        Arc::new(Self {
            load: *load,
            progress: (0..load.scenario.living()).map(|_| Progress::default()).collect(),
            started: OnceLock::new(),
            wakes: load.counts_wakes.then(Default::default),
        })
    }

    pub fn progress(&self, reader: usize) -> &Progress {
        &self.progress[reader]
    }

    /// Wraps a reader's task, so that its wake-ups can be counted.
    pub fn reader<F: Future>(&self, task: F) -> CountWakes<F> {
        CountWakes::new(task, self.wakes.clone())
    }

    /// What came of the run, when all its tasks have ended.
    pub async fn outcome(
        &self,
        publishers: impl IntoIterator<Item: Future<Output = PublisherReport>>,
        readers: impl IntoIterator<Item: Future<Output = Finish>>,
    ) -> Outcome {
        let mut reports = Vec::new();
        for publisher in publishers {
            reports.push(publisher.await);
        }
        let mut finishes = Vec::new();
        for reader in readers {
            finishes.push(reader.await);
        }
        self.sum(&finishes, &reports)
    }

    fn sum(&self, readers: &[Finish], publishers: &[PublisherReport]) -> Outcome {
        let started = *self.started.get().expect("a publisher has started the clock");
        let last = readers.iter().map(|finish| finish.at).max().expect("somebody reads");
        Outcome {
            elapsed: last.saturating_duration_since(started),
            deliveries: readers
                .iter()
                .map(|finish| finish.received.saturating_sub(self.load.warm_up))
                .sum(),
            lost: readers.iter().map(|finish| finish.lost).sum(),
            longest_publish: publishers
                .iter()
                .map(|report| report.longest)
                .max()
                .unwrap_or_default(),
            slow_publishes: publishers.iter().map(|report| report.slow).sum(),
            wake_ups: self.wakes.as_ref().map_or(0, |wakes| wakes.load(Ordering::Relaxed)),
            waited_publishes: publishers.iter().map(|report| report.waited).sum(),
        }
    }

    fn slowest_reader(&self) -> u64 {
        self.progress.iter().map(Progress::received).min().expect("somebody reads")
    }
}

/// What one publisher has to tell in the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublisherReport {
    pub longest: Duration,
    pub slow: u64,
    pub waited: u64,
}

/// Leads one publisher through its messages: warm-up, start of the clock, gaps.
pub struct Pacer {
    course: Arc<Course>,
    next: u64,
    end: u64,
    due: Instant,
    began: Instant,
    pub report: PublisherReport,
}

impl Pacer {
    pub fn new(course: &Arc<Course>) -> Self {
        let now = Instant::now();
        Self {
            course: Arc::clone(course),
            next: 0,
            end: course.load.warm_up + course.load.messages_each,
            due: now,
            began: now,
            report: PublisherReport::default(),
        }
    }

    /// The numbers of the messages to publish next, a batch at a time; `None` at the end.
    pub async fn next_batch(&mut self) -> Option<Range<u64>> {
        let load = self.course.load;
        if self.next == load.warm_up {
            self.start_clock().await;
        }
        if self.next == self.end {
            return None;
        }
        let batch = self.next..self.next + load.scenario.batch as u64;
        self.next = batch.end;
        if load.gap.is_some() && batch.start >= load.warm_up {
            while Instant::now() < self.due {
                yield_now().await;
            }
            self.began = Instant::now();
        }
        Some(batch)
    }

    /// To be called when a batch has been published.
    pub fn published(&mut self) {
        let Some(gap) = self.course.load.gap else { return };
        if self.next <= self.course.load.warm_up {
            return;
        }
        let now = Instant::now();
        let took = now - self.began;
        self.due = now + gap;
        self.report.longest = self.report.longest.max(took);
        self.report.slow += u64::from(took >= SLOW_PUBLISH);
    }

    /// Waits until no reader is more than `messages` behind. The pace of an application whose
    /// readers acknowledge: it stands in where a peer's own back-pressure would stop at the first
    /// stuck subscriber.
    pub async fn acknowledged(&self, messages: u64) {
        while self.next - self.course.slowest_reader() > messages {
            yield_now().await;
        }
    }

    async fn start_clock(&mut self) {
        while self.course.slowest_reader() < self.course.load.warm_up {
            yield_now().await;
        }
        self.due = Instant::now();
        self.course.started.get_or_init(Instant::now);
    }
}
