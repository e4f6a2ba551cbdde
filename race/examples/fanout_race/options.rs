//! The command line.

use crate::rows;
use clap::Parser;
use race::executor::Executor;
use race::scenario::{Content, Scenario};
use race::trial::{ENTRANTS, Effort, Entrant};
use std::num::NonZeroUsize;
use std::time::Duration;
use testkit::measure::program::Files;

/// Fanfare against tokio::sync::broadcast, async-broadcast, asyncband and a loop over flume queues
#[derive(Parser, Debug)]
#[command(name = "fanout_race")]
pub struct Options {
    /// What everybody runs on: tokio, tokio-current-thread, async-executor or threads; can be given
    /// several times (default: tokio and async-executor)
    #[arg(long = "executor", value_name = "NAME")]
    executors: Vec<Executor>,
    /// The important rows only, three short rounds
    #[arg(long)]
    quick: bool,
    /// Measure each peer N times a row (5; quick: 3)
    #[arg(long, value_name = "N")]
    rounds: Option<NonZeroUsize>,
    /// How long one measurement lasts (250; quick: 100)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    run_ms: Option<u64>,
    /// This row alone, e.g. 64,1,1,1024,0; can be given several times
    #[arg(long = "row", value_name = "SUBSCRIBERS,PUBLISHERS,BATCH,QUEUE,STUCK",
          value_parser = row)]
    rows: Vec<Scenario>,
    /// The rows given carry a String
    #[arg(long, requires = "rows")]
    string: bool,
    /// The rows given are at this rate
    #[arg(long, value_name = "PER_S", requires = "rows",
          value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// This peer alone, for a profiler; can be given several times
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<String>,
    #[command(flatten)]
    pub files: Files,
}

impl Options {
    pub fn rows(&self) -> Vec<Scenario> {
        let executors = match self.executors.as_slice() {
            [] => &[Executor::Tokio, Executor::AsyncExecutor],
            executors => executors,
        };
        let content = if self.string { Content::String } else { Content::Copy };
        let rate_per_s = self.rate;
        let rows_of = |&executor| match self.rows.is_empty() {
            true => rows::of(executor, self.quick),
            false => {
                let on = |row: &Scenario| Scenario { executor, content, rate_per_s, ..*row };
                self.rows.iter().map(on).collect()
            }
        };
        executors.iter().flat_map(rows_of).collect()
    }

    /// # Errors
    /// When one of the peers asked for is unknown.
    pub fn entrants(&self) -> Result<Vec<&'static Entrant>, String> {
        let known = |name: &&String| ENTRANTS.iter().any(|entrant| entrant.name == **name);
        if let Some(unknown) = self.peers.iter().find(|name| !known(name)) {
            let names = ENTRANTS.map(|entrant| entrant.name).join(", ");
            return Err(format!("--peer {unknown}: there are {names}"));
        }
        let is_asked_for = |entrant: &&Entrant| {
            self.peers.is_empty() || self.peers.iter().any(|name| name == entrant.name)
        };
        Ok(ENTRANTS.iter().filter(is_asked_for).collect())
    }

    pub fn effort(&self) -> Effort {
        let (run_ms, rounds) = if self.quick { (100, 3) } else { (250, 5) };
        Effort {
            run: Duration::from_millis(self.run_ms.unwrap_or(run_ms)),
            rounds: self.rounds.map_or(rounds, NonZeroUsize::get),
            fewest_messages: 2048,
        }
    }
}

fn row(value: &str) -> Result<Scenario, String> {
    let complaint = || "five numbers are wanted, such as 64,1,1,1024,0".to_owned();
    let numbers: Vec<usize> =
        value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| complaint())?;
    let &[subscribers, publishers, batch, queue_messages, stuck] = numbers.as_slice() else {
        return Err(complaint());
    };
    if publishers == 0 || batch == 0 || queue_messages == 0 || stuck >= subscribers {
        return Err("somebody must publish and read".to_owned());
    }
    let plain = Scenario::plain(Executor::Tokio, subscribers);
    Ok(Scenario { publishers, batch, queue_messages, stuck, ..plain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::measure::program::{assert_helpful, parse_line};

    #[test]
    fn flags_are_read() {
        let line = "--quick --executor threads --rounds 2 --run-ms 9 --csv a.csv --svg b.svg";
        let options = parse_line::<Options>(line).expect("these are flags");
        let effort = options.effort();
        assert_eq!((effort.rounds, effort.run), (2, Duration::from_millis(9)));
        assert!(options.rows().iter().all(|row| row.executor == Executor::Threads));
        assert_eq!(options.files, Files { csv: Some("a.csv".into()), svg: Some("b.svg".into()) });
    }

    #[test]
    fn a_row_and_a_peer_alone_can_be_asked_for() {
        let line = "--executor tokio --row 64,1,8,16,1 --string --peer flume";
        let options = parse_line::<Options>(line).expect("this is a row");
        let plain = Scenario::plain(Executor::Tokio, 64);
        let content = Content::String;
        let expected = Scenario { content, batch: 8, queue_messages: 16, stuck: 1, ..plain };
        assert_eq!(options.rows(), [expected]);
        let names: Vec<_> = options.entrants().unwrap().iter().map(|peer| peer.name).collect();
        assert_eq!(names, ["flume"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_helpful::<Options>(&[
            ("--executor glommio", "async-executor"),
            ("--row 1,2", "1,2"),
            ("--row 4,2,1,64,4", "somebody"),
            ("--rate 5", "--row"),
        ]);
        let options = parse_line::<Options>("--peer kafka").expect("a name");
        assert!(options.entrants().err().expect("no such peer").contains("kafka"));
    }
}
