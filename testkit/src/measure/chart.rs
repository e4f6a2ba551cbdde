//! The plot of a race: deliveries a second over the number of subscribers, a line for each peer.

use plotters::coord::Shift;
use plotters::prelude::*;
pub use plotters::style::RGBColor;
use std::error::Error;
use std::ops::Range;

const FONT: &str = "sans-serif";
const SUBSCRIBERS: Range<f64> = 1f64..1000f64;

/// One of the plots that stand side by side. Without lines it stays empty.
pub struct Panel<'a> {
    pub caption: &'a str,
    /// The range of deliveries a second.
    pub rates: Range<f64>,
    pub lines: Vec<Line>,
}

/// The results of one peer: subscribers and deliveries a second.
pub struct Line {
    pub peer: &'static str,
    pub colour: RGBColor,
    pub points: Vec<(f64, f64)>,
}

/// Draws the panels side by side in a picture of this size.
///
/// # Errors
/// When the library cannot draw; drawing into a string gives it no reason to.
pub fn render(size: (u32, u32), panels: &[Panel<'_>]) -> Result<String, String> {
    let mut picture = String::new();
    draw(size, panels, &mut picture)
        .map_err(|error| format!("the plot cannot be drawn: {error}"))?;
    Ok(picture)
}

fn draw(
    size: (u32, u32),
    panels: &[Panel<'_>],
    picture: &mut String,
) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::with_string(picture, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, area) in panels.iter().zip(area.split_evenly((1, panels.len()))) {
        if panel.lines.iter().any(|line| !line.points.is_empty()) {
            draw_panel(panel, &area)?;
        }
    }
    area.present()?;
    Ok(())
}

fn draw_panel(
    panel: &Panel<'_>,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(panel.caption, (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(SUBSCRIBERS.log_scale(), panel.rates.clone().log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("subscribers")
        .y_desc("deliveries a second")
        .x_label_formatter(&|count| format!("{count:.0}"))
        .y_label_formatter(&|rate| {
            if *rate < 1e6 {
                format!("{:.1} M", rate / 1e6)
            } else {
                format!("{:.0} M", rate / 1e6)
            }
        })
        .draw()?;
    for Line { peer, colour, points } in panel.lines.iter().filter(|line| !line.points.is_empty()) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style).point_size(4))?
            .label(*peer)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
