//! The medians as CSV: a line for each peer and row.

use super::rows::RowResult;
use std::fmt::Write;
use testkit::measure::median::median_and_spread;

const HEAD: &str = "peer,subscribers,publishers,batch,payload_bytes,stuck,deliveries_per_s\n";

pub fn render(rows: &[RowResult]) -> String {
    let mut text = HEAD.to_owned();
    for row in rows {
        let scenario = &row.scenario;
        for standing in &row.standings {
            let (median, _) = median_and_spread(&standing.rates());
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{median:.0}",
                standing.peer,
                scenario.subscribers,
                scenario.publishers,
                scenario.batch,
                scenario.payload_bytes,
                scenario.stuck
            );
        }
    }
    text
}
