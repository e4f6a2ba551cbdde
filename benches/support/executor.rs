//! The executor of smol and async-std on two threads, for every peer that brings no runtime of its
//! own.

#![allow(
    clippy::disallowed_methods,
    reason = "a peer in its own natural use; nothing of ours rests on it"
)]

use async_executor::{Executor, Task};
use futures_lite::future::or;
use std::future::{Future, pending};
use std::sync::Arc;
use std::thread;

const THREADS: usize = 2;

/// Tasks are spawned through it; they end with the run.
#[derive(Clone, Default)]
pub struct Spawner(Arc<Executor<'static>>);

impl Spawner {
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.0.spawn(task)
    }
}

/// Runs `main` on the calling thread and what it spawns on two others, which have ended when this
/// returns.
pub fn on_two_threads<T>(main: impl AsyncFnOnce(Spawner) -> T) -> T {
    let spawner = Spawner::default();
    let (stop, stopped) = flume::bounded::<()>(0);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (executor, stopped) = (Arc::clone(&spawner.0), stopped.clone());
            thread::spawn(move || {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "one future a thread, awaited to its end"
                )]
                let until_stopped = async {
                    let _ = stopped.recv_async().await;
                };
                async_io::block_on(or(until_stopped, executor.run(pending())));
            })
        })
        .collect();
    let result = async_io::block_on(main(spawner));
    drop(stop);
    for thread in threads {
        thread.join().expect("an executor thread ends when it is told to");
    }
    result
}
