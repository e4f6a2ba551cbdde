//! The system's figures of this process.

use crate::locks::lock;
use crate::memory::allocated_bytes;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Figures of this process at one moment; those that a system does not tell are zero.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// When the figures were taken.
    pub at: Instant,
    /// Memory in RAM.
    pub resident_bytes: u64,
    /// Memory that the program has allocated and not freed.
    pub allocated_bytes: u64,
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Open file descriptors.
    pub file_descriptors: u64,
    pub threads: u64,
}

impl Process {
    /// The figures as they are now.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Self {
            at: Instant::now(),
            resident_bytes: field("VmRSS:").unwrap_or(0) * 1024,
            allocated_bytes: allocated_bytes().unwrap_or(0),
            cpu: cpu_time(),
            file_descriptors: file_descriptors(),
            threads: field("Threads:").unwrap_or(0),
        }
    }
}

/// Since Linux 6.2 the directory's size is their count; to list ten thousand takes milliseconds.
fn file_descriptors() -> u64 {
    const OPEN: &str = "/proc/self/fd";
    let size = std::fs::metadata(OPEN).map_or(0, |directory| directory.len());
    // The directory's own descriptor is open while it is read.
    let listed = || std::fs::read_dir(OPEN).map_or(0, |entries| entries.count() as u64 - 1);
    if size > 0 { size } else { listed() }
}

/// Processor time that all threads of this process have used so far.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processor time in which the cores of this machine had nothing to do that matters, all together.
/// `None` where the system does not tell.
pub fn idle_time() -> Option<Duration> {
    let figures = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks = idle_ticks(&figures)?;
    Some(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).ok()?)
}

/// The first line tells of all cores: user, nice, system, idle, iowait (see proc_stat(5)). Niced
/// programs yield to others, and whoever waits for a disk needs no core.
fn idle_ticks(figures: &str) -> Option<u64> {
    let ticks = figures.strip_prefix("cpu ")?.split_whitespace().take(5).map(str::parse::<u64>);
    match ticks.collect::<Result<Vec<_>, _>>().ok()?[..] {
        [_user, nice, _system, idle, iowait] => Some(nice + idle + iowait),
        _ => None,
    }
}

/// Processor time in the time that has passed meanwhile; 1 is a whole core.
pub fn cores(spent: Duration, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { spent.as_secs_f64() / elapsed.as_secs_f64() }
}

/// How busy the process was since somebody last asked.
pub struct CpuShare {
    last: Mutex<Process>,
}

impl CpuShare {
    /// From that moment on.
    pub fn new(began: Process) -> Self {
        Self { last: Mutex::new(began) }
    }

    /// In percent of one core.
    pub fn percent(&self, now: Process) -> f64 {
        let mut last = lock(&self.last);
        let elapsed = now.at.saturating_duration_since(last.at);
        let busy = now.cpu.saturating_sub(last.cpu);
        *last = now;
        cores(busy, elapsed) * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_memory_threads_and_descriptors() {
        let process = Process::now();
        assert!(process.resident_bytes > 100_000, "{process:?}");
        assert!(
            process.threads >= 1 && process.file_descriptors >= 3 && process.cpu > Duration::ZERO,
            "{process:?}"
        );
    }

    #[test]
    fn the_idle_time_is_read_from_the_first_line() {
        let figures = "cpu  10 20 30 400 50 6 7 8 9 0\ncpu0 1 2 3 4 5\nintr 5\n";
        assert_eq!(idle_ticks(figures), Some(470));
        assert_eq!(idle_ticks("intr 5\n"), None);
        assert_eq!(idle_ticks("cpu  10 20 30 x 50"), None);
        assert_eq!(idle_ticks("cpu  10 20 30 40"), None);
    }

    #[test]
    fn the_share_is_of_the_time_since_the_last_look() {
        let began = Process::now();
        let share = CpuShare::new(began);
        let later = |seconds: u64, busy: u64| Process {
            at: began.at + Duration::from_secs(seconds),
            cpu: began.cpu + Duration::from_secs(busy),
            ..began
        };
        assert_eq!(share.percent(later(10, 5)), 50.0);
        assert_eq!(share.percent(later(20, 25)), 200.0);
        assert_eq!(share.percent(later(20, 25)), 0.0);
    }
}
