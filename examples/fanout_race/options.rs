//! The command line.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::rows::{self, Scenario};
use crate::support::load::QUEUE_MESSAGES;
use crate::support::trial::Effort;

pub const HELP: &str = "\
Fanfare against tokio::sync::broadcast, async-broadcast, flume and the Go broker of seed 001.

  --quick       the important rows only, within 60 s
  --rounds N    measure each peer N times a row (5; quick: up to 3)
  --run-ms N    how long one measurement lasts (250; quick: 60)
  --row SUBSCRIBERS,PUBLISHERS,BATCH,PAYLOAD_BYTES,STUCK
                this row alone, e.g. 64,1,1,64,0; can be given several times
  --queue N     messages that a queue holds (1024), of the rows
  --peer NAME   this peer alone, for a profiler; can be given several times
  --sections    no rows, only what follows the table
  --lanes       no rows, only what lanes bring
  --csv FILE    write the medians as CSV
  --svg FILE    draw them
";

/// In quick mode no further round begins after this, and no further row after [`QUICK_ROWS_UNTIL`].
const QUICK_ROUNDS_UNTIL: Duration = Duration::from_secs(22);
const QUICK_ROWS_UNTIL: Duration = Duration::from_secs(40);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub quick: bool,
    /// So little that a test can do it.
    pub tiny: bool,
    pub rounds: Option<usize>,
    pub run_ms: Option<u64>,
    pub rows: Vec<Scenario>,
    pub queue_messages: Option<usize>,
    pub peers: Vec<String>,
    pub sections: bool,
    /// Of the sections, this one alone.
    pub lanes: bool,
    pub without_rows: bool,
    pub csv: Option<PathBuf>,
    pub svg: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    Run(Options),
    Help,
}

impl Options {
    pub fn rows(&self) -> Vec<Scenario> {
        if self.without_rows {
            return Vec::new();
        }
        let mut rows = match (self.rows.is_empty(), self.quick) {
            (false, _) => self.rows.clone(),
            (true, true) => rows::important(),
            (true, false) => rows::all(),
        };
        if let Some(queue_messages) = self.queue_messages {
            rows.iter_mut().for_each(|row| row.queue_messages = queue_messages);
        }
        rows
    }

    pub fn effort(&self, begun: Instant) -> Effort {
        let (run_ms, rounds) = match (self.tiny, self.quick) {
            (true, _) => (1, 1),
            (false, true) => (60, 3),
            (false, false) => (250, 5),
        };
        Effort {
            run: Duration::from_millis(self.run_ms.unwrap_or(run_ms)),
            rounds: self.rounds.unwrap_or(rounds),
            rounds_until: self.quick.then(|| begun + QUICK_ROUNDS_UNTIL),
            fewest_messages: if self.tiny { 64 } else { 2 * QUEUE_MESSAGES as u64 },
        }
    }

    /// Whether a quick run has to come to its end.
    pub fn is_late(&self, begun: Instant) -> bool {
        self.quick && begun.elapsed() > QUICK_ROWS_UNTIL
    }
}

/// # Errors
/// A sentence that names the flag.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Parsed, String> {
    let mut options = Options { sections: true, ..Options::default() };
    let mut arguments = arguments;
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value; see --help"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(Parsed::Help),
            "--quick" => options.quick = true,
            "--sections" => options.without_rows = true,
            "--lanes" => (options.without_rows, options.lanes) = (true, true),
            "--rounds" => options.rounds = Some(number(&flag, &value()?)? as usize),
            "--run-ms" => options.run_ms = Some(number(&flag, &value()?)?),
            "--row" => {
                options.rows.push(row(&value()?)?);
                options.sections = false;
            }
            "--queue" => options.queue_messages = Some(number(&flag, &value()?)? as usize),
            "--peer" => {
                options.peers.push(value()?);
                options.sections = false;
            }
            "--csv" => options.csv = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            _ => return Err(format!("{flag} is not known; see --help")),
        }
    }
    Ok(Parsed::Run(options))
}

fn number(flag: &str, value: &str) -> Result<u64, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{flag} takes a number from 1 on, not {value}")),
    }
}

fn row(value: &str) -> Result<Scenario, String> {
    let complaint = || format!("--row takes five numbers such as 64,1,1,64,0, not {value}");
    let numbers: Vec<usize> = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| complaint())?;
    let &[subscribers, publishers, batch, payload_bytes, stuck] = numbers.as_slice() else { return Err(complaint()) };
    let is_sound = publishers > 0 && batch > 0 && stuck < subscribers && (stuck == 0 || publishers == 1);
    let row = Scenario { publishers, batch, payload_bytes, stuck, ..Scenario::plain(subscribers) };
    match is_sound {
        true => Ok(row),
        false => Err(format!("--row {value}: somebody must publish and read; with stuck ones there is one publisher")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Parsed, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read() {
        let Ok(Parsed::Run(options)) = parse_line("--quick --rounds 2 --csv a.csv --svg b.svg") else {
            panic!("these are flags");
        };
        assert!(options.quick && options.sections);
        assert_eq!(options.rounds, Some(2));
        assert_eq!((options.csv, options.svg), (Some("a.csv".into()), Some("b.svg".into())));
        assert_eq!(parse_line("--quick -h"), Ok(Parsed::Help));
    }

    #[test]
    fn a_row_alone_can_be_asked_for() {
        let Ok(Parsed::Run(options)) = parse_line("--row 64,1,8,4096,1") else { panic!("this is a row") };
        let expected = Scenario { batch: 8, payload_bytes: 4096, stuck: 1, ..Scenario::plain(64) };
        assert_eq!(options.rows(), [expected]);
        let Ok(Parsed::Run(options)) = parse_line("--row 64,1,8,4096,1 --queue 16") else { panic!("this is a row") };
        assert_eq!(options.rows(), [Scenario { queue_messages: 16, ..expected }]);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("--fast", "--fast"),
            ("--csv", "--csv"),
            ("--rounds none", "none"),
            ("--row 1,2", "1,2"),
            ("--row 4,2,1,64,1", "4,2,1,64,1"),
        ] {
            let complaint = parse_line(line).expect_err(line);
            assert!(complaint.contains(word), "{complaint}");
        }
    }
}
