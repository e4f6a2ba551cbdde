//! Time-outs: of a future, and of a handler together with the tasks it started.

use super::{Scope, Wait, waiting};
use crate::limits::TASK_END_MS;
use async_io::Timer;
use futures_lite::future;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The result of `future`; `None` if there is none after `limit`. As cancel safe as `future` is.
pub fn timeout<T>(
    limit: Duration,
    future: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    let out_of_time = async move {
        // why: one for each call, and not for each wait within it.
        Timer::after(limit).await;
        None
    };
    future::or(async { Some(future.await) }, out_of_time)
}

impl Scope {
    /// Runs `handler` for at most `limit`. The handler starts its tasks in the scope it is given.
    /// When this returns, none of them is left, whether the handler finished or ran out of time
    /// (`None`): its tasks end first, then the handler is dropped. The log names those that block
    /// their thread.
    ///
    /// If this future is dropped, so is the handler, and its tasks are cancelled.
    ///
    /// ```
    /// # use fanfare_server::tasks::{BoxedTask, Tasks};
    /// # use futures_lite::future::{block_on, pending};
    /// # use std::time::Duration;
    /// # let tasks = Tasks::new(|task: BoxedTask| {
    /// #     std::thread::spawn(|| block_on(task));
    /// # });
    /// let requests = tasks.scope("requests");
    /// let limit = Duration::from_millis(5);
    /// let handled = requests.with_timeout("request", limit, |scope| async move {
    ///     // Waits forever for an answer that nobody gives, as a leaking Go program does.
    ///     let child = scope.spawn("child", pending());
    ///     child.await
    /// });
    /// assert!(block_on(handled).is_none());
    /// assert_eq!(tasks.alive(), 0);
    /// ```
    pub async fn with_timeout<T, F: Future<Output = T>>(
        &self,
        name: &'static str,
        limit: Duration,
        handler: impl FnOnce(Arc<Self>) -> F,
    ) -> Option<T> {
        // The handler may keep its scope or give it away. It is closed all the same.
        let children = CancelOnDrop(Arc::new(self.scope(name)));
        let mut handler = pin!(handler(children.0.clone()));
        let result = waiting(Wait::TIMER, timeout(limit, handler.as_mut())).await;
        let report = children.0.end(Instant::now() + Duration::from_millis(TASK_END_MS)).await;
        if !report.left.is_empty() {
            log::warn!(task:% = super::label(); "tasks of {name} outlive it: {report}");
        }
        result
    }
}

struct CancelOnDrop(Arc<Scope>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use crate::tasks::tests::{NoteOnDrop, SetOnDrop, threads};
    use crate::tasks::{Scope, TaskEnd};
    use futures_lite::future::{block_on, pending, poll_once};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::sync_channel;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const FOREVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_handler_in_time_gives_its_result_and_leaves_no_child() {
        let tasks = threads();
        let scope = tasks.scope("test");
        let handled = scope.with_timeout("handler", FOREVER, async |children: Arc<Scope>| {
            children.spawn("forgotten", pending());
            7
        });
        assert_eq!(block_on(handled).unwrap(), 7);
        assert_eq!(tasks.alive(), 0);
    }

    #[test]
    fn a_handler_out_of_time_takes_its_children_and_their_children_with_it_before_itself() {
        let tasks = threads();
        let scope = tasks.scope("test");
        let of_others = scope.spawn("of others", pending());
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let note = |name| NoteOnDrop(order.clone(), name);
        let (of_handler, of_child, of_grandchild) =
            (note("handler"), note("child"), note("grandchild"));
        let handled =
            scope.with_timeout("handler", Duration::from_millis(1), |children| async move {
                let _handler = of_handler;
                let within = children.scope("within");
                within.spawn("grandchild", async move {
                    let _grandchild = of_grandchild;
                    pending::<()>().await;
                });
                let child = children.spawn("child", async move {
                    let _child = of_child;
                    pending::<()>().await;
                });
                child.await;
                pending::<()>().await;
            });
        assert!(block_on(handled).is_none());
        assert_eq!(*order.lock().unwrap(), ["grandchild", "child", "handler"]);
        assert_eq!((tasks.alive(), of_others.outcome()), (1, None));
    }

    #[test]
    fn a_child_that_blocks_its_thread_keeps_nobody_waiting() {
        let tasks = threads();
        let scope = tasks.scope("test");
        let (release, wait) = sync_channel::<()>(0);
        let handled =
            scope.with_timeout("handler", Duration::from_millis(1), |children| async move {
                let (started, running) = sync_channel(0);
                children.spawn("blocks", async move {
                    started.send(()).unwrap();
                    let _ = wait.recv();
                });
                running.recv().unwrap();
                pending::<()>().await;
            });
        assert!(block_on(handled).is_none());
        let [left] = &scope.list()[..] else { panic!("{:?}", scope.list()) };
        assert!(left.to_string().contains("blocks (of handler) has been running"), "{left}");
        drop(release);
        block_on(scope.ended());
    }

    #[test]
    fn a_call_that_is_dropped_takes_the_children_with_it() {
        let tasks = threads();
        let scope = tasks.scope("test");
        let dropped = Arc::new(AtomicBool::new(false));
        let held = SetOnDrop(dropped.clone());
        let mut kept = None;
        let keep = &mut kept;
        let mut handled = Box::pin(scope.with_timeout("handler", FOREVER, |children| async move {
            let _held = held;
            children.spawn("child", pending());
            *keep = Some(children);
            pending::<()>().await;
        }));
        assert!(block_on(poll_once(handled.as_mut())).is_none());
        assert_eq!(tasks.alive(), 1);
        drop(handled);
        assert!(dropped.load(Ordering::SeqCst));
        block_on(scope.ended());
        // The handler gave its scope away, which is of no use to anybody.
        let late = kept.unwrap().spawn("late", pending());
        assert_eq!(block_on(late), TaskEnd::Cancelled);
    }
}
