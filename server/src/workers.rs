//! Threads that run tasks: the binary's own executor.
//!
//! A task that is woken by another runs next on the same thread, and one that is woken by a socket
//! on the thread that waited for the socket. Another thread is woken only if there is more to do
//! than one can take next. A message that passes through two tasks so costs no wake-up of a thread,
//! which takes longer than both tasks together.
//!
//! So a task must not block, nor keep its thread for long: those that it wakes wait for its end. One
//! that yields counts as busy, and another thread takes over. There is one queue for all threads,
//! and each task is in it at most once.

use crate::limits::POLLS_PER_LOOK;
use crate::locks::lock;
use crate::tasks::BoxedTask;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// Runs tasks on threads of its own, which end with the process.
pub struct Workers {
    shared: Arc<Shared>,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The tasks to poll, in order.
    ready: VecDeque<Arc<Job>>,
    /// The workers that found nothing to do.
    idle: Vec<(usize, Waker)>,
    /// The worker that was woken last, until it looks.
    called: Option<usize>,
}

/// A task.
struct Job {
    workers: Arc<Shared>,
    phase: Mutex<Phase>,
    /// `None` when it has ended.
    task: Mutex<Option<BoxedTask>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody has woken it since its last poll.
    Waits,
    /// In the queue.
    Ready,
    /// A worker polls it.
    Runs,
    /// It was woken in its poll.
    WokenInPoll,
}

/// What a thread does.
#[derive(Clone, Copy)]
enum Here {
    /// It belongs to somebody else.
    Foreign,
    /// It is this worker, which looks for tasks or waits for sockets.
    Looks(usize),
    /// It is a worker that polls a task.
    Polls,
}

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here::Foreign) };
}

impl Workers {
    /// Starts this many threads.
    pub fn start(threads: usize) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        for number in 0..threads {
            let shared = shared.clone();
            let work = move || {
                HERE.set(Here::Looks(number));
                async_io::block_on(poll_fn(|context| shared.poll_work(number, context)));
            };
            thread::Builder::new().name("worker".to_owned()).spawn(work)?;
        }
        Ok(Self { shared })
    }

    /// Runs a task in the background.
    pub fn spawn(&self, task: BoxedTask) {
        let workers = self.shared.clone();
        let (phase, task) = (Mutex::new(Phase::Waits), Mutex::new(Some(task)));
        Arc::new(Job { workers, phase, task }).wake();
    }
}

impl Shared {
    /// Polls what is ready. Never ends.
    fn poll_work(&self, number: usize, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..POLLS_PER_LOOK {
            let Some(job) = self.next(number, context.waker()) else { return Poll::Pending };
            HERE.set(Here::Polls);
            job.run();
            HERE.set(Here::Looks(number));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn next(&self, number: usize, waker: &Waker) -> Option<Arc<Job>> {
        let mut state = lock(&self.state);
        state.is_awake(number);
        let Some(job) = state.ready.pop_front() else {
            state.idle.push((number, waker.clone()));
            return None;
        };
        let other = if state.ready.is_empty() { None } else { state.call_another() };
        drop(state);
        other.into_iter().for_each(Waker::wake);
        Some(job)
    }

    /// Queues a task. `is_busy`: its thread has more to do, so another one should take it.
    fn queue(&self, job: Arc<Job>, is_busy: bool) {
        let mut state = lock(&self.state);
        state.ready.push_back(job);
        let woken = match HERE.get() {
            // This worker takes it next.
            Here::Polls if state.ready.len() == 1 && !is_busy => None,
            Here::Looks(number) => state.is_awake(number),
            Here::Polls | Here::Foreign => state.call_another(),
        };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// A worker looks, or is about to. Returns its waker if it was idle.
    fn is_awake(&mut self, number: usize) -> Option<Waker> {
        self.called.take_if(|called| *called == number);
        let index = self.idle.iter().position(|(idle, _)| *idle == number)?;
        Some(self.idle.swap_remove(index).1)
    }

    /// Wakes an idle worker. One at a time: it wakes the next if there is more to do.
    fn call_another(&mut self) -> Option<Waker> {
        if self.called.is_some() {
            return None;
        }
        let (number, waker) = self.idle.pop()?;
        self.called = Some(number);
        Some(waker)
    }
}

impl Job {
    fn run(self: Arc<Self>) {
        *lock(&self.phase) = Phase::Runs;
        let is_pending = self.poll();
        let mut phase = lock(&self.phase);
        let is_woken = *phase == Phase::WokenInPoll;
        *phase = if is_pending && is_woken { Phase::Ready } else { Phase::Waits };
        drop(phase);
        if is_pending && is_woken {
            let workers = self.workers.clone();
            workers.queue(self, true);
        }
    }

    /// Polls the task, and drops it at its end. One that panics has ended.
    fn poll(self: &Arc<Self>) -> bool {
        let mut task = lock(&self.task);
        let waker = Waker::from(self.clone());
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled =
                task.as_mut().map(|task| task.as_mut().poll(&mut Context::from_waker(&waker)));
            polled.is_some_and(|polled| polled.is_pending())
        }));
        let is_pending = polled.unwrap_or(false);
        if !is_pending {
            let ended = task.take();
            drop(task);
            // Foreign code, which may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(ended)));
        }
        is_pending
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut phase = lock(&self.phase);
        let was = *phase;
        *phase = match was {
            Phase::Waits | Phase::Ready => Phase::Ready,
            Phase::Runs | Phase::WokenInPoll => Phase::WokenInPoll,
        };
        drop(phase);
        if was == Phase::Waits {
            self.workers.queue(self.clone(), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Event;
    use futures_lite::future::yield_now;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::sync_channel;
    use testkit::patience::{PATIENCE, wait_until};

    /// Workers that have nothing to do.
    fn idle(threads: usize) -> Arc<Workers> {
        let workers = Arc::new(Workers::start(threads).unwrap());
        wait_for_idle(&workers, threads);
        workers
    }

    fn wait_for_idle(workers: &Workers, threads: usize) {
        wait_until("all are idle", || lock(&workers.shared.state).idle.len() == threads);
    }

    #[test]
    fn a_task_that_another_wakes_is_next_on_the_same_thread() {
        let workers = idle(2);
        for _ in 0..100 {
            let (said, threads) = sync_channel(2);
            let (starts, of_second) = (workers.clone(), said.clone());
            let second = async move {
                let _ = of_second.send(thread::current().id());
            };
            workers.spawn(Box::pin(async move {
                starts.spawn(Box::pin(second));
                let _ = said.send(thread::current().id());
            }));
            let [first, second] = [0; 2].map(|_| threads.recv_timeout(PATIENCE).unwrap());
            assert_eq!(first, second);
            wait_for_idle(&workers, 2);
        }
    }

    #[test]
    fn what_a_busy_thread_leaves_another_takes() {
        let workers = idle(2);
        // The first ends when the second has run, and they are woken on one thread.
        let (said, heard) = sync_channel(2);
        let starts = workers.clone();
        workers.spawn(Box::pin(async move {
            let (begun, has_begun) = sync_channel(2);
            for _ in 0..2 {
                let begun = begun.clone();
                starts.spawn(Box::pin(async move {
                    let _ = begun.send(());
                }));
            }
            let _ = said.send(has_begun.recv_timeout(PATIENCE).is_ok());
        }));
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(true), "two wait, and one thread is idle");
        // A thread whose task yields is busy, too.
        wait_for_idle(&workers, 2);
        let is_over = Arc::new(AtomicUsize::new(0));
        let (starts, ends) = (workers.clone(), is_over.clone());
        workers.spawn(Box::pin(async move {
            starts.spawn(Box::pin(async move { ends.store(1, Ordering::Relaxed) }));
            while is_over.load(Ordering::Relaxed) == 0 {
                yield_now().await;
            }
        }));
        wait_for_idle(&workers, 2);
    }

    #[test]
    fn every_task_is_polled_to_its_end_on_any_number_of_threads() {
        for threads in 1..=4 {
            let (workers, ended) = (idle(threads), Arc::new(AtomicUsize::new(0)));
            let wakes: Vec<Arc<Event>> = (0..200).map(|_| Arc::default()).collect();
            for (number, wakes) in wakes.iter().enumerate() {
                let (wakes, ended) = (wakes.listen(), ended.clone());
                workers.spawn(Box::pin(async move {
                    wakes.await;
                    for _ in 0..number % 7 {
                        yield_now().await;
                    }
                    ended.fetch_add(1, Ordering::Relaxed);
                }));
            }
            wakes.iter().for_each(|wakes| {
                wakes.notify(1);
            });
            wait_until("all have ended", || ended.load(Ordering::Relaxed) == 200);
        }
    }

    #[test]
    fn a_task_that_has_ended_or_panicked_keeps_nothing_and_its_thread_goes_on() {
        let (workers, kept) = (idle(1), Arc::new(()));
        for ends_well in [true, false] {
            let (kept, (said, heard)) = (kept.clone(), sync_channel(1));
            workers.spawn(Box::pin(async move {
                let _ = said.send(poll_fn(|context| Poll::Ready(context.waker().clone())).await);
                if !ends_well {
                    // A panic, without its report.
                    std::panic::resume_unwind(Box::new("ends badly"));
                }
                drop(kept);
            }));
            let late = heard.recv_timeout(PATIENCE).unwrap();
            wait_for_idle(&workers, 1);
            late.wake();
        }
        wait_until("both are gone", || Arc::strong_count(&kept) == 1);
        wait_for_idle(&workers, 1);
        let (said, heard) = sync_channel(2);
        workers.spawn(Box::pin(async move {
            let _ = said.send(());
        }));
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(()));
    }
}
