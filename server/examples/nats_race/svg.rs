//! The plot: the fan-out over one publisher's subscribers.

use super::measuring::DELIVERIES;
use super::peers::Kind;
use super::results::Results;
use testkit::measure::chart::{self, Line, Panel, RGBColor};

const SIZE: (u32, u32) = (720, 480);

/// A peer keeps its colour in every plot.
fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Fanfare => RGBColor(208, 32, 48),
        Kind::NatsServer => RGBColor(31, 119, 180),
        Kind::Redis => RGBColor(44, 140, 60),
        Kind::Ceiling => RGBColor(120, 120, 120),
    }
}

/// # Errors
/// Those of [`chart::render`].
pub fn render(results: &Results) -> Result<String, String> {
    let caption = "one publisher, 64 messages of 128 bytes a write, loopback TCP";
    let lines = Kind::ALL.map(|kind| line(results, kind)).into();
    chart::render(SIZE, &[Panel { caption, rates: 5e5..1e8, lines }])
}

fn line(results: &Results, kind: Kind) -> Line {
    let points = results.all.iter().filter(|measured| measured.figure == DELIVERIES).filter_map(
        |measured| Some((measured.row.drawn_at()? as f64, measured.median_and_spread(kind)?.0)),
    );
    Line { peer: kind.name(), colour: colour(kind), points: points.collect() }
}
