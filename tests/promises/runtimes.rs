//! The same scenarios under every executor, and under none: async-std, smol, tokio with many
//! threads and with one, `futures_lite::future::block_on`, and plain threads with blocking calls.

use fanfare::{
    BatchDelivery, Broker, Delivery, EndReason, PublishError, Receipt, RequestError, Subscription,
    WhenFull,
};
use futures_lite::StreamExt;
use futures_lite::future::{or, yield_now, zip};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use testkit::broker::{FOREVER, Load, Loads, bounded, pattern, poll_once, topic, watched};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a scenario needs of an executor.
trait Executor: Clone + Send + Sync + 'static {
    fn run(&self, main: Task);
    fn start(&self, task: Task);

    /// Starts a task; the future gives its result, and panics if the task did.
    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let (done, result) = smol::channel::bounded(1);
        self.start(Box::pin(async move {
            let _ = done.send(task.await).await;
        }));
        async move { result.recv().await.expect("the task ended well") }
    }
}

#[derive(Clone)]
struct AsyncStd;

impl Executor for AsyncStd {
    fn run(&self, main: Task) {
        async_std::task::block_on(main);
    }
    fn start(&self, task: Task) {
        async_std::task::spawn(task);
    }
}

#[derive(Clone)]
struct Smol(Arc<smol::Executor<'static>>);

impl Executor for Smol {
    fn run(&self, main: Task) {
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| smol::block_on(self.0.run(stopped.recv())));
            }
            let result =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| smol::block_on(main)));
            drop(stop);
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }
    fn start(&self, task: Task) {
        self.0.spawn(task).detach();
    }
}

/// Without tokio's own timer and reactor: nothing of ours may need them.
#[derive(Clone)]
struct Tokio(Arc<tokio::runtime::Runtime>);

impl Tokio {
    fn many_threads() -> Self {
        Self(Arc::new(
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .build()
                .expect("a runtime"),
        ))
    }
    fn one_thread() -> Self {
        Self(Arc::new(tokio::runtime::Builder::new_current_thread().build().expect("a runtime")))
    }
}

impl Executor for Tokio {
    fn run(&self, main: Task) {
        self.0.block_on(main);
    }
    fn start(&self, task: Task) {
        self.0.spawn(task);
    }
}

/// No executor at all: each task blocks a thread of its own.
#[derive(Clone)]
struct BlockOn;

impl Executor for BlockOn {
    fn run(&self, main: Task) {
        futures_lite::future::block_on(main);
    }
    fn start(&self, task: Task) {
        thread::spawn(|| futures_lite::future::block_on(task));
    }
}

macro_rules! under_every_executor {
    ($($scenario:ident),* $(,)?) => {
        mod async_std_runs {
            $(#[test] fn $scenario() { super::run(super::AsyncStd, super::$scenario); })*
        }
        mod smol_runs {
            $(#[test] fn $scenario() {
                super::run(super::Smol(Default::default()), super::$scenario);
            })*
        }
        mod tokio_with_many_threads_runs {
            $(#[test] fn $scenario() {
                super::run(super::Tokio::many_threads(), super::$scenario);
            })*
        }
        mod tokio_with_one_thread_runs {
            $(#[test] fn $scenario() { super::run(super::Tokio::one_thread(), super::$scenario); })*
        }
        mod block_on_runs {
            $(#[test] fn $scenario() { super::run(super::BlockOn, super::$scenario); })*
        }
    };
}

under_every_executor!(
    lossless_from_many_to_many,
    a_stuck_reader_costs_one_wait,
    a_full_one_is_disconnected_after_its_wait,
    receives_lose_nothing_to_a_race,
    publishes_that_are_cancelled_are_told,
    a_stream_ends_with_the_broker,
    runs_of_batches,
    requests_are_answered,
    requests_without_an_answer_time_out,
    close_frees_everybody_who_waits,
    a_subscription_that_leaves_frees_its_publisher,
    drain_reports,
    a_group_shares_the_work,
);

fn run<E: Executor, F: Future<Output = ()> + Send + 'static>(
    executor: E,
    scenario: impl FnOnce(E) -> F + Send + 'static,
) {
    watched(move || executor.clone().run(Box::pin(scenario(executor))));
}

async fn lossless_from_many_to_many<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut readers = Vec::new();
    for bound in 1..4 {
        let mut subscription = bounded(&broker, "t", bound, WhenFull::Block);
        readers.push(executor.spawn(async move {
            let mut next = [0; 3];
            while let Some(delivery) = subscription.recv().await {
                let Delivery::Message(message) = delivery else { panic!("lossless") };
                assert_eq!(message.number, next[message.from]);
                next[message.from] += 1;
            }
            assert_eq!(subscription.end_reason(), Some(EndReason::Closed));
            next
        }));
    }
    let mut writers = Vec::new();
    for from in 0..3 {
        let (mut publisher, loads) = (broker.publisher(), loads.clone());
        writers.push(executor.spawn(async move {
            let mut sum = Receipt::default();
            for number in 0..100 {
                sum += publisher
                    .publish(&topic("t"), loads.make(from, number, 1))
                    .await
                    .expect("open");
            }
            sum
        }));
    }
    drop(broker);
    for writer in writers {
        let sum = writer.await;
        assert_eq!((sum.matched, sum.queued), (300, 300));
    }
    for reader in readers {
        assert_eq!(reader.await, [100; 3]);
    }
    assert_eq!(loads.alive(), 0);
}

async fn a_stuck_reader_costs_one_wait<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut stuck = bounded(&broker, "t", 1, WhenFull::Wait(Duration::from_millis(1)));
    let mut reading = bounded(&broker, "t", 1000, WhenFull::Block);
    let mut publisher = broker.publisher();
    let writer = executor.spawn(async move {
        let mut waited = 0;
        for number in 0..100 {
            waited +=
                publisher.publish(&topic("t"), loads.light(number)).await.expect("open").waited;
        }
        waited
    });
    drop(broker);
    assert_eq!(writer.await, 1, "the first time it is full, and never again");
    let mut count = 0;
    while reading.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 100);
    assert!(matches!(stuck.recv().await, Some(Delivery::Message(message)) if message.number == 0));
    assert!(matches!(stuck.recv().await, Some(Delivery::Missed(99))));
    assert!(stuck.recv().await.is_none());
}

async fn a_full_one_is_disconnected_after_its_wait<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut subscription =
        bounded(&broker, "t", 2, WhenFull::Disconnect { after: Duration::from_millis(1) });
    let mut publisher = broker.publisher();
    let writer = executor.spawn(async move {
        let mut sum = Receipt::default();
        for number in 0..5 {
            sum += publisher.publish(&topic("t"), loads.light(number)).await.expect("open");
        }
        sum
    });
    let sum = writer.await;
    assert_eq!(
        sum,
        Receipt { matched: 3, queued: 2, waited: 1, dropped: 0, disconnected: 1, remote: 0 }
    );
    assert!(subscription.recv().await.is_none());
    assert_eq!(subscription.end_reason(), Some(EndReason::Disconnected));
}

/// A receive that loses a race is dropped; the message it might have had must come to the next.
async fn receives_lose_nothing_to_a_race<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 3, WhenFull::Block);
    let reader = executor.spawn(async move {
        let mut next = 0;
        loop {
            let received = or(async { Some(subscription.recv().await) }, async {
                yield_now().await;
                None
            });
            match received.await {
                Some(Some(Delivery::Message(message))) => {
                    assert_eq!(message.number, next);
                    next += 1;
                }
                Some(Some(Delivery::Missed(count))) => panic!("missed {count}"),
                Some(None) => return next,
                None => {}
            }
        }
    });
    let mut publisher = broker.publisher();
    drop(broker);
    for number in 0..500 {
        let _ = publisher.publish(&topic("t"), loads.light(number)).await.expect("open");
        if number % 7 == 0 {
            yield_now().await;
        }
    }
    drop(publisher);
    assert_eq!(reader.await, 500);
}

async fn publishes_that_are_cancelled_are_told<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let writer = executor.spawn(async move {
        for number in 0..300 {
            let to = topic("t");
            let publish = async { drop(publisher.publish(&to, loads.light(number)).await) };
            or(publish, yield_now()).await;
        }
    });
    drop(broker);
    let (mut received, mut told, mut last) = (0, 0, None);
    while let Some(delivery) = subscription.recv().await {
        match delivery {
            Delivery::Message(message) => {
                assert_eq!(message.number, received + told, "every gap in its place");
                assert!(last < Some(message.number));
                last = Some(message.number);
                received += 1;
            }
            Delivery::Missed(count) => told += count,
        }
    }
    writer.await;
    assert_eq!(received + told, 300);
}

async fn a_stream_ends_with_the_broker<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let subscription = bounded(&broker, "t", 2, WhenFull::Block);
    let reader = executor.spawn(async move {
        let numbers = subscription.filter_map(|delivery| match delivery {
            Delivery::Message(message) => Some(message.number),
            Delivery::Missed(_) => None,
        });
        numbers.collect::<Vec<_>>().await
    });
    let mut publisher = broker.publisher();
    for number in 0..50 {
        let _ = publisher.publish(&topic("t"), loads.light(number)).await.expect("open");
    }
    broker.close();
    assert_eq!(reader.await, (0..50).collect::<Vec<_>>());
}

async fn runs_of_batches<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut readers = Vec::new();
    for bound in [1, 7, 1000] {
        let mut subscription = bounded(&broker, "t", bound, WhenFull::Block);
        readers.push(executor.spawn(async move {
            let mut next = 0;
            while let Some(delivery) = subscription.recv_batch().await {
                let BatchDelivery::Batch(run) = delivery else { panic!("lossless") };
                for load in run.iter() {
                    assert_eq!(load.number, next);
                    next += 1;
                }
            }
            next
        }));
    }
    let mut publisher = broker.publisher();
    for batch in 0..20 {
        let receipt = publisher
            .publish_batch(&topic("t"), &mut loads.batch(batch * 50..batch * 50 + 50))
            .await
            .expect("open");
        assert_eq!((receipt.matched, receipt.queued), (150, 150));
    }
    drop((publisher, broker));
    for reader in readers {
        assert_eq!(reader.await, 1000);
    }
    assert_eq!(loads.alive(), 0);
}

async fn requests_are_answered<E: Executor>(executor: E) {
    let broker = Broker::<u64>::new();
    let mut requests = bounded(&broker, "double", 4, WhenFull::Block);
    let mut answers = broker.publisher();
    let responder = executor.spawn(async move {
        let mut answered = 0;
        while let Some(Delivery::Message(message)) = requests.recv().await {
            let reply_to = message.reply_to().expect("an inbox").clone();
            let _ = answers.publish(&reply_to, *message * 2).await.expect("open");
            answered += 1;
        }
        answered
    });
    let askers: Vec<_> = (0..4)
        .map(|from| {
            let broker = broker.clone();
            executor.spawn(async move {
                for number in 0..25 {
                    let asked = from * 100 + number;
                    let answer =
                        broker.request(&topic("double"), asked, FOREVER).await.expect("an answer");
                    assert_eq!(*answer, asked * 2);
                }
            })
        })
        .collect();
    for asker in askers {
        asker.await;
    }
    assert_eq!(broker.stats().subscriptions, 1, "no inbox is left");
    broker.close();
    assert_eq!(responder.await, 100);
}

async fn requests_without_an_answer_time_out<E: Executor>(_executor: E) {
    let broker = Broker::<u64>::new();
    let nobody = broker.request(&topic("t"), 1, FOREVER).await;
    assert!(matches!(nobody, Err(RequestError::NoResponders(1))));
    let _silent = bounded(&broker, "t", 1, WhenFull::Block);
    let late = broker.request(&topic("t"), 2, Duration::from_millis(1)).await;
    assert!(matches!(late, Err(RequestError::TimedOut)));
}

async fn close_frees_everybody_who_waits<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut idle = bounded(&broker, "idle", 1, WhenFull::Block);
    let idle = executor.spawn(async move { idle.recv().await.is_none() });
    let mut full = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let writer = executor.spawn(async move {
        let mut accepted = 0;
        loop {
            match publisher.publish(&topic("t"), loads.light(accepted)).await {
                Ok(receipt) => accepted += receipt.queued,
                Err(PublishError::Closed(load)) => return (accepted, load.number),
                Err(error) => panic!("{error}"),
            }
        }
    });
    // The writer waits for the second message to have room, or is about to.
    while full.books().queued == 0 {
        yield_now().await;
    }
    broker.close();
    assert!(idle.await);
    let mut read = 0;
    while let Some(delivery) = full.recv().await {
        assert!(matches!(delivery, Delivery::Message(message) if message.number == read));
        read += 1;
    }
    assert_eq!(
        writer.await,
        (read, read),
        "what had begun was delivered, what came later came back"
    );
}

async fn a_subscription_that_leaves_frees_its_publisher<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let full = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let writer_loads = loads.clone();
    let writer = executor.spawn(async move {
        let mut sum = Receipt::default();
        for number in 0..3 {
            sum += publisher.publish(&topic("t"), writer_loads.light(number)).await.expect("open");
        }
        sum
    });
    while full.books().queued == 0 {
        yield_now().await;
    }
    drop(full);
    let sum = writer.await;
    assert_eq!((sum.queued, sum.dropped), (1, 0));
    assert_eq!(sum.matched, sum.queued + sum.disconnected);
    assert_eq!(loads.alive(), 0);
}

async fn drain_reports<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let stuck = bounded(&broker, "t", 10, WhenFull::Block);
    let mut reading = bounded(&broker, "t", 10, WhenFull::Block);
    let reading_id = reading.id();
    let _ =
        broker.publisher().publish_batch(&topic("t"), &mut loads.batch(0..5)).await.expect("open");
    let drain_of = broker.clone();
    let drain = executor.spawn(async move { drain_of.drain(Duration::from_millis(50)).await });
    while !broker.is_closed() {
        yield_now().await;
    }
    let mut read = 0;
    while let Some(delivery) = reading.recv().await {
        read += u64::from(delivery.message().is_some());
    }
    let report = drain.await;
    assert_eq!(stuck.end_reason(), Some(EndReason::GivenUp));
    assert_eq!(
        report.given_up(),
        5 + (5 - read),
        "a very slow machine may give up the reader as well"
    );
    assert_eq!(report.delivered(), read);
    assert!(
        report
            .subscriptions
            .iter()
            .any(|drained| drained.id == reading_id && drained.delivered == read)
    );
    assert_eq!(loads.alive(), 0);
}

async fn a_group_shares_the_work<E: Executor>(executor: E) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut members = Vec::new();
    for _ in 0..3 {
        let to = pattern("t");
        let builder = broker.subscription(&to).queue_messages(2).when_full(WhenFull::Block);
        let mut member = builder.group("workers").subscribe().expect("open");
        members.push(executor.spawn(async move {
            let mut numbers = Vec::new();
            while let Some(Delivery::Message(message)) = member.recv().await {
                numbers.push(message.number);
                yield_now().await;
            }
            assert!(numbers.is_sorted());
            numbers
        }));
    }
    let mut publisher = broker.publisher();
    drop(broker);
    for number in 0..300 {
        assert_eq!(
            publisher.publish(&topic("t"), loads.light(number)).await.expect("open").queued,
            1
        );
    }
    drop(publisher);
    let mut all = Vec::new();
    for member in members {
        all.extend(member.await);
    }
    all.sort();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

/// The same with plain threads, in which nothing is async.
mod plain_threads_run {
    use super::*;

    fn read_all(mut subscription: Subscription<Load>) -> (u64, u64) {
        let (mut received, mut told) = (0, 0);
        while let Some(delivery) = subscription.recv_blocking() {
            match delivery {
                Delivery::Message(_) => received += 1,
                Delivery::Missed(count) => told += count,
            }
        }
        (received, told)
    }

    #[test]
    fn lossless_from_many_to_many() {
        watched(|| {
            let broker = Broker::<Load>::new();
            let loads = Loads::new();
            let readers: Vec<_> = (1..4)
                .map(|bound| {
                    let subscription = bounded(&broker, "t", bound, WhenFull::Block);
                    thread::spawn(move || read_all(subscription))
                })
                .collect();
            let writers: Vec<_> = (0..3)
                .map(|from| {
                    let (mut publisher, loads) = (broker.publisher(), loads.clone());
                    thread::spawn(move || {
                        for number in 0..100 {
                            let _ = publisher
                                .publish_blocking(&topic("t"), loads.make(from, number, 1))
                                .expect("open");
                        }
                    })
                })
                .collect();
            drop(broker);
            writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
            for reader in readers {
                assert_eq!(reader.join().expect("a reader"), (300, 0));
            }
        });
    }

    #[test]
    fn a_stuck_reader_costs_one_wait() {
        watched(|| {
            let broker = Broker::<Load>::new();
            let loads = Loads::new();
            let stuck = bounded(&broker, "t", 1, WhenFull::Wait(Duration::from_millis(1)));
            let mut publisher = broker.publisher();
            drop(broker);
            let waited: u64 = (0..100)
                .map(|number| {
                    publisher
                        .publish_blocking(&topic("t"), loads.light(number))
                        .expect("open")
                        .waited
                })
                .sum();
            assert_eq!(waited, 1);
            drop(publisher);
            assert_eq!(read_all(stuck), (1, 99));
        });
    }

    #[test]
    fn a_thread_and_a_task_talk_to_each_other() {
        watched(|| {
            let broker = Broker::<Load>::new();
            let loads = Loads::new();
            let mut forth = bounded(&broker, "forth", 1, WhenFull::Block);
            let mut back = bounded(&broker, "back", 1, WhenFull::Block);
            let (mut here, mut there) = (broker.publisher(), broker.publisher());
            let echo = thread::spawn(move || {
                for _ in 0..200 {
                    let Some(Delivery::Message(message)) = forth.recv_blocking() else {
                        panic!("a message")
                    };
                    let _ = there
                        .publish_blocking(
                            &topic("back"),
                            Load { alive: message.alive.clone(), ..*message },
                        )
                        .expect("open");
                }
            });
            futures_lite::future::block_on(async {
                for number in 0..200 {
                    let name = topic("forth");
                    let (sent, answer) =
                        zip(here.publish(&name, loads.light(number)), back.recv()).await;
                    assert_eq!(sent.expect("open").queued, 1);
                    assert!(matches!(
                        answer,
                        Some(Delivery::Message(message)) if message.number == number
                    ));
                }
            });
            echo.join().expect("the echo");
        });
    }

    #[test]
    fn a_pending_receive_can_move_to_another_thread() {
        watched(|| {
            let broker = Broker::<Load>::new();
            let loads = Loads::new();
            let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
            let mut receive = Box::pin(async move { subscription.recv().await.is_some() });
            assert!(poll_once(receive.as_mut()).is_pending());
            let reader = thread::spawn(move || futures_lite::future::block_on(receive));
            let _ = broker.publisher().publish_blocking(&topic("t"), loads.light(0)).expect("open");
            assert!(reader.join().expect("the reader"));
        });
    }
}
