//! What is raced, and what Fanfare is to reach.

use super::measuring::{
    CYCLES, DELIVERIES, FILES_MORE, KIB_EACH, MIB_MORE, P50, P99, PART, SERVER_NS,
};
use super::peers::Kind;
use clap::ValueEnum;
use fanfare_server::bench::load::Load;
use std::time::Duration;

/// Rows that belong together, by the name that `--section` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    FanOut,
    Pairs,
    Request,
    Latency,
    Idle,
    Stuck,
    Cycles,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub section: Section,
    pub name: &'static str,
    pub test: Test,
    /// What Fanfare is to reach, in words, for which figures.
    pub aims: &'static [(&'static str, &'static str)],
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Test {
    Throughput(Load),
    /// One subscriber asks, this many requests at once, and one answers.
    RoundTrips(usize),
    /// The number of subscribers, and messages a second.
    Latency(usize, f64),
    /// Subscribed connections on which nothing happens.
    IdleMemory,
    /// The first load, then the second, in which some are stuck.
    Stuck(Load, Load),
    /// Connect, subscribe, publish, quit.
    Cycles,
}

impl Row {
    /// Redis knows no requests, and its subscribers may not publish. The ceiling is one of
    /// throughput.
    pub fn suits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Redis => !matches!(self.test, Test::RoundTrips(_) | Test::Cycles),
            Kind::Ceiling => self.section == Section::FanOut && !self.is_one_message_a_write(),
            Kind::Fanfare | Kind::NatsServer => true,
        }
    }

    /// How many subscribers, of a row whose throughput is drawn over them.
    pub fn drawn_at(&self) -> Option<usize> {
        match &self.test {
            Test::Throughput(load)
                if self.section == Section::FanOut && !self.is_one_message_a_write() =>
            {
                Some(load.subscribers)
            }
            _ => None,
        }
    }

    pub fn aim(&self, figure: &str) -> &'static str {
        self.aims.iter().find(|(of, _)| *of == figure).map_or("", |(_, aim)| aim)
    }

    fn is_one_message_a_write(&self) -> bool {
        matches!(&self.test, Test::Throughput(load) if load.batch == 1)
    }
}

const FIFTH: (&str, &str) = (SERVER_NS, "<= 0.2 x nats");
const TENTH: (&str, &str) = (SERVER_NS, "<= 0.1 x nats");
const PIPELINED: &[(&str, &str)] = &[FIFTH];
const BELOW: &[(&str, &str)] = &[(P99, "< 1 x nats")];
const STUCK: &[(&str, &str)] = &[(PART, ">= 0.9"), (MIB_MORE, "<= 2 bounds in bytes and 10")];
const COMING_AND_GOING: &[(&str, &str)] =
    &[(CYCLES, ">= 1 x nats"), (MIB_MORE, "flat"), (FILES_MORE, "0")];

const STUCK_MESSAGES: u64 = 200_000;

pub fn all() -> Vec<Row> {
    let one_to = |subscribers| Load { subscribers, ..Load::default() };
    let twenty = Load { messages: Some(STUCK_MESSAGES), duration: Duration::MAX, ..one_to(20) };
    let two_stuck = Load { subscribers: 18, stuck: 2, ..twenty.clone() };
    let row = |section, name, test, aims| Row { section, name, test, aims };
    let fan_out = |name, load, aims| row(Section::FanOut, name, Test::Throughput(load), aims);
    vec![
        fan_out("1 to 1", one_to(1), &[(DELIVERIES, ">= 2 x nats"), FIFTH]),
        fan_out("1 to 10", one_to(10), &[(DELIVERIES, ">= 7 x nats"), FIFTH]),
        fan_out("1 to 100", one_to(100), &[(DELIVERIES, ">= 7 x nats, 0.55 x ceiling"), TENTH]),
        fan_out("1 to 1000", one_to(1000), &[(DELIVERIES, ">= 5 x nats"), TENTH]),
        fan_out(
            "1 to 1, one message a write",
            Load { batch: 1, ..one_to(1) },
            &[(DELIVERIES, ">= 2 x nats"), FIFTH],
        ),
        fan_out(
            "1 to 10, one message a write",
            Load { batch: 1, ..one_to(10) },
            &[(DELIVERIES, ">= 2 x nats"), FIFTH],
        ),
        row(
            Section::Pairs,
            "16 pairs",
            Test::Throughput(Load { publishers: 16, ..one_to(1) }),
            &[(DELIVERIES, ">= 3 x nats"), FIFTH],
        ),
        row(Section::Request, "request and reply", Test::RoundTrips(1), &[(P50, "<= 1 x nats")]),
        row(Section::Request, "64 requests at once", Test::RoundTrips(64), PIPELINED),
        row(Section::Latency, "10 subscribers, 5000/s", Test::Latency(10, 5_000.0), BELOW),
        row(Section::Latency, "100 subscribers, 500/s", Test::Latency(100, 500.0), BELOW),
        row(Section::Idle, "idle subscribed connection", Test::IdleMemory, &[(KIB_EACH, "<= 6")]),
        row(Section::Stuck, "2 of 20 stuck", Test::Stuck(twenty, two_stuck), STUCK),
        row(Section::Cycles, "connect to quit", Test::Cycles, COMING_AND_GOING),
    ]
}
