//! A push gateway whose handlers time out and leave a child behind that blocks for ever.
//!
//! In Go: each datagram has a handler with a time-out; the handler's child sends on a channel
//! without a buffer that nobody reads any more. In Rust dropping a future ends it, but not the
//! tasks that it has started.

use super::figures::{Figures, measure, print_head};
use async_io::Timer;
use fanfare::{Broker, Pattern, Subscription, Topic, WhenFull};
use fanfare_server::tasks::{Scope, Wait, waiting};
use futures_lite::future;
use std::sync::Arc;
use std::time::Duration;

const TIME_OUT: Duration = Duration::from_millis(20);

pub fn main() {
    print_head("A push gateway: 2,000 datagrams for a client that does not read");
    leak(2_000).print("leak: the time-out drops the handler, its child goes on");
    cure(2_000).print("cure: the time-out ends the handler's scope");
}

/// Pushes to a client that takes one message and no more; publishers wait for it without an end.
#[derive(Clone)]
struct Client {
    broker: Broker<u32>,
    topic: Topic,
}

impl Client {
    fn stuck() -> (Self, Subscription<u32>) {
        let topic = Topic::parse("push.client").expect("a valid topic");
        let broker = Broker::builder().when_full(WhenFull::Block).build();
        let builder = broker.subscription(&Pattern::from(&topic)).queue_messages(1);
        let subscription = builder.subscribe().expect("room for a subscription");
        (Self { broker, topic }, subscription)
    }

    async fn push(self, message: u32) {
        let mut publisher = self.broker.publisher();
        // Only a closed broker refuses, and then there is nobody left to tell.
        let _ = waiting(Wait::PUBLISH, publisher.publish(&self.topic, message)).await;
    }
}

fn leak(datagrams: u32) -> Figures {
    measure(async |_, scope: &Arc<Scope>| {
        let (client, subscription) = Client::stuck();
        let handlers = scope.scope("handlers");
        for datagram in 0..datagrams {
            let (children, client) = (scope.clone(), client.clone());
            handlers.spawn("handler", async move {
                let handle = async {
                    children.spawn("push", client.push(datagram)).await;
                };
                let out_of_time = async {
                    waiting(Wait::TIMER, Timer::after(TIME_OUT)).await;
                };
                future::or(handle, out_of_time).await;
            });
        }
        handlers.ended().await;
        (client, subscription)
    })
}

fn cure(datagrams: u32) -> Figures {
    measure(async |_, scope: &Arc<Scope>| {
        let (client, subscription) = Client::stuck();
        let handlers = Arc::new(scope.scope("handlers"));
        for datagram in 0..datagrams {
            let (within, client) = (handlers.clone(), client.clone());
            handlers.spawn("handler", async move {
                let handle = async |children: Arc<Scope>| {
                    children.spawn("push", client.push(datagram)).await;
                };
                // That it did not end in time is what the gateway would count.
                let _ = within.with_timeout("datagram", TIME_OUT, handle).await;
            });
        }
        handlers.ended().await;
        (client, subscription)
    })
}

#[test]
fn the_leak_leaves_a_child_for_each_datagram_and_the_cure_none() {
    // The first fits into the client's queue.
    assert_eq!(leak(50).tasks, 49);
    assert_eq!(cure(50).tasks, 0);
}
