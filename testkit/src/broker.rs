//! Helpers of the broker's tests: payloads that can be counted, wakers that count, and a watchdog.

use fanfare::{
    BatchDelivery, Broker, Delivery, Pattern, Payload, Publisher, Subscription, Topic, WhenFull,
};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Longer than any test runs. A wait of this length ends only because something happened.
pub const FOREVER: Duration = Duration::from_secs(3600);

/// After this time a test counts as hung. Far more than the slowest takes on a busy machine.
pub const HUNG_AFTER: Duration = Duration::from_secs(600);

pub fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap_or_else(|error| panic!("topic {name:?}: {error}"))
}

pub fn pattern(name: &str) -> Pattern {
    Pattern::parse(name).unwrap_or_else(|error| panic!("pattern {name:?}: {error}"))
}

/// A message with a number and a weight, whose living copies can be counted.
#[derive(Debug, PartialEq)]
pub struct Load {
    pub from: usize,
    pub number: u64,
    pub weight: usize,
    pub alive: Arc<()>,
}

impl Payload for Load {
    fn weight_bytes(&self) -> usize {
        self.weight
    }
}

/// Makes loads and knows how many of them are alive.
#[derive(Clone)]
pub struct Loads {
    token: Arc<()>,
}

impl Default for Loads {
    fn default() -> Self {
        Self::new()
    }
}

impl Loads {
    pub fn new() -> Self {
        Self { token: Arc::new(()) }
    }

    pub fn make(&self, from: usize, number: u64, weight: usize) -> Load {
        Load { from, number, weight, alive: self.token.clone() }
    }

    /// A load of weight 1.
    pub fn light(&self, number: u64) -> Load {
        self.make(0, number, 1)
    }

    pub fn batch(&self, numbers: std::ops::Range<u64>) -> Vec<Load> {
        numbers.map(|number| self.light(number)).collect()
    }

    pub fn alive(&self) -> usize {
        Arc::strong_count(&self.token) - 1
    }
}

/// A waker that counts how often it was woken.
#[derive(Default)]
pub struct Woken {
    count: AtomicUsize,
}

impl Woken {
    pub fn new() -> (Arc<Self>, Waker) {
        let woken = Arc::new(Self::default());
        let waker = Waker::from(woken.clone());
        (woken, waker)
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether it was woken since the last call.
    pub fn take(&self) -> bool {
        self.count.swap(0, Ordering::SeqCst) > 0
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    /// Kept, since a test may count allocations.
    static YIELDED: (Arc<Woken>, Waker) = Woken::new();
}

/// Polls once, and again each time the future has only yielded, as if no other task were ready.
pub fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    YIELDED.with(|(woken, waker)| {
        loop {
            woken.take();
            let polled = future.as_mut().poll(&mut Context::from_waker(waker));
            if polled.is_ready() || !woken.take() {
                return polled;
            }
        }
    })
}

/// The output of a future at its first poll; fails if the future has to wait.
#[track_caller]
pub fn at_once<F: Future>(future: F) -> F::Output {
    match poll_once(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the first poll should have been the last"),
    }
}

/// Polls once, expects to have to wait, and drops the future.
#[track_caller]
pub fn begin_and_cancel<F: Future>(future: F) {
    assert!(poll_once(pin!(future)).is_pending(), "it should have had to wait");
}

/// Polls once, expects to have to wait, and forgets the future: its destructor never runs.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "to be forgotten is what is tested")]
pub fn begin_and_forget<F: Future>(future: F) {
    let mut future = Box::pin(future);
    assert!(poll_once(future.as_mut()).is_pending(), "it should have had to wait");
    std::mem::forget(future);
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    futures_lite::future::block_on(future)
}

/// Runs `work` on a thread of its own, and fails instead of hanging if it does not end.
#[track_caller]
pub fn watched<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    watched_for(HUNG_AFTER, work)
}

#[track_caller]
pub fn watched_for<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = mpsc::sync_channel(1);
    let name = std::thread::current().name().unwrap_or("watched").to_owned();
    let worker = std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            let _ = done.send(work());
        })
        .expect("a thread");
    match result.recv_timeout(limit) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hung: not done after {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the worker ended without a result and without a panic"),
        },
    }
}

/// The processor time of this thread so far.
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}

/// A subscriber's deliveries, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    Number(u64),
    Missed(u64),
}

/// Everything that is ready, message by message.
pub fn take_all(subscription: &mut Subscription<Load>) -> Vec<Got> {
    let mut got = Vec::new();
    while let Ok(delivery) = subscription.try_recv() {
        got.push(match delivery {
            Delivery::Message(message) => Got::Number(message.number),
            Delivery::Missed(count) => Got::Missed(count),
        });
    }
    got
}

/// Everything that is ready, batch by batch.
pub fn take_all_runs(subscription: &mut Subscription<Load>) -> Vec<Got> {
    let mut got = Vec::new();
    while let Ok(delivery) = subscription.try_recv_batch() {
        match delivery {
            BatchDelivery::Batch(run) => {
                got.extend(run.iter().map(|load| Got::Number(load.number)))
            }
            BatchDelivery::Missed(count) => got.push(Got::Missed(count)),
        }
    }
    got
}

/// `Got::Number` for each of a range.
pub fn numbers(range: impl IntoIterator<Item = u64>) -> Vec<Got> {
    range.into_iter().map(Got::Number).collect()
}

/// A subscription of `bound` messages, practically without a bound in bytes.
pub fn bounded<M: Payload>(
    broker: &Broker<M>,
    to: &str,
    bound: usize,
    when_full: WhenFull,
) -> Subscription<M> {
    broker
        .subscription(&pattern(to))
        .queue_messages(bound)
        .queue_bytes(1 << 30)
        .when_full(when_full)
        .subscribe()
        .expect("the broker is open")
}

/// A subscription to `t` with room for one message, filled by load 0, and what the test needs
/// besides.
pub struct Full {
    pub broker: Broker<Load>,
    pub loads: Loads,
    pub subscription: Subscription<Load>,
    pub publisher: Publisher<Load>,
    pub to: Topic,
}

/// With room for one message.
#[track_caller]
pub fn full(when_full: WhenFull) -> Full {
    let (broker, loads, to) = (Broker::new(), Loads::new(), topic("t"));
    let subscription = bounded(&broker, "t", 1, when_full);
    let mut publisher = broker.publisher();
    assert_eq!(publisher.try_publish(&to, loads.light(0)).map(|receipt| receipt.queued), Ok(1));
    Full { broker, loads, subscription, publisher, to }
}

/// Checks that offered == received + queued + dropped, and that `offered` is as expected.
#[track_caller]
pub fn assert_books<M: Payload>(
    subscription: &Subscription<M>,
    received: u64,
    queued: u64,
    dropped: u64,
) {
    let books = subscription.books();
    assert_eq!(
        (books.offered, books.received, books.queued, books.dropped),
        (received + queued + dropped, received, queued, dropped),
        "books (offered, received, queued, dropped)"
    );
}

impl From<u64> for Got {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}
