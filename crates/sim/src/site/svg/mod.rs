//! A picture of plays: for each the queue, the fleet and what it costs an hour, over time.
//!
//! ```text
//!   draw ─→ one chart a play ─→ three panels: layers that stand on each other ─→ steps (path), axes, legend
//! ```
//! All charts have the same scales, so that they can be compared. Texts are escaped.

mod scale;

use std::fmt::Write as _;
use std::time::Duration;

use super::curves::Curves;
use scale::{Ticks, time_ticks};

/// In how many stretches curves are best drawn: one a pixel and a half.
pub const STRETCHES: usize = 560;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 80.0;
/// Where the legend begins.
const RIGHT: f64 = 840.0;
const PANEL: f64 = 130.0;
const GAP: f64 = 24.0;
/// What stands above a chart's panels: its title and what is said of it.
const HEAD: f64 = 56.0;
/// What stands below: the times.
const FOOT: f64 = 44.0;
const TOP: f64 = 40.0;

/// The curves of one play.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Whose they are.
    pub title: String,
    /// What is to be said of it in a line.
    pub note: String,
    /// The curves; of the same length and number of stretches in all charts.
    pub curves: Curves,
}

/// A part of a chart: what is counted, and the layers that stand on each other.
struct Panel<'a> {
    name: &'static str,
    layers: Vec<Layer<'a>>,
}

struct Layer<'a> {
    name: &'static str,
    colour: &'static str,
    values: &'a [f64],
}

/// Draws charts, one below the other, under a heading.
pub fn draw(heading: &str, charts: &[Chart]) -> String {
    let panels: Vec<_> = charts.iter().map(|chart| panels(&chart.curves)).collect();
    let tops = highest(&panels);
    let height = TOP + charts.len() as f64 * chart_height();
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#222222">"##
    );
    let _ = writeln!(svg, r##"<rect width="100%" height="100%" fill="#ffffff"/>"##);
    text(&mut svg, 16.0, 26.0, "start", r#"font-size="15""#, heading);
    for (number, (chart, panels)) in charts.iter().zip(&panels).enumerate() {
        draw_chart(&mut svg, TOP + number as f64 * chart_height(), chart, panels, &tops);
    }
    svg.push_str("</svg>\n");
    svg
}

fn chart_height() -> f64 {
    HEAD + 3.0 * PANEL + 2.0 * GAP + FOOT
}

fn panels(curves: &Curves) -> [Panel<'_>; 3] {
    let layer = |name, colour, values| Layer { name, colour, values };
    [
        Panel {
            name: "containers",
            layers: vec![
                layer("running", "#0072b2", &curves.running),
                layer("waiting", "#e69f00", &curves.waiting),
            ],
        },
        Panel {
            name: "instances",
            layers: vec![
                layer("busy", "#009e73", &curves.busy),
                layer("idle", "#b8b8b8", &curves.idle),
                layer("booting", "#cc79a7", &curves.booting),
            ],
        },
        Panel { name: "cost an hour", layers: vec![layer("cost", "#7f5539", &curves.per_hour)] },
    ]
}

/// The highest sum of layers of each panel, in any chart.
fn highest(charts: &[[Panel<'_>; 3]]) -> [f64; 3] {
    let mut tops = [0.0_f64; 3];
    for panels in charts {
        for (top, panel) in tops.iter_mut().zip(panels) {
            *top = panel.sums(panel.layers.len()).into_iter().fold(*top, f64::max);
        }
    }
    tops
}

impl Panel<'_> {
    /// The sums of the first so many layers.
    fn sums(&self, layers: usize) -> Vec<f64> {
        let stretches = self.layers.first().map_or(0, |layer| layer.values.len());
        let sum = |stretch: usize| self.layers[..layers].iter().map(|layer| layer.values[stretch]).sum();
        (0..stretches).map(sum).collect()
    }
}

fn draw_chart(svg: &mut String, top: f64, chart: &Chart, panels: &[Panel<'_>; 3], tops: &[f64; 3]) {
    text(svg, 16.0, top + 22.0, "start", r#"font-size="14" font-weight="bold""#, &chart.title);
    text(svg, 16.0, top + 40.0, "start", r##"fill="#555555""##, &chart.note);
    let mut y = top + HEAD;
    for (panel, highest) in panels.iter().zip(tops) {
        draw_panel(svg, y, panel, &Ticks::up_to(*highest), chart.curves.length);
        y += PANEL + GAP;
    }
    let bottom = y - GAP;
    for (at, label) in time_ticks(chart.curves.length) {
        text(svg, x_of(at, chart.curves.length), bottom + 16.0, "middle", "", &label);
    }
    let middle = (LEFT + RIGHT) / 2.0;
    text(svg, middle, bottom + 34.0, "middle", r##"fill="#555555""##, "time since the first submission");
}

fn draw_panel(svg: &mut String, top: f64, panel: &Panel<'_>, ticks: &Ticks, length: Duration) {
    let y_of = |value: f64| top + PANEL * (1.0 - value / ticks.top);
    for (at, _) in time_ticks(length) {
        let x = x_of(at, length);
        line(svg, (x, top), (x, top + PANEL), "#eeeeee");
    }
    for (value, label) in &ticks.marks {
        line(svg, (LEFT, y_of(*value)), (RIGHT, y_of(*value)), "#dddddd");
        text(svg, LEFT - 6.0, y_of(*value) + 4.0, "end", "", label);
    }
    // The highest sum first: what is below it in the stack is painted over it.
    for layers in (1..=panel.layers.len()).rev() {
        let layer = &panel.layers[layers - 1];
        steps(svg, &panel.sums(layers), y_of, layer.colour);
        let y = top + 26.0 + 18.0 * (panel.layers.len() - layers) as f64;
        let _ = writeln!(
            svg,
            r#"<rect x="{}" y="{}" width="10" height="10" fill="{}"/>"#,
            RIGHT + 14.0,
            y - 9.0,
            layer.colour
        );
        text(svg, RIGHT + 30.0, y, "start", "", layer.name);
    }
    line(svg, (LEFT, top), (LEFT, top + PANEL), "#666666");
    line(svg, (LEFT, top + PANEL), (RIGHT, top + PANEL), "#666666");
    text(svg, RIGHT + 14.0, top + 8.0, "start", r#"font-weight="bold""#, panel.name);
}

/// The area below steps.
fn steps(svg: &mut String, values: &[f64], y_of: impl Fn(f64) -> f64, colour: &str) {
    let width = (RIGHT - LEFT) / values.len().max(1) as f64;
    let mut path = format!("M{LEFT:.1},{:.1}", y_of(0.0));
    for (number, value) in values.iter().enumerate() {
        let _ = write!(path, "V{:.1}H{:.1}", y_of(*value), LEFT + width * (number + 1) as f64);
    }
    let _ = writeln!(svg, r#"<path d="{path}V{:.1}Z" fill="{colour}"/>"#, y_of(0.0));
}

fn x_of(at: Duration, length: Duration) -> f64 {
    LEFT + (RIGHT - LEFT) * at.as_secs_f64() / length.as_secs_f64().max(1.0)
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    let _ = writeln!(svg, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}"/>"#);
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, style: &str, content: &str) {
    let content = escaped(content);
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" {style}>{content}</text>"#);
}

/// What would be markup, as text; what XML does not allow at all is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
