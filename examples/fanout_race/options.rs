//! The command line.

use super::rows::{self, Scenario};
use crate::support::load::QUEUE_MESSAGES;
use crate::support::trial::Effort;
use clap::Parser;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use testkit::measure::program::Files;

/// In quick mode no further round begins after this, and no further row after [`QUICK_ROWS_UNTIL`].
const QUICK_ROUNDS_UNTIL: Duration = Duration::from_secs(22);
const QUICK_ROWS_UNTIL: Duration = Duration::from_secs(40);

/// Fanfare against tokio::sync::broadcast, async-broadcast, flume and a Go broker
#[derive(Parser, Debug)]
#[command(name = "fanout_race")]
pub struct Options {
    /// The important rows only, within 60 s
    #[arg(long)]
    pub quick: bool,
    /// So little that a test can do it
    #[arg(skip)]
    pub tiny: bool,
    /// Measure each peer N times a row (5; quick: up to 3)
    #[arg(long, value_name = "N")]
    rounds: Option<NonZeroUsize>,
    /// How long one measurement lasts (250; quick: 60)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    run_ms: Option<u64>,
    /// This row alone, e.g. 64,1,1,64,0; can be given several times
    #[arg(long = "row", value_name = "SUBSCRIBERS,PUBLISHERS,BATCH,PAYLOAD_BYTES,STUCK", value_parser = row)]
    rows: Vec<Scenario>,
    /// Messages that a queue holds (1024), of the rows
    #[arg(long = "queue", value_name = "N")]
    queue_messages: Option<NonZeroUsize>,
    /// This peer alone, for a profiler; can be given several times
    #[arg(long = "peer", value_name = "NAME")]
    pub peers: Vec<String>,
    /// No rows, only what follows the table
    #[arg(long = "sections", conflicts_with_all = ["rows", "peers"])]
    sections_alone: bool,
    #[command(flatten)]
    pub files: Files,
}

impl Options {
    pub fn rows(&self) -> Vec<Scenario> {
        if !self.has_table() {
            return Vec::new();
        }
        let mut rows = match (self.rows.is_empty(), self.quick) {
            (false, _) => self.rows.clone(),
            (true, true) => rows::important(),
            (true, false) => rows::all(),
        };
        if let Some(queue_messages) = self.queue_messages {
            rows.iter_mut().for_each(|row| row.queue_messages = queue_messages.get());
        }
        rows
    }

    pub fn has_table(&self) -> bool {
        !self.sections_alone
    }

    /// Who asks for one row, or for one peer, wants nothing beside it.
    pub fn has_sections(&self) -> bool {
        self.rows.is_empty() && self.peers.is_empty()
    }

    pub fn effort(&self, begun: Instant) -> Effort {
        let (run_ms, rounds) = match (self.tiny, self.quick) {
            (true, _) => (1, 1),
            (false, true) => (60, 3),
            (false, false) => (250, 5),
        };
        Effort {
            run: Duration::from_millis(self.run_ms.unwrap_or(run_ms)),
            rounds: self.rounds.map_or(rounds, NonZeroUsize::get),
            rounds_until: self.quick.then(|| begun + QUICK_ROUNDS_UNTIL),
            fewest_messages: if self.tiny { 64 } else { 2 * QUEUE_MESSAGES as u64 },
        }
    }

    #[cfg(test)]
    pub fn tiny() -> Self {
        Self { tiny: true, ..Self::parse_from(["fanout_race"]) }
    }

    /// Whether a quick run has to come to its end.
    pub fn is_late(&self, begun: Instant) -> bool {
        self.quick && begun.elapsed() > QUICK_ROWS_UNTIL
    }
}

fn row(value: &str) -> Result<Scenario, String> {
    let complaint = || "five numbers are wanted, such as 64,1,1,64,0".to_owned();
    let numbers: Vec<usize> =
        value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| complaint())?;
    let &[subscribers, publishers, batch, payload_bytes, stuck] = numbers.as_slice() else {
        return Err(complaint());
    };
    let is_sound =
        publishers > 0 && batch > 0 && stuck < subscribers && (stuck == 0 || publishers == 1);
    let row = Scenario { publishers, batch, payload_bytes, stuck, ..Scenario::plain(subscribers) };
    match is_sound {
        true => Ok(row),
        false => {
            Err("somebody must publish and read; with stuck ones there is one publisher".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::measure::program::{assert_helpful, parse_line};

    #[test]
    fn flags_are_read() {
        let options =
            parse_line::<Options>("--quick --rounds 2 --run-ms 9 --csv a.csv --svg b.svg");
        let options = options.expect("these are flags");
        assert!(options.quick && options.has_table() && options.has_sections());
        let effort = options.effort(Instant::now());
        assert_eq!((effort.rounds, effort.run), (2, Duration::from_millis(9)));
        assert_eq!(options.files, Files { csv: Some("a.csv".into()), svg: Some("b.svg".into()) });
    }

    #[test]
    fn a_row_alone_can_be_asked_for() {
        let options = parse_line::<Options>("--row 64,1,8,4096,1").expect("this is a row");
        let expected = Scenario { batch: 8, payload_bytes: 4096, stuck: 1, ..Scenario::plain(64) };
        assert_eq!(options.rows(), [expected]);
        assert!(options.has_table() && !options.has_sections());
        let options =
            parse_line::<Options>("--row 64,1,8,4096,1 --queue 16").expect("this is a row");
        assert_eq!(options.rows(), [Scenario { queue_messages: 16, ..expected }]);
    }

    #[test]
    fn one_part_alone_can_be_asked_for() {
        let options =
            parse_line::<Options>("--peer fanfare --peer flume").expect("these are peers");
        assert_eq!(options.peers, ["fanfare", "flume"]);
        assert!(options.has_table() && !options.has_sections());
        let options = parse_line::<Options>("--sections").expect("this is a part");
        assert!(options.rows().is_empty() && options.has_sections());
    }

    #[test]
    fn mistakes_are_named() {
        assert_helpful::<Options>(&[
            ("--queue 0", "--queue"),
            ("--row 1,2", "1,2"),
            ("--row 4,2,1,64,1", "4,2,1,64,1"),
        ]);
    }
}
