//! One peer on one row, in one thread.

use crate::rows::Row;
use async_executor::LocalExecutor;
use race::executor::Executor;
use race::peers::async_broadcast::AsyncBroadcast;
use race::peers::asyncband::Asyncband;
use race::peers::fanfare::{BATCH, Fanfare, LENT, OWNED};
use race::peers::flume_loop::FlumeLoop;
use race::peers::tokio_broadcast::TokioBroadcast;
use race::peers::{Message, Peer};
use race::scenario::{Content, Scenario};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A peer that can be counted.
pub struct Contender {
    pub name: &'static str,
    /// The crate that it is.
    pub of: &'static str,
    /// Runs a row with this many messages.
    pub run: fn(&Row, usize),
}

/// Ours first, as the budgets of a row have them.
pub const CONTENDERS: [Contender; 7] = [
    contender::<Fanfare<LENT>>(),
    contender::<Fanfare<OWNED>>(),
    contender::<Fanfare<BATCH>>(),
    contender::<TokioBroadcast>(),
    contender::<AsyncBroadcast>(),
    contender::<Asyncband>(),
    contender::<FlumeLoop>(),
];

const fn contender<P: Peer>() -> Contender {
    Contender { name: P::NAME, of: P::CRATE, run: run::<P> }
}

fn run<P: Peer>(row: &Row, messages: usize) {
    match row.content {
        Content::Copy => run_with::<P, u64>(row, messages, |number| number),
        Content::String => run_with::<P, String>(row, messages, |_| {
            "sixty-four characters on the heap, made anew for each message ..".to_owned()
        }),
    }
}

fn run_with<P: Peer, M: Message>(row: &Row, messages: usize, message: impl Fn(u64) -> M) {
    let plain = Scenario::plain(Executor::AsyncExecutor, row.subscribers);
    let scenario = Scenario { queue_messages: row.queue_messages, ..plain };
    let (mut publishers, mut readers) = P::open::<M>(&scenario);
    let publisher = &mut publishers[0];
    let executor = LocalExecutor::new();
    if row.asleep {
        for reader in readers.drain(..) {
            executor.spawn(read_forever::<P, M>(reader)).detach();
        }
        while executor.try_tick() {}
    }
    if row.burst > row.queue_messages {
        let publish_all = async {
            for number in 0..messages as u64 {
                P::publish(publisher, message(number), false).await;
            }
        };
        let publishes = executor.spawn(publish_all);
        while executor.try_tick() {}
        return assert!(publishes.is_finished(), "{}: a task was not woken", P::NAME);
    }
    for _ in 0..messages.div_ceil(row.burst) {
        for number in 0..row.burst {
            ready(P::publish(publisher, message(number as u64), false));
        }
        for reader in &mut readers {
            let mut unread = row.burst;
            while unread > 0 {
                ready(P::read(reader, false, &mut |message| {
                    black_box(message);
                    unread -= 1;
                }));
            }
        }
        while row.asleep && executor.try_tick() {}
    }
}

async fn read_forever<P: Peer, M: Message>(mut reader: P::Reader<M>) {
    let see = &mut |message: &M| {
        black_box(message);
    };
    while P::read(&mut reader, false, see).await {}
}

/// The result of a future that has nothing to wait for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("there is room, and there is a message"),
    }
}
