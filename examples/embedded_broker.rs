//! The library in 20 lines: `cargo run --example embedded_broker`

use fanfare::{Broker, Delivery, Pattern, Topic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::<String>::new();
    let mut all_orders = broker.subscribe(&Pattern::parse("orders.>")?)?;
    let mut created = broker.subscribe(&Pattern::parse("orders.*.created")?)?.into_messages();

    let mut publisher = broker.publisher();
    let topic = Topic::parse("orders.eu.created")?;
    let receipt = publisher.publish_blocking(&topic, "two boxes of nails".into())?;
    println!("{receipt:?}");

    match all_orders.try_recv()? {
        Delivery::Message(order) => println!("all orders: {} on {}", *order, order.topic()),
        Delivery::Missed(count) => println!("{count} orders are missing here"),
    }
    if let Some(order) = created.recv_blocking() {
        println!("created: {}", *order);
    }
    println!("{:?}", created.subscription().books());
    Ok(())
}
