//! Counts how often a task is woken, from outside: a waker around the executor's own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future whose wake-ups are counted, or left alone when there is no counter.
pub struct CountWakes<F> {
    future: Pin<Box<F>>,
    counter: Option<Arc<AtomicU64>>,
    /// The waker made for the executor's last one, which seldom changes.
    waker: Option<(Waker, Waker)>,
}

impl<F: Future> CountWakes<F> {
    pub fn new(future: F, counter: Option<Arc<AtomicU64>>) -> Self {
        Self { future: Box::pin(future), counter, waker: None }
    }
}

impl<F: Future> Future for CountWakes<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(counter) = &this.counter else {
            return this.future.as_mut().poll(context);
        };
        let parent = context.waker();
        if !matches!(&this.waker, Some((of, _)) if of.will_wake(parent)) {
            let counting = Waker::from(Arc::new(CountingWaker {
                counter: Arc::clone(counter),
                parent: parent.clone(),
            }));
            this.waker = Some((parent.clone(), counting));
        }
        let (_, counting) = this.waker.as_ref().expect("made just above");
        this.future.as_mut().poll(&mut Context::from_waker(counting))
    }
}

struct CountingWaker {
    counter: Arc<AtomicU64>,
    parent: Waker,
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.counter.fetch_add(1, Ordering::Relaxed);
        self.parent.wake_by_ref();
    }
}
