//! What lanes bring: the same publisher alone, and with one and two lanes beside it.
//!
//! Two questions. At full speed: how many deliveries a second? And when everybody sleeps: how long
//! does one publish take, and when has the last subscriber got it?

use super::options::Options;
use super::table::cell;
use crate::support::executor::{Spawner, on_two_threads};
use crate::support::load::Scenario;
use crate::support::median::median_and_spread;
use crate::support::peers::{Peer, PeerError};
use crate::support::trial::{Entrant, median_ratio, race};
use fanfare::{Broker, Pattern, Topic, WhenFull};
use futures_lite::future::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LANES: [usize; 3] = [0, 1, 2];

pub fn print(options: &Options, begun: Instant, fanfare: &dyn Peer) -> Result<(), PeerError> {
    let head = ["alone", "1 lane", "2 lanes"];
    println!("\nLanes, at full speed (millions of deliveries a second)");
    println!(
        "{:>6} {:>5} |{:>17}{:>17}{:>17} |{:>9}{:>9}",
        "subs", "batch", head[0], head[1], head[2], "1/alone", "2/alone"
    );
    let audiences = if options.tiny { vec![3] } else { vec![64, 1000, 10_000] };
    for batch in [1, 64] {
        for subscribers in &audiences {
            let entrants = LANES.map(|lanes| Entrant {
                peer: fanfare,
                scenario: Scenario { batch, lanes, ..Scenario::plain(*subscribers) },
            });
            let standings = race(&entrants, &options.effort(begun))?;
            print!("{subscribers:>6} {batch:>5} |");
            standings.iter().for_each(|standing| print!("{:>17}", cell(standing)));
            let paid = [1, 2].map(|lanes| median_ratio(&standings[lanes], &standings[0]));
            println!(" |{:>9.2}{:>9.2}", paid[0], paid[1]);
        }
    }

    println!(
        "\nLanes, when everybody sleeps: microseconds until the publish returns, and until the last has read it"
    );
    println!(
        "{:>6} |{:>21}{:>21}{:>21} |{:>9}{:>9}",
        "subs", head[0], head[1], head[2], "1/alone", "2/alone"
    );
    for subscribers in audiences {
        let rounds = if options.tiny { 3 } else { 300 };
        // In turn, so that a noisy moment hits all of them.
        let mut times = LANES.map(|_| Times::default());
        for _ in 0..if options.tiny { 1 } else { 5 } {
            for (lanes, times) in LANES.iter().zip(&mut times) {
                times.add(publish_to_sleepers(subscribers, *lanes, rounds));
            }
        }
        print!("{subscribers:>6} |");
        times.iter().for_each(|times| print!("{:>11.1}{:>10.1}", times.returned(), times.read()));
        println!(
            " |{:>9.2}{:>9.2}",
            times[1].read() / times[0].read(),
            times[2].read() / times[0].read()
        );
    }
    println!(
        "A lane pays where 'at full speed' says more than 1.00, or 'everybody sleeps' less, beyond the spread."
    );
    Ok(())
}

/// Of each publish: until it returned, and until the last subscriber had read it.
#[derive(Default)]
struct Times(Vec<(Duration, Duration)>);

impl Times {
    fn add(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    fn returned(&self) -> f64 {
        self.median(|times| times.0)
    }

    fn read(&self) -> f64 {
        self.median(|times| times.1)
    }

    fn median(&self, which: fn(&(Duration, Duration)) -> Duration) -> f64 {
        let micros: Vec<_> = self.0.iter().map(|times| which(times).as_secs_f64() * 1e6).collect();
        median_and_spread(&micros).0
    }
}

/// Publishes when everybody has read what came before and gone to sleep.
fn publish_to_sleepers(subscribers: usize, lanes: usize, rounds: usize) -> Times {
    on_two_threads(async |spawner: Spawner| {
        let topic = Topic::parse("race.lanes").expect("a valid topic");
        let broker = Broker::<u64>::new();
        let read = Arc::new(AtomicUsize::new(0));
        let readers: Vec<_> = (0..subscribers)
            .map(|_| {
                let subscription = broker
                    .subscription(&Pattern::from(&topic))
                    .when_full(WhenFull::Block)
                    .subscribe();
                let mut subscription = subscription.expect("room for a subscription");
                let read = Arc::clone(&read);
                spawner.spawn(async move {
                    while subscription.recv_batch().await.is_some() {
                        read.fetch_add(1, Ordering::AcqRel);
                    }
                })
            })
            .collect();
        let (mut publisher, tasks) = broker.publisher().with_lanes(&vec![0; lanes]);
        tasks.into_iter().for_each(|lane| spawner.spawn(lane.run()).detach());
        drop(broker);
        let publishing = spawner.spawn(async move {
            let mut times = Times::default();
            for round in 0..rounds {
                // Long enough for the lingering to end: all are asleep, the executor's threads too.
                async_io::Timer::after(Duration::from_micros(300)).await;
                let began = Instant::now();
                let receipt =
                    publisher.publish(&topic, round as u64).await.expect("an open broker");
                let returned = began.elapsed();
                assert_eq!(receipt.queued, subscribers as u64);
                while read.load(Ordering::Acquire) < subscribers * (round + 1) {
                    yield_now().await;
                }
                times.0.push((returned, began.elapsed()));
            }
            times
        });
        let times = publishing.await;
        for reader in readers {
            reader.await;
        }
        times
    })
}
