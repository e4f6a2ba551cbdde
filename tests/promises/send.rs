//! Promise 8, as far as the compiler can tell; runtimes.rs runs on the executors.

use fanfare::{
    Batch, BatchDelivery, Broker, Delivery, EndReason, Message, Pattern, Publisher, Receipt,
    Subscription, SubscriptionWatch, Topic, WhenFull,
};
use std::time::Duration;
use testkit::broker::{pattern, topic};

fn is_send<T: Send>(value: T) -> T {
    value
}

fn send<T: Send>() {}
fn send_and_sync<T: Send + Sync>() {}
fn unpin<T: Unpin>() {}

/// A payload that is neither `Clone` nor `Debug`.
struct Plain;
impl fanfare::Payload for Plain {}

#[test]
fn every_future_can_move_between_threads() {
    let broker = Broker::<Plain>::new();
    let (name, to) = (topic("t"), pattern("t"));
    let mut publisher = broker.publisher();
    let mut subscription = broker.subscribe(&to).unwrap();
    let mut batch = Vec::new();
    drop(is_send(publisher.publish(&name, Plain)));
    drop(is_send(publisher.publish_request(&name, &name, Plain)));
    drop(is_send(publisher.publish_batch(&name, &mut batch)));
    drop(is_send(subscription.recv()));
    drop(is_send(subscription.recv_batch()));
    drop(is_send(broker.request(&name, Plain, Duration::ZERO)));
    drop(is_send(broker.drain(Duration::ZERO)));
}

#[test]
fn every_handle_can_move_between_threads() {
    send::<Publisher<Plain>>();
    send::<Subscription<Plain>>();
    unpin::<Subscription<Plain>>();
    unpin::<Publisher<Plain>>();
    send_and_sync::<Broker<Plain>>();
    send_and_sync::<Message<Plain>>();
    send_and_sync::<Batch<Plain>>();
    send_and_sync::<Delivery<Plain>>();
    send_and_sync::<BatchDelivery<Plain>>();
    send_and_sync::<SubscriptionWatch<Plain>>();
    send_and_sync::<(Topic, Pattern, Receipt, WhenFull, EndReason)>();
}
