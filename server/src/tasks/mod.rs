//! Tasks with a name and an owner, and what each of them does now.
//!
//! Nothing here runs a task: a [`Spawn`] does, which the binary makes from its runtime. [`Tasks`]
//! knows which tasks are alive, where they were started, how long they have run and what they wait
//! for. A [`Scope`] owns some of them, and ends them when it ends. A task that ends in any way
//! (finished, cancelled, panicked) drops what it holds before it counts as ended.
//!
//! Three more tools against leaks: a handler with a time-out ends the tasks it started
//! ([`Scope::with_timeout`]), a [`Limiter`] caps what takes a permit, and a [`Watchdog`] warns when
//! tasks grow while connections do not.
//!
//! ```
//! use fanfare_server::tasks::{self, BoxedTask, TaskEnd, Tasks, Wait};
//! use futures_lite::future::{block_on, pending};
//!
//! let tasks = Tasks::new(|task: BoxedTask| {
//!     std::thread::spawn(|| block_on(task));
//! });
//! let scope = tasks.scope("example");
//! let hangs = scope.spawn("hangs", tasks::waiting(Wait::fixed("the end of time"), pending()));
//! # while hangs.info().polls == 0 { std::thread::yield_now() }
//! // #2 hangs (of example) waits for the end of time since 0.000 s, started at src/...
//! println!("{}", hangs.info());
//! assert_eq!(hangs.info().waits_for, "the end of time");
//! hangs.cancel();
//! assert_eq!(block_on(hangs), TaskEnd::Cancelled);
//! ```

mod clock;
mod current;
mod ending;
mod handle;
mod info;
mod limiter;
mod record;
mod registry;
mod scope;
mod task;
mod task_list;
mod timeout;
mod wait;
mod watchdog;

pub use current::{Current, Label, current, label};
pub use ending::EndReport;
pub use handle::{TaskEnd, TaskHandle};
pub use info::TaskInfo;
pub use limiter::{Limiter, Permit};
pub use registry::Tasks;
pub use scope::Scope;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
pub use timeout::timeout;
pub use wait::{Wait, Waiting, note_wait, waiting};
pub use watchdog::{Growth, Watchdog};

/// A future that a [`Spawn`] is given.
pub type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Runs futures in the background, on whatever runtime. Every `Fn(BoxedTask)` is one.
pub trait Spawn: Send + Sync + 'static {
    /// Starts the future in the background.
    fn spawn(&self, task: BoxedTask);
}

impl<F: Fn(BoxedTask) + Send + Sync + 'static> Spawn for F {
    fn spawn(&self, task: BoxedTask) {
        self(task)
    }
}

/// The number of a task or scope, never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// The number itself, from 1.
    pub fn number(self) -> u64 {
        self.0.get()
    }

    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed));
        // At one number a nanosecond, this overflows after five hundred years.
        #[expect(clippy::expect_used, reason = "nobody counts to 2^64")]
        Self(number.expect("nobody counts to 2^64"))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests;
