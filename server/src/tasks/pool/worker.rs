//! One worker thread of a pool.

use super::job::{Interrupt, Job, PoolError};
use super::{Shared, State};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

/// What one worker works with. Every `FnMut(I, &Interrupt) -> O` is one.
pub trait Work<I, O>: 'static {
    /// Does one job. What takes long looks at `interrupt` now and then: when it is set, nobody
    /// waits for the result.
    fn process(&mut self, input: I, interrupt: &Interrupt) -> O;
}

impl<I, O, F: FnMut(I, &Interrupt) -> O + 'static> Work<I, O> for F {
    fn process(&mut self, input: I, interrupt: &Interrupt) -> O {
        self(input, interrupt)
    }
}

/// Starts one more worker.
pub(super) fn start<I, O>(shared: &Arc<Shared<I, O>>, state: &mut State<I, O>) -> io::Result<()>
where
    I: Send + 'static,
    O: Send + 'static,
{
    let name = format!("{} {}", shared.name, state.threads_started + 1);
    let of_thread = shared.clone();
    std::thread::Builder::new().name(name).spawn(move || run(&of_thread))?;
    state.threads_started += 1;
    state.workers += 1;
    Ok(())
}

fn run<I: 'static, O: 'static>(shared: &Shared<I, O>) {
    let mut work: Option<Box<dyn Work<I, O>>> = None;
    while let Some((input, job)) = next(shared) {
        // What it works with is not used again after a panic, so it does not matter in what state
        // that leaves it.
        let result = catch_unwind(AssertUnwindSafe(|| {
            work.get_or_insert_with(|| (shared.construct)()).process(input, &job.interrupt)
        }));
        // Before the caller is told: whoever has a result finds no worker busy with it.
        shared.lock().busy -= 1;
        match result {
            Ok(output) => job.finish(Ok(output)),
            Err(panic) => {
                let message = message_of(&*panic);
                // Neither may be dropped outside: a panic in there must not end the thread.
                let _ = catch_unwind(AssertUnwindSafe(|| drop((work.take(), panic))));
                job.finish(Err(PoolError::Panicked(message)));
            }
        }
        // A result that nobody fetches is the caller's type, with a drop of its own.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
    shared.ended.notify(usize::MAX);
}

/// Waits for a job; none when the worker is one too many.
fn next<I, O>(shared: &Shared<I, O>) -> Option<(I, Arc<Job<I, O>>)> {
    let mut state = shared.lock();
    loop {
        if state.workers > state.size {
            // Counted as gone under this lock, so that no other goes for the same reason.
            state.workers -= 1;
            return None;
        }
        if let Some((_, next)) = state.queue.pop_first() {
            state.busy += 1;
            return Some(next);
        }
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
