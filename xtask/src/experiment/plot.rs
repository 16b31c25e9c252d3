//! The plot: success against cost, each with its interval.

use std::fmt::Write as _;

use super::router::{Arm, DOLLARS, Report, WANTED};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
/// Where the axes stand: left, right, top, bottom.
const FRAME: (f64, f64, f64, f64) = (70.0, 620.0, 30.0, 420.0);
/// The left end of the cost axis, which is logarithmic, in dollars.
const LEAST: f64 = 0.001;

/// The whole picture; the same bytes for the same figures.
pub(super) fn svg(report: &Report) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    axes(&mut svg);
    for (number, arm) in report.arms.iter().enumerate() {
        point(&mut svg, number, arm);
    }
    svg.push_str("</svg>\n");
    svg
}

fn x(dollars: f64) -> f64 {
    let share = (dollars.clamp(LEAST, 1.0) / LEAST).ln() / (1.0 / LEAST).ln();
    FRAME.0 + share * (FRAME.1 - FRAME.0)
}

fn y(rate: f64) -> f64 {
    FRAME.3 - rate * (FRAME.3 - FRAME.2)
}

fn axes(svg: &mut String) {
    let (left, right, top, bottom) = FRAME;
    for tenth in 0..=5 {
        let rate = f64::from(tenth) / 5.0;
        line(svg, (left, y(rate)), (right, y(rate)), "#ddd");
        label(svg, (left - 8.0, y(rate) + 4.0), "end", &format!("{:.0} %", rate * 100.0));
    }
    for dollars in [0.001, 0.01, 0.1, 1.0] {
        line(svg, (x(dollars), top), (x(dollars), bottom), "#ddd");
        label(svg, (x(dollars), bottom + 18.0), "middle", &format!("${dollars}"));
    }
    line(svg, (left, y(WANTED)), (right, y(WANTED)), "#c00");
    line(svg, (x(DOLLARS), top), (x(DOLLARS), bottom), "#c00");
    label(
        svg,
        (f64::midpoint(left, right), bottom + 42.0),
        "middle",
        "cost of a task, all its attempts (simulated models)",
    );
    label(svg, (left, top - 12.0), "start", "tasks that succeed; red: what is wanted");
}

/// A point with both intervals, its number, and its line in the legend.
fn point(svg: &mut String, number: usize, arm: &Arm) {
    let (cost, rate) = (arm.cost_per_task, arm.success);
    let hue = number * 360 / 11;
    let colour = format!("hsl({hue},70%,38%)");
    line(svg, (x(cost.low), y(rate.value)), (x(cost.high), y(rate.value)), &colour);
    line(svg, (x(cost.value), y(rate.low)), (x(cost.value), y(rate.high)), &colour);
    let place = FRAME.2 + 10.0 + 22.0 * number as f64;
    for (at, up) in [(x(cost.value), y(rate.value)), (FRAME.1 + 24.0, place)] {
        // Writing into a string can't fail.
        let _ = writeln!(svg, "<circle cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"5\" fill=\"{colour}\"/>");
    }
    label(svg, (x(cost.value) + 7.0, y(rate.value) - 6.0), "start", &(number + 1).to_string());
    label(svg, (FRAME.1 + 36.0, place + 4.0), "start", &format!("{} {}", number + 1, arm.name));
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

fn label(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let (x, y) = at;
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}
