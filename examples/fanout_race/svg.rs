//! The plot: deliveries a second over the number of subscribers, single publishes beside batches.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::rows::RowResult;
use crate::support::median::median_and_spread;
use crate::support::peers::PeerError;

const SIZE: (u32, u32) = (1160, 480);
const FONT: &str = "sans-serif";

/// A peer keeps its colour in every plot.
const PEERS: [(&str, RGBColor); 5] = [
    ("fanfare", RGBColor(208, 32, 48)),
    ("tokio-broadcast", RGBColor(31, 119, 180)),
    ("async-broadcast", RGBColor(44, 140, 60)),
    ("flume", RGBColor(148, 103, 189)),
    ("go-seed", RGBColor(120, 120, 120)),
];

/// # Errors
/// When the library cannot draw, which a string to draw into gives no cause for.
pub fn render(rows: &[RowResult]) -> Result<String, PeerError> {
    let mut picture = String::new();
    draw(rows, &mut picture).map_err(|error| PeerError(format!("the plot cannot be drawn: {error}")))?;
    Ok(picture)
}

fn draw(rows: &[RowResult], picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    panel(rows, 1, "one message a publish, 64 bytes", &left)?;
    panel(rows, 64, "batches of 64, 64 bytes", &right)?;
    area.present()?;
    Ok(())
}

/// One panel, of the rows with this batch, one publisher, small messages and nobody stuck.
fn panel(
    rows: &[RowResult],
    batch: usize,
    caption: &str,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| {
            let scenario = &row.scenario;
            (scenario.batch, scenario.publishers, scenario.payload_bytes, scenario.stuck) == (batch, 1, 64, 0)
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((1f64..1000f64).log_scale(), (1e5f64..1e9f64).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("subscribers")
        .y_desc("deliveries a second")
        .x_label_formatter(&|count| format!("{count:.0}"))
        .y_label_formatter(&|rate| {
            if *rate < 1e6 { format!("{:.1} M", rate / 1e6) } else { format!("{:.0} M", rate / 1e6) }
        })
        .draw()?;
    for (name, colour) in PEERS {
        let points: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let (median, _) = median_and_spread(&row.standing(name)?.rates());
                Some((row.scenario.subscribers as f64, median))
            })
            .collect();
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(4))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}
