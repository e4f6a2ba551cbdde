//! The executors. Every peer runs on each of them.

use async_executor::Executor as AsyncExecutor;
use futures_lite::future::{block_on, or};
use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::str::FromStr;
use std::thread;
use tokio::runtime::Builder;

/// Threads of an executor that has several.
const THREADS: usize = 2;

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The executor of a run's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// Tokio's multi-thread runtime, with two threads.
    Tokio,
    /// Tokio's current-thread runtime.
    TokioCurrentThread,
    /// The executor of smol and async-std, on two threads.
    AsyncExecutor,
    /// A thread for each task, and blocking calls.
    Threads,
}

impl Executor {
    pub const ALL: [Self; 4] =
        [Self::Tokio, Self::TokioCurrentThread, Self::AsyncExecutor, Self::Threads];

    /// Whether tasks use the blocking calls of a peer.
    pub fn blocks(self) -> bool {
        self == Self::Threads
    }

    /// Runs all of them to their end.
    ///
    /// # Panics
    /// When one of them panics.
    pub fn run(self, tasks: Vec<Task>) {
        match self {
            Self::Tokio => on_tokio(Builder::new_multi_thread().worker_threads(THREADS), tasks),
            Self::TokioCurrentThread => on_tokio(&mut Builder::new_current_thread(), tasks),
            Self::AsyncExecutor => on_async_executor(tasks),
            Self::Threads => thread::scope(|scope| {
                for task in tasks {
                    scope.spawn(|| block_on(task));
                }
            }),
        }
    }
}

fn on_tokio(builder: &mut Builder, tasks: Vec<Task>) {
    let runtime = builder.build().expect("threads can be had");
    runtime.block_on(async {
        let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
        for task in tasks {
            task.await.expect("a task ends");
        }
    });
}

fn on_async_executor(tasks: Vec<Task>) {
    let executor = AsyncExecutor::new();
    let tasks: Vec<_> = tasks.into_iter().map(|task| executor.spawn(task)).collect();
    let (stop, stopped) = async_broadcast::broadcast::<()>(1);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (executor, mut stopped) = (&executor, stopped.clone());
            scope.spawn(move || {
                let until_stopped = async {
                    let _ = stopped.recv_direct().await;
                };
                async_io::block_on(or(until_stopped, executor.run(pending())));
            });
        }
        for task in tasks {
            block_on(task);
        }
        drop(stop);
    });
}

impl fmt::Display for Executor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Tokio => "tokio",
            Self::TokioCurrentThread => "tokio-current-thread",
            Self::AsyncExecutor => "async-executor",
            Self::Threads => "threads",
        })
    }
}

impl FromStr for Executor {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|executor| executor.to_string() == name).ok_or_else(|| {
            format!("one of {}", Self::ALL.map(|known| known.to_string()).join(", "))
        })
    }
}
