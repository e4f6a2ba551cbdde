//! A line on the terminal that shows a command's progress. If standard error is not a terminal,
//! nothing is shown.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(200);

/// The line of a command that counts what it has done.
pub struct Progress {
    began: Instant,
    shown: Option<Instant>,
    is_wanted: bool,
}

impl Progress {
    /// Shows nothing unless `is_wanted`.
    pub fn new(is_wanted: bool) -> Self {
        let is_wanted = is_wanted && stderr().is_terminal();
        Self { began: Instant::now(), shown: None, is_wanted }
    }

    /// Shows that `done` of `total` messages are done.
    pub fn show(&mut self, done: u64, total: u64) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= EVERY);
        if self.is_wanted && (is_due || done == total) {
            self.shown = Some(Instant::now());
            let rate = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
            let bar = bar(done as f64 / total.max(1) as f64);
            // If nobody reads it, nothing is lost.
            let _ = write!(stderr(), "\r[{bar}] {done}/{total} {rate:.0} messages/s ");
        }
    }

    /// Leaves the line as it is.
    pub fn end(&self) {
        if self.is_wanted {
            let _ = writeln!(stderr());
        }
    }
}

/// Runs `work`, which takes about `duration`, and shows meanwhile how much of that has passed.
pub fn during<T>(name: &str, duration: Duration, work: impl FnOnce() -> T) -> T {
    if !stderr().is_terminal() {
        return work();
    }
    let (working, over) = sync_channel::<()>(0);
    thread::scope(|scope| {
        // Without a thread there is no progress to see, but the work is done.
        let shows = thread::Builder::new().name("progress".to_owned());
        let _ = shows.spawn_scoped(scope, move || {
            let (began, seconds) = (Instant::now(), duration.as_secs_f64());
            loop {
                let elapsed = began.elapsed().as_secs_f64();
                let bar = bar(elapsed / seconds);
                let _ = write!(stderr(), "\r[{bar}] {elapsed:.1}/{seconds:.1} s {name} ");
                if over.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            let _ = writeln!(stderr());
        });
        let result = work();
        drop(working);
        result
    })
}

fn bar(part: f64) -> String {
    const COLUMNS: usize = 30;
    let filled = ((part * COLUMNS as f64) as usize).min(COLUMNS);
    format!("{}{}", "#".repeat(filled), ".".repeat(COLUMNS - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        assert_eq!(bar(0.0), ".".repeat(30));
        assert_eq!(bar(0.5), format!("{}{}", "#".repeat(15), ".".repeat(15)));
        for full in [1.0, 7.0] {
            assert_eq!(bar(full), "#".repeat(30));
        }
    }
}
