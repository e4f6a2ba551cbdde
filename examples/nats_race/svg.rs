//! The plot: deliveries a second over the number of subscribers.

use plotters::prelude::*;

use super::measuring::DELIVERIES;
use super::peers::Kind;
use super::results::Results;

const SIZE: (u32, u32) = (720, 480);
const FONT: &str = "sans-serif";

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
/// When the library cannot draw, which a string to draw into gives no cause for.
pub fn render(results: &Results) -> Result<String, String> {
    let mut picture = String::new();
    draw(results, &mut picture).map_err(|error| format!("the plot cannot be drawn: {error}"))?;
    Ok(picture)
}

fn draw(results: &Results, picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("one publisher, 64 messages of 128 bytes a write, loopback TCP", (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((1f64..1000f64).log_scale(), (5e5f64..1e8f64).log_scale())?;
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
    for kind in Kind::ALL {
        let points: Vec<(f64, f64)> = results
            .all
            .iter()
            .filter(|measured| measured.figure == DELIVERIES)
            .filter_map(|measured| Some((measured.row.drawn_at()? as f64, measured.median_and_spread(kind)?.0)))
            .collect();
        if points.is_empty() {
            continue;
        }
        let colour = colour(kind);
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(4))?
            .label(kind.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()?;
    area.present()?;
    Ok(())
}
