//! What does not fit the table: a small queue, the Go broker improved, how long one publish can
//! take, wake-ups.

use super::options::Options;
use super::table::cell;
use crate::support::load::{Load, Scenario};
use crate::support::peers::go_broker::GoBroker;
use crate::support::peers::{Peer, PeerError};
use crate::support::trial::{Entrant, median_ratio, race};
use std::time::{Duration, Instant};

const SMALL_QUEUE_MESSAGES: usize = 16;

pub fn print_all(
    options: &Options,
    begun: Instant,
    peers: &[Box<dyn Peer>],
    go: Option<&GoBroker>,
) -> Result<(), PeerError> {
    let sections: [&dyn Fn() -> Result<(), PeerError>; 5] = [
        &|| longest_publish(options, peers),
        &|| stuck_against_none(options, begun, peers),
        &|| small_queue(options, begun, peers),
        &|| wake_ups(options, peers),
        &|| go.map_or(Ok(()), |go| improved_go(options, begun, peers, go)),
    ];
    for section in sections {
        if options.is_late(begun) {
            println!("\n(out of time: a section is left out)");
            continue;
        }
        section()?;
    }
    Ok(())
}

/// The same living subscribers without and with stuck ones beside them, in turn.
fn stuck_against_none(
    options: &Options,
    begun: Instant,
    peers: &[Box<dyn Peer>],
) -> Result<(), PeerError> {
    println!(
        "\nWhat stuck subscribers cost the living, single publishes by fanfare (millions of deliveries a second)"
    );
    println!(
        "{:>6} {:>5} |{:>17}{:>17} |{:>11}",
        "living", "stuck", "none stuck", "stuck", "stuck/none"
    );
    let peer = &*peers[0];
    for (living, stuck) in
        if options.tiny { vec![(2, 1)] } else { vec![(63, 1), (990, 10), (900, 100)] }
    {
        let none = Scenario::plain(living);
        let some = Scenario { stuck, ..Scenario::plain(living + stuck) };
        let entrants = [none, some].map(|scenario| Entrant { peer, scenario });
        let standings = race(&entrants, &options.effort(begun))?;
        let ratio = median_ratio(&standings[1], &standings[0]);
        println!(
            "{living:>6} {stuck:>5} |{:>17}{:>17} |{ratio:>11.2}",
            cell(&standings[0]),
            cell(&standings[1])
        );
    }
    Ok(())
}

/// Fanfare with a queue of 16 against tokio's broadcast with 1024.
fn small_queue(
    options: &Options,
    begun: Instant,
    peers: &[Box<dyn Peer>],
) -> Result<(), PeerError> {
    println!(
        "\nA queue of {SMALL_QUEUE_MESSAGES}, single publishes (millions of deliveries a second)"
    );
    let head = ["fanfare, 16", "fanfare, 1024", "tokio, 1024", "16 x tokio"];
    println!("{:>5} |{:>17}{:>17}{:>17} |{:>11}", "subs", head[0], head[1], head[2], head[3]);
    let (fanfare, tokio) = (&*peers[0], &*peers[1]);
    for subscribers in if options.tiny { vec![2] } else { vec![8, 64, 1000] } {
        let scenario = Scenario::plain(subscribers);
        let small = Scenario { queue_messages: SMALL_QUEUE_MESSAGES, ..scenario };
        let entrants = [
            Entrant { peer: fanfare, scenario: small },
            Entrant { peer: fanfare, scenario },
            Entrant { peer: tokio, scenario },
        ];
        let standings = race(&entrants, &options.effort(begun))?;
        print!("{subscribers:>5} |");
        for standing in &standings {
            print!("{:>17}", cell(standing));
        }
        println!(" |{:>11.2}", median_ratio(&standings[0], &standings[2]));
    }
    Ok(())
}

/// A publish every 100 microseconds, from the moment on when the stuck subscribers are full.
fn longest_publish(options: &Options, peers: &[Box<dyn Peer>]) -> Result<(), PeerError> {
    println!(
        "\nHow long one publish takes once stuck subscribers are full (a publish every 0.1 ms)"
    );
    println!(
        "{:>5} {:>5} |{:>16}{:>11}{:>12}{:>11}{:>9}{:>12}",
        "subs",
        "stuck",
        "peer",
        "publishes",
        "longest ms",
        "over 1 ms",
        "waited",
        "lost by the living"
    );
    for (subscribers, stuck) in
        if options.tiny { vec![(3, 1)] } else { vec![(64, 0), (64, 1), (64, 4), (1000, 100)] }
    {
        let scenario = Scenario { stuck, ..Scenario::plain(subscribers) };
        for peer in peers {
            let waits_every_time = peer.fewest_when_stuck() < 16 && stuck > 0;
            let publishes = if waits_every_time { 4 } else { 1000 };
            let mut load = Load::new(scenario, if options.tiny { 8 } else { publishes });
            load.warm_up = scenario.queue_messages as u64;
            load.gap = Some(Duration::from_micros(100));
            let outcome = peer.run(&load)?;
            println!(
                "{subscribers:>5} {stuck:>5} |{:>16}{:>11}{:>12.2}{:>11}{:>9}{:>12}",
                peer.name(),
                load.messages_each,
                outcome.longest_publish.as_secs_f64() * 1e3,
                outcome.slow_publishes,
                outcome.waited_publishes,
                outcome.lost
            );
        }
    }
    Ok(())
}

/// How often a reader's task is woken for a delivery, at full speed.
fn wake_ups(options: &Options, peers: &[Box<dyn Peer>]) -> Result<(), PeerError> {
    println!("\nWake-ups for 1000 deliveries");
    print!("{:>5} {:>5} |", "subs", "batch");
    for peer in &peers[..4] {
        print!("{:>17}", peer.name());
    }
    println!();
    for (subscribers, batch) in
        if options.tiny { vec![(2, 2)] } else { vec![(1, 1), (8, 1), (64, 1), (64, 64)] }
    {
        print!("{subscribers:>5} {batch:>5} |");
        for peer in &peers[..4] {
            let messages = if options.tiny { 64 } else { 2_000_000 / subscribers as u64 };
            let mut load = Load::new(Scenario { batch, ..Scenario::plain(subscribers) }, messages);
            load.counts_wakes = true;
            let outcome = peer.run(&load)?;
            print!("{:>17.2}", outcome.wake_ups as f64 / outcome.deliveries as f64 * 1000.0);
        }
        println!();
    }
    Ok(())
}

/// The Go broker without a timer for every full subscriber and a goroutine for every publish.
fn improved_go(
    options: &Options,
    begun: Instant,
    peers: &[Box<dyn Peer>],
    go: &GoBroker,
) -> Result<(), PeerError> {
    println!("\nThe Go broker, tuned (millions of deliveries a second)");
    println!(
        "{:>5} {:>5} |{:>17}{:>17}{:>17} |{:>11}",
        "subs", "batch", "fanfare", "go", "go-tuned", "x tuned"
    );
    let tuned = go.tuned();
    let cells: &[(usize, usize)] =
        if options.quick { &[(64, 1)] } else { &[(1, 1), (8, 1), (64, 1), (1000, 1), (64, 64)] };
    for &(subscribers, batch) in cells {
        let scenario = Scenario { batch, ..Scenario::plain(subscribers) };
        let entrants = [&*peers[0], go as &dyn Peer, &tuned].map(|peer| Entrant { peer, scenario });
        let standings = race(&entrants, &options.effort(begun))?;
        print!("{subscribers:>5} {batch:>5} |");
        for standing in &standings {
            print!("{:>17}", cell(standing));
        }
        println!(" |{:>11.2}", median_ratio(&standings[0], &standings[2]));
    }
    Ok(())
}
