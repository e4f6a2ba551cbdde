//! The command line.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::peers::Kind;
use super::rows::Section;

pub const HELP: &str = "\
Fanfare against nats-server and redis-server, in turn, in the same run.
Build the server first: cargo build --release

  --quick          within 90 s
  --rounds N       measure each peer N times a row (5; quick: 2)
  --seconds S      how long one measurement lasts (2; quick: 0.5)
  --section NAME   these rows alone: fan-out, pairs, request, latency, idle, stuck, cycles; can be given several times
  --peer NAME      this peer alone: fanfare, nats-server, redis-server, ceiling; can be given several times
  --csv FILE       write the medians as CSV
  --svg FILE       draw them
";

/// In a quick run no further round begins after this.
const QUICK_ROUNDS_UNTIL: Duration = Duration::from_secs(45);

#[derive(Debug, PartialEq)]
pub struct Options {
    pub quick: bool,
    /// So little that a test can do it.
    pub tiny: bool,
    pub rounds: Option<usize>,
    pub seconds: Option<f64>,
    pub sections: Vec<Section>,
    pub peers: Vec<Kind>,
    pub csv: Option<PathBuf>,
    pub svg: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            quick: false,
            tiny: false,
            rounds: None,
            seconds: None,
            sections: Section::ALL.into(),
            peers: Kind::ALL.into(),
            csv: None,
            svg: None,
        }
    }
}

#[derive(Debug, PartialEq)]
pub enum Parsed {
    Run(Options),
    Help,
}

impl Options {
    /// Whether a quick run has to come to its end.
    pub fn is_late(&self, begun: Instant) -> bool {
        self.quick && begun.elapsed() > QUICK_ROUNDS_UNTIL
    }
}

/// # Errors
/// A sentence that names the flag.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Parsed, String> {
    let mut options = Options::default();
    let (mut sections, mut peers) = (Vec::new(), Vec::new());
    let mut arguments = arguments;
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value; see --help"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(Parsed::Help),
            "--quick" => options.quick = true,
            "--rounds" => options.rounds = Some(positive(&flag, &value()?)? as usize).filter(|rounds| *rounds > 0),
            "--seconds" => options.seconds = Some(positive(&flag, &value()?)?),
            "--section" => sections.push(named(&flag, &value()?, &Section::ALL, Section::name)?),
            "--peer" => peers.push(named(&flag, &value()?, &Kind::ALL, Kind::name)?),
            "--csv" => options.csv = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            _ => return Err(format!("{flag} is not known; see --help")),
        }
    }
    if !sections.is_empty() {
        options.sections = sections;
    }
    if !peers.is_empty() {
        options.peers = peers;
    }
    Ok(Parsed::Run(options))
}

fn positive(flag: &str, value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(number) if number > 0.0 && number <= 3_600.0 => Ok(number),
        _ => Err(format!("{flag} takes a number above 0, not {value}")),
    }
}

fn named<T: Copy>(flag: &str, value: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|one| name(*one) == value);
    found.ok_or_else(|| {
        format!("{flag} {value} is none of {}", all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Parsed, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read() {
        let line =
            "--quick --rounds 3 --section stuck --section idle --peer fanfare --csv a.csv --svg b.svg --seconds 0.5";
        let expected = Options {
            quick: true,
            rounds: Some(3),
            seconds: Some(0.5),
            sections: vec![Section::Stuck, Section::Idle],
            peers: vec![Kind::Fanfare],
            csv: Some("a.csv".into()),
            svg: Some("b.svg".into()),
            ..Options::default()
        };
        assert_eq!(parse_line(line), Ok(Parsed::Run(expected)));
        assert_eq!(parse_line("--quick -h"), Ok(Parsed::Help));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in
            [("--fast", "--fast"), ("--csv", "--csv"), ("--rounds none", "none"), ("--peer kafka", "kafka")]
        {
            let complaint = parse_line(line).expect_err(line);
            assert!(complaint.contains(word), "{complaint}");
        }
    }
}
