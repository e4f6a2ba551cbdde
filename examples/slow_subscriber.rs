//! Five subscribers that do not read, one for each policy, beside one that does:
//! `cargo run --example slow_subscriber`
//!
//! Shows the receipt of every publish, how long it took, and what each of the five finds when it
//! finally reads.

use fanfare::{Broker, Delivery, Pattern, Subscription, Topic, WhenFull};
use futures_lite::future::{block_on, poll_once};
use std::time::{Duration, Instant};

const BOUND: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    block_on(async {
        let broker = Broker::<u32>::new();
        let topic = Topic::parse("ticks")?;
        let pattern = Pattern::from(&topic);
        let policies = [
            WhenFull::Wait(Duration::from_millis(5)),
            WhenFull::DropNewest,
            WhenFull::DropOldest,
            WhenFull::Disconnect { after: Duration::from_millis(10) },
        ];
        let mut reader = broker.subscribe(&pattern)?;
        let mut sleepers = Vec::new();
        for policy in policies {
            sleepers.push(
                broker
                    .subscription(&pattern)
                    .queue_messages(BOUND)
                    .when_full(policy)
                    .subscribe()?,
            );
        }

        println!("one reader, and four that never read, each with a policy and a queue of {BOUND}");
        println!(
            "{:>7} {:>7} {:>6} {:>6} {:>7} {:>12} {:>9}",
            "publish", "matched", "queued", "waited", "dropped", "disconnected", "took"
        );
        let mut publisher = broker.publisher();
        for number in 1..=8 {
            let start = Instant::now();
            let receipt = publisher.publish(&topic, number).await?;
            let took = format!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3);
            println!(
                "{number:>7} {:>7} {:>6} {:>6} {:>7} {:>12} {took:>9}",
                receipt.matched,
                receipt.queued,
                receipt.waited,
                receipt.dropped,
                receipt.disconnected
            );
        }

        println!("\nwhat each of them finds in its queue:");
        println!("  {:<30} {}", "the reader", read(&mut reader));
        for (policy, sleeper) in policies.iter().zip(&mut sleepers) {
            println!("  {:<30} {} {:?}", format!("{policy:?}"), read(sleeper), sleeper.books());
        }

        block_loses_nothing(&broker, &topic).await
    })
}

/// `Block` is lossless: the publish continues once the subscriber has read.
async fn block_loses_nothing(
    broker: &Broker<u32>,
    topic: &Topic,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut patient = broker
        .subscription(&topic.into())
        .queue_messages(1)
        .when_full(WhenFull::Block)
        .subscribe()?;
    let mut publisher = broker.publisher();
    let _ = publisher.publish(topic, 9).await?;
    let mut second = Box::pin(publisher.publish(topic, 10));
    let early = poll_once(&mut second).await;
    println!("\nBlock, queue of 1: publish 10 is done while 9 is unread: {}", early.is_some());
    println!("  reads {}", read(&mut patient));
    let receipt = second.await?;
    println!("  now it is done: {receipt:?}, reads {}", read(&mut patient));
    Ok(())
}

fn read(subscription: &mut Subscription<u32>) -> String {
    let mut found = Vec::new();
    while let Ok(delivery) = subscription.try_recv() {
        found.push(match delivery {
            Delivery::Message(number) => number.to_string(),
            Delivery::Missed(count) => format!("[missed {count}]"),
        });
    }
    found.push(subscription.end_reason().map(|reason| format!("[{reason:?}]")).unwrap_or_default());
    found.join(" ")
}
