//! How many threads run the tasks: as many as the load keeps busy.
//!
//! An executor with several threads wakes another one for each task that it runs, in case the task
//! takes long. At a light load the other finds nothing to do, and a message costs up to twice the
//! processor time. So one thread runs everything until it is always busy and the machine has
//! processor time to spare.

use crate::process::{cores, cpu_time, idle_time};
use crate::tasks::{Wait, waiting};
use async_io::Timer;
use std::time::{Duration, Instant};

/// The time between two looks. Shorter loads are not worth a thread.
const LOOK: Duration = Duration::from_millis(200);

/// The share of their time that threads are busy before there is another. With less to do they
/// still have turns for whatever comes.
const BUSY: f64 = 0.9;

/// The share of their time that one thread fewer would be busy before one ends. Below [`BUSY`], so
/// that it is not missed at once.
const AT_EASE: f64 = 0.75;

/// The cores that are idle before there is another thread. With fewer it takes its time from those
/// that send and receive.
const IDLE_CORES: f64 = 0.5;

/// How often in a row threads are seen at ease before one ends: ten seconds. A pause in the load is
/// shorter.
const LOOKS_AT_EASE: u32 = 50;

/// Decides how many threads there are.
#[derive(Debug)]
pub struct Threads {
    count: usize,
    least: usize,
    most: usize,
    looks_at_ease: u32,
}

/// What is to be done with the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more is to begin.
    Begin,
    /// One of them is to end.
    End,
}

impl Threads {
    /// Begins with the least number, which is one or more.
    pub fn new(least: usize, most: usize) -> Self {
        Self { count: least, least, most, looks_at_ease: 0 }
    }

    /// Waits until the load asks for another number.
    pub async fn change(&mut self) -> Change {
        let (mut timer, mut last) = (Timer::never(), Times::now());
        loop {
            timer.set_after(LOOK);
            waiting(Wait::TIMER, &mut timer).await;
            let now = Times::now();
            if let Some(change) = self.look(now.busy_since(&last), now.idle_since(&last)) {
                return change;
            }
            last = now;
        }
    }

    /// What to do after a time with this number of cores that the process kept busy, and of idle
    /// ones.
    fn look(&mut self, busy_cores: f64, idle_cores: f64) -> Option<Change> {
        let is_at_ease = self.count > self.least && busy_cores < AT_EASE * (self.count - 1) as f64;
        self.looks_at_ease = if is_at_ease { self.looks_at_ease + 1 } else { 0 };
        if self.looks_at_ease == LOOKS_AT_EASE {
            self.looks_at_ease = 0;
            self.count -= 1;
            return Some(Change::End);
        }
        let is_busy = busy_cores >= BUSY * self.count as f64 && idle_cores >= IDLE_CORES;
        if is_busy && self.count < self.most {
            self.count += 1;
            return Some(Change::Begin);
        }
        None
    }
}

/// Processor times at one moment.
struct Times {
    at: Instant,
    /// Of this process.
    busy: Duration,
    /// Of the machine; `None` where the system does not tell.
    idle: Option<Duration>,
}

impl Times {
    fn now() -> Self {
        Self { at: Instant::now(), busy: cpu_time(), idle: idle_time() }
    }

    fn busy_since(&self, last: &Self) -> f64 {
        cores(self.busy.saturating_sub(last.busy), self.elapsed_since(last))
    }

    /// Whoever is not told takes the machine for idle.
    fn idle_since(&self, last: &Self) -> f64 {
        let Some((now, last_idle)) = self.idle.zip(last.idle) else { return f64::INFINITY };
        cores(now.saturating_sub(last_idle), self.elapsed_since(last))
    }

    fn elapsed_since(&self, last: &Self) -> Duration {
        self.at.saturating_duration_since(last.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_begins_when_all_are_busy_and_a_core_is_idle() {
        let mut threads = Threads::new(1, 3);
        assert_eq!(threads.look(0.8, 1.0), None, "it still has time");
        assert_eq!(threads.look(1.0, 0.2), None, "others need the cores");
        assert_eq!(threads.look(1.0, 1.0), Some(Change::Begin));
        assert_eq!(threads.look(1.5, 1.0), None);
        assert_eq!(threads.look(2.0, 1.0), Some(Change::Begin));
        assert_eq!(threads.look(3.0, 9.0), None, "there are as many as may be");
    }

    #[test]
    fn a_thread_ends_when_the_others_have_long_been_enough() {
        let mut threads = Threads::new(1, 2);
        assert_eq!(threads.look(1.0, 1.0), Some(Change::Begin));
        let rest =
            |threads: &mut Threads| (1..LOOKS_AT_EASE).all(|_| threads.look(0.5, 1.0).is_none());
        assert!(rest(&mut threads));
        assert_eq!(threads.look(0.8, 1.0), None, "one would not be enough: it begins anew");
        assert!(rest(&mut threads));
        assert_eq!(threads.look(0.5, 1.0), Some(Change::End));
        assert!(rest(&mut threads));
        assert_eq!(threads.look(0.0, 2.0), None, "the last one stays");
    }

    #[test]
    fn times_are_shares_of_what_has_passed() {
        let (at, second) = (Instant::now(), Duration::from_secs(1));
        let last = Times { at, busy: second, idle: Some(second) };
        let now = Times { at: at + 2 * second, busy: 4 * second, idle: Some(2 * second) };
        assert_eq!((now.busy_since(&last), now.idle_since(&last)), (1.5, 0.5));
        let untold = Times { idle: None, ..now };
        assert_eq!(untold.idle_since(&last), f64::INFINITY);
    }
}
