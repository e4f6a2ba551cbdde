//! The command line.

use super::peers::Kind;
use super::rows::Section;
use clap::{Parser, ValueEnum};
use fanfare_server::bench::options::positive;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use testkit::measure::program::Files;

/// In a quick run no further round begins after this.
const QUICK_ROUNDS_UNTIL: Duration = Duration::from_secs(45);

/// Fanfare against nats-server and redis-server, in turn, in the same run
///
/// Build the server first: cargo build --release
#[derive(Parser, Debug, PartialEq)]
#[command(name = "nats_race")]
pub struct Options {
    /// Within 90 s
    #[arg(long)]
    pub quick: bool,
    /// So little that a test can do it
    #[arg(skip)]
    pub tiny: bool,
    /// Measure each peer N times a row (5; quick: 2)
    #[arg(long, value_name = "N")]
    pub rounds: Option<NonZeroUsize>,
    /// How long one measurement lasts (2; quick: 0.5)
    #[arg(long, value_name = "S", value_parser = positive)]
    pub seconds: Option<f64>,
    /// These rows alone; can be given several times
    #[arg(
        long = "section",
        value_name = "NAME",
        value_enum,
        default_values_t = Section::value_variants().iter().copied(),
        hide_default_value = true
    )]
    pub sections: Vec<Section>,
    /// This peer alone; can be given several times
    #[arg(long = "peer", value_name = "NAME", value_enum, default_values_t = Kind::ALL,
        hide_default_value = true)]
    pub peers: Vec<Kind>,
    #[command(flatten)]
    pub files: Files,
}

impl Options {
    #[cfg(test)]
    pub fn tiny() -> Self {
        Self { tiny: true, ..Self::parse_from(["nats_race"]) }
    }

    /// Whether a quick run has to come to its end.
    pub fn is_late(&self, begun: Instant) -> bool {
        self.quick && begun.elapsed() > QUICK_ROUNDS_UNTIL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::measure::program::{assert_helpful, parse_line};

    #[test]
    fn flags_are_read() {
        let line = "--quick --rounds 3 --section stuck --section idle --peer fanfare --csv a.csv \
                    --svg b.svg --seconds 0.5";
        let expected = Options {
            quick: true,
            tiny: false,
            rounds: NonZeroUsize::new(3),
            seconds: Some(0.5),
            sections: vec![Section::Stuck, Section::Idle],
            peers: vec![Kind::Fanfare],
            files: Files { csv: Some("a.csv".into()), svg: Some("b.svg".into()) },
        };
        assert_eq!(parse_line::<Options>(line).expect("these are flags"), expected);
    }

    #[test]
    fn without_a_choice_every_section_and_peer_runs() {
        let options = parse_line::<Options>("").expect("no flag is needed");
        assert_eq!(options.sections, Section::value_variants());
        assert_eq!(options.peers, Kind::ALL);
    }

    #[test]
    fn mistakes_are_named() {
        assert_helpful::<Options>(&[("--seconds 0", "--seconds"), ("--peer kafka", "kafka")]);
    }
}
