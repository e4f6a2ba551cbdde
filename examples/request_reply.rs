//! Requests and replies over the broker, on plain threads: `cargo run --example request_reply`

use fanfare::{Broker, Pattern, RequestError, Topic};
use futures_lite::future::block_on;
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::<String>::new();
    let question = Topic::parse("upper")?;
    let ask = |text: &str| block_on(broker.request(&question, text.into(), Duration::from_secs(1)));

    // Nobody subscribes: the request fails at once and returns the question.
    match ask("anybody?") {
        Err(RequestError::NoResponders(question)) => println!("no responders for {question:?}"),
        other => println!("unexpected: {other:?}"),
    }

    // Two workers share the questions: each question goes to one of them.
    let workers: Vec<_> =
        ["first", "second"].map(|name| spawn_worker(&broker, name)).into_iter().collect();
    for text in ["one", "two", "three", "four"] {
        println!("{text} -> {}", *ask(text)?);
    }

    broker.close();
    workers
        .into_iter()
        .for_each(|worker| worker.join().expect("a worker ends when the broker is closed"));
    Ok(())
}

fn spawn_worker(broker: &Broker<String>, name: &'static str) -> thread::JoinHandle<()> {
    let pattern = Pattern::parse("upper").expect("a valid pattern");
    let questions =
        broker.subscription(&pattern).group("workers").subscribe().expect("the broker is open");
    let (mut questions, mut publisher) = (questions.into_messages(), broker.publisher());
    thread::spawn(move || {
        while let Some(question) = questions.recv_blocking() {
            if let Some(reply_to) = question.reply_to() {
                let answer = format!("{} (by the {name} worker)", question.to_uppercase());
                let _ = publisher.publish_blocking(reply_to, answer);
            }
        }
    })
}
