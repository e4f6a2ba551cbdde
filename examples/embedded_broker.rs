//! The library in 20 lines: `cargo run --example embedded_broker`

use fanfare::{Broker, Delivery, Pattern, Topic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::<String>::new();
    let mut all_orders = broker.subscribe(&Pattern::parse("orders.>")?)?;
    let mut created = broker.subscribe(&Pattern::parse("orders.*.created")?)?;

    let mut publisher = broker.publisher();
    let topic = Topic::parse("orders.eu.created")?;
    let receipt = publisher.publish_blocking(&topic, "two boxes of nails".into())?;
    println!("{receipt:?}");

    while let Ok(Delivery::Message(message)) = all_orders.try_recv() {
        println!("all orders: {} on {}", *message, message.topic());
    }
    if let Some(Delivery::Message(message)) = created.recv_blocking() {
        println!("created: {}", *message);
    }
    println!("{:?}", created.books());
    Ok(())
}
