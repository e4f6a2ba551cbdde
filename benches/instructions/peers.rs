//! The peers, each in its own natural use, in one thread.

#![expect(
    clippy::disallowed_methods,
    reason = "flume's futures are what is measured here; each is awaited to its end"
)]

use crate::rows::{Payload, Reading, Row};
use async_executor::LocalExecutor;
use asyncband::broadcast::mpmc;
use fanfare::{BatchDelivery, Broker, Delivery, Pattern, Publisher, Subscription, Topic, WhenFull};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tokio::sync::broadcast;

/// No row fills it.
const QUEUE_MESSAGES: usize = 1024;

/// Runs a row with so many messages.
pub type Cell = fn(&Row, usize);

/// Ours first. Each is named as its crate is.
pub const PEERS: [(&str, Cell); 5] = [
    ("fanfare", cell::<Fanfare<Plain>, Fanfare<String>>),
    ("tokio", cell::<Tokio<Plain>, Tokio<String>>),
    ("async-broadcast", cell::<AsyncBroadcast<Plain>, AsyncBroadcast<String>>),
    ("asyncband", cell::<Asyncband<Plain>, Asyncband<String>>),
    ("flume", cell::<FlumeLoop<Plain>, FlumeLoop<String>>),
];

type Plain = u64;

trait Message: fanfare::Payload + Clone {
    fn new(number: usize) -> Self;
}

impl Message for Plain {
    fn new(number: usize) -> Self {
        number as Self
    }
}

impl Message for String {
    fn new(_number: usize) -> Self {
        "sixty-four characters on the heap, made anew for each message ..".to_owned()
    }
}

/// A way to publish, and its readers.
trait Peer: Sized {
    type Message: Message;
    type Reader: 'static;

    fn open(subscribers: usize) -> (Self, Vec<Self::Reader>);

    async fn publish(&mut self, message: Self::Message);

    async fn read(reader: &mut Self::Reader);

    /// Reads what can be had at once, and says how much that was.
    async fn read_batch(reader: &mut Self::Reader) -> usize {
        Self::read(reader).await;
        1
    }
}

fn cell<C: Peer, S: Peer>(row: &Row, messages: usize) {
    match row.payload {
        Payload::Copy => run::<C>(row, messages),
        Payload::String => run::<S>(row, messages),
    }
}

fn run<P: Peer>(row: &Row, messages: usize) {
    let (mut peer, mut readers) = P::open(row.subscribers);
    let executor = LocalExecutor::new();
    if row.reading == Reading::Asleep {
        for reader in readers.drain(..) {
            executor.spawn(read_forever::<P>(reader)).detach();
        }
        while executor.try_tick() {}
    }
    for _ in 0..messages.div_ceil(row.burst) {
        for number in 0..row.burst {
            ready(peer.publish(P::Message::new(number)));
        }
        for reader in &mut readers {
            let mut unread = row.burst;
            while unread > 0 {
                unread -= match row.reading {
                    Reading::Batch => ready(P::read_batch(reader)),
                    _ => {
                        ready(P::read(reader));
                        1
                    }
                };
            }
        }
        while row.reading == Reading::Asleep && executor.try_tick() {}
    }
}

async fn read_forever<P: Peer>(mut reader: P::Reader) {
    loop {
        P::read(&mut reader).await;
    }
}

/// What a future gives that has nothing to wait for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("there is room, and there is a message"),
    }
}

struct Fanfare<M: Message> {
    publisher: Publisher<M>,
    topic: Topic,
}

impl<M: Message> Peer for Fanfare<M> {
    type Message = M;
    type Reader = Subscription<M>;

    fn open(subscribers: usize) -> (Self, Vec<Self::Reader>) {
        let topic = Topic::parse("bench.instructions").expect("a valid topic");
        let broker = Broker::builder().when_full(WhenFull::Block).build();
        let subscribe = |_| broker.subscribe(&Pattern::from(&topic)).expect("room for everybody");
        let readers = (0..subscribers).map(subscribe).collect();
        (Self { publisher: broker.publisher(), topic }, readers)
    }

    async fn publish(&mut self, message: M) {
        let _ = black_box(self.publisher.publish(&self.topic, message).await);
    }

    async fn read(reader: &mut Self::Reader) {
        let Some(Delivery::Message(message)) = reader.recv().await else {
            unreachable!("nothing is missed")
        };
        black_box(&*message);
    }

    async fn read_batch(reader: &mut Self::Reader) -> usize {
        let Some(BatchDelivery::Batch(batch)) = reader.recv_batch().await else {
            unreachable!("nothing is missed")
        };
        batch.iter().map(black_box).count()
    }
}

struct Tokio<M>(broadcast::Sender<M>);

impl<M: Message> Peer for Tokio<M> {
    type Message = M;
    type Reader = broadcast::Receiver<M>;

    fn open(subscribers: usize) -> (Self, Vec<Self::Reader>) {
        let (sender, _) = broadcast::channel(QUEUE_MESSAGES);
        let readers = (0..subscribers).map(|_| sender.subscribe()).collect();
        (Self(sender), readers)
    }

    async fn publish(&mut self, message: M) {
        let _ = black_box(self.0.send(message));
    }

    async fn read(reader: &mut Self::Reader) {
        black_box(reader.recv().await.is_ok());
    }
}

struct AsyncBroadcast<M> {
    sender: async_broadcast::Sender<M>,
    /// Without it the channel would be closed when nobody reads.
    _open: async_broadcast::InactiveReceiver<M>,
}

impl<M: Message> Peer for AsyncBroadcast<M> {
    type Message = M;
    type Reader = async_broadcast::Receiver<M>;

    fn open(subscribers: usize) -> (Self, Vec<Self::Reader>) {
        let (sender, receiver) = async_broadcast::broadcast(QUEUE_MESSAGES);
        let readers = (0..subscribers).map(|_| sender.new_receiver()).collect();
        (Self { sender, _open: receiver.deactivate() }, readers)
    }

    async fn publish(&mut self, message: M) {
        let _ = black_box(self.sender.try_broadcast(message));
    }

    async fn read(reader: &mut Self::Reader) {
        black_box(reader.recv_direct().await.is_ok());
    }
}

struct Asyncband<M>(mpmc::BoundedSender<M>);

impl<M: Message> Peer for Asyncband<M> {
    type Message = M;
    type Reader = mpmc::BoundedReceiver<M>;

    fn open(subscribers: usize) -> (Self, Vec<Self::Reader>) {
        let (sender, _) = mpmc::bounded(QUEUE_MESSAGES);
        let readers = (0..subscribers).map(|_| sender.subscribe()).collect();
        (Self(sender), readers)
    }

    async fn publish(&mut self, message: M) {
        self.0.send(message).await;
    }

    async fn read(reader: &mut Self::Reader) {
        black_box(reader.recv().await.is_ok());
    }
}

/// A queue for each subscriber, filled one after another.
struct FlumeLoop<M>(Vec<flume::Sender<M>>);

impl<M: Message> Peer for FlumeLoop<M> {
    type Message = M;
    type Reader = flume::Receiver<M>;

    fn open(subscribers: usize) -> (Self, Vec<Self::Reader>) {
        let (senders, readers) = (0..subscribers).map(|_| flume::bounded(QUEUE_MESSAGES)).unzip();
        (Self(senders), readers)
    }

    async fn publish(&mut self, message: M) {
        for sender in &self.0 {
            let _ = black_box(sender.try_send(message.clone()));
        }
    }

    async fn read(reader: &mut Self::Reader) {
        black_box(reader.recv_async().await.is_ok());
    }
}
