//! The medians as CSV: a line for each row, figure and peer.

use super::peers::Kind;
use super::results::Results;
use std::fmt::Write;
use testkit::measure::median::median_and_spread;

const HEAD: &str = "row,figure,peer,median,spread,rounds\n";

pub fn render(results: &Results) -> String {
    let mut text = HEAD.to_owned();
    for measured in &results.all {
        for kind in Kind::ALL {
            let Some(values) = measured.values(kind) else { continue };
            let (median, spread) = median_and_spread(values);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "\"{}\",{},{},{:.3},{:.3},{}",
                measured.row.name,
                measured.figure,
                kind.name(),
                median,
                spread,
                values.len()
            );
        }
    }
    text
}
