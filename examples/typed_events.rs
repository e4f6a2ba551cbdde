//! Your own payload type, without serialising, on tokio: `cargo run --example typed_events`

use fanfare::{Broker, Delivery, Pattern, Payload, Topic};

enum OrderEvent {
    Created { order: u64, customer: String },
    Shipped { order: u64 },
}

impl Payload for OrderEvent {
    fn weight_bytes(&self) -> usize {
        let owned = match self {
            Self::Created { customer, .. } => customer.len(),
            Self::Shipped { .. } => 0,
        };
        size_of::<Self>() + owned
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::<OrderEvent>::new();

    // Two services listen, each in its own task. They end once the broker is closed and they have
    // read everything.
    let mut shipping = broker.subscribe(&Pattern::parse("orders.*.created")?)?;
    let shipping = tokio::spawn(async move {
        let mut to_ship = Vec::new();
        while let Some(delivery) = shipping.recv().await {
            match delivery {
                Delivery::Message(event) => {
                    if let OrderEvent::Created { order, customer } = &*event {
                        to_ship.push(format!("{order} for {customer}"));
                    }
                }
                Delivery::Missed(count) => eprintln!("shipping was too slow and missed {count}"),
            }
        }
        to_ship
    });
    let mut audit = broker.subscribe(&Pattern::parse("orders.>")?)?;
    let audit = tokio::spawn(async move {
        let mut seen = 0;
        while let Some(delivery) = audit.recv().await {
            if let Delivery::Message(event) = delivery {
                let order = match &*event {
                    OrderEvent::Created { order, .. } | OrderEvent::Shipped { order } => order,
                };
                println!("audit: {} of order {order}", event.topic());
                seen += 1;
            }
        }
        seen
    });

    let mut publisher = broker.publisher();
    let (created, shipped) =
        (Topic::parse("orders.eu.created")?, Topic::parse("orders.eu.shipped")?);
    for order in 1..=3 {
        let _ = publisher
            .publish(&created, OrderEvent::Created { order, customer: format!("customer {order}") })
            .await?;
        let _ = publisher.publish(&shipped, OrderEvent::Shipped { order }).await?;
    }
    broker.close();

    println!("to ship: {:?}", shipping.await?);
    println!("audited: {}", audit.await?);
    Ok(())
}
