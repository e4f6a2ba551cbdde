//! The medians as CSV, a line for each peer and row; and the plot.

use crate::RowResult;
use race::executor::Executor;
use race::run::Outcome;
use race::scenario::Scenario;
use std::fmt::Write;
use testkit::measure::chart::{self, Line, Panel, RGBColor};
use testkit::measure::median::median_and_spread;

const HEAD: &str = "executor,bytes,subscribers,publishers,batch,queue,stuck,rate_per_s,peer,\
                    deliveries_per_s,p50_us,p99_us,processor_ns\n";

const SIZE: (u32, u32) = (1160, 480);

/// The plot shows the executors with several threads.
const DRAWN: [Executor; 2] = [Executor::Tokio, Executor::AsyncExecutor];

/// A peer keeps its colour in every plot.
const PEERS: [(&str, RGBColor); 7] = [
    ("fanfare", RGBColor(208, 32, 48)),
    ("fanfare-owned", RGBColor(250, 130, 170)),
    ("fanfare-batch", RGBColor(240, 140, 60)),
    ("tokio", RGBColor(31, 119, 180)),
    ("async-broadcast", RGBColor(44, 140, 60)),
    ("asyncband", RGBColor(120, 120, 120)),
    ("flume", RGBColor(148, 103, 189)),
];

pub fn csv(rows: &[RowResult]) -> String {
    let mut text = HEAD.to_owned();
    for row in rows {
        let Scenario { executor, content, subscribers, publishers, .. } = row.scenario;
        let Scenario { batch, queue_messages, stuck, rate_per_s, .. } = row.scenario;
        let rate_per_s = rate_per_s.unwrap_or_default();
        for standing in &row.standings {
            let median = |figure: fn(&Outcome) -> f64| median_and_spread(&standing.each(figure)).0;
            let _ = writeln!(
                text,
                "{executor},{content},{subscribers},{publishers},{batch},{queue_messages},{stuck},\
                 {rate_per_s},{},{:.0},{:.1},{:.1},{:.1}",
                standing.peer,
                median(Outcome::deliveries_per_s),
                median(|outcome| outcome.median_latency.as_secs_f64() * 1e6),
                median(|outcome| outcome.p99_latency.as_secs_f64() * 1e6),
                median(Outcome::processor_ns),
            );
        }
    }
    text
}

/// Single publishes of small messages, by the number of subscribers.
///
/// # Errors
/// Those of [`chart::render`].
pub fn svg(rows: &[RowResult]) -> Result<String, String> {
    let captions = DRAWN.map(|executor| format!("single publishes on {executor}, two threads"));
    let panels = [0, 1].map(|number| Panel {
        caption: &captions[number],
        rates: 5e5..1e9,
        lines: lines(rows, DRAWN[number]),
    });
    chart::render(SIZE, &panels)
}

fn lines(rows: &[RowResult], executor: Executor) -> Vec<Line> {
    let is_drawn =
        |row: &&RowResult| row.scenario == Scenario::plain(executor, row.scenario.subscribers);
    let point = |peer, row: &RowResult| {
        let (rate, _) = median_and_spread(&row.standing(peer)?.rates());
        Some((row.scenario.subscribers as f64, rate))
    };
    PEERS
        .map(|(peer, colour)| {
            let points = rows.iter().filter(is_drawn).filter_map(|row| point(peer, row)).collect();
            Line { peer, colour, points }
        })
        .into()
}
