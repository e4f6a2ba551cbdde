//! The plot: single publishes beside batches.

use super::rows::RowResult;
use testkit::measure::chart::{self, Line, Panel, RGBColor};
use testkit::measure::median::median_and_spread;

const SIZE: (u32, u32) = (1160, 480);

/// A peer keeps its colour in every plot.
const PEERS: [(&str, RGBColor); 5] = [
    ("fanfare", RGBColor(208, 32, 48)),
    ("tokio-broadcast", RGBColor(31, 119, 180)),
    ("async-broadcast", RGBColor(44, 140, 60)),
    ("flume", RGBColor(148, 103, 189)),
    ("go", RGBColor(120, 120, 120)),
];

/// # Errors
/// Those of [`chart::render`].
pub fn render(rows: &[RowResult]) -> Result<String, String> {
    let single = panel(rows, 1, "one message a publish, 64 bytes");
    let batches = panel(rows, 64, "batches of 64, 64 bytes");
    chart::render(SIZE, &[single, batches])
}

/// One panel, of the rows with this batch, one publisher, small messages and nobody stuck.
fn panel<'a>(rows: &[RowResult], batch: usize, caption: &'a str) -> Panel<'a> {
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| {
            let scenario = &row.scenario;
            (scenario.batch, scenario.publishers, scenario.payload_bytes, scenario.stuck)
                == (batch, 1, 64, 0)
        })
        .collect();
    let line = |(peer, colour)| {
        let points = rows.iter().filter_map(|row| {
            let (median, _) = median_and_spread(&row.standing(peer)?.rates());
            Some((row.scenario.subscribers as f64, median))
        });
        Line { peer, colour, points: points.collect() }
    };
    Panel { caption, rates: 1e5..1e9, lines: PEERS.map(line).into() }
}
