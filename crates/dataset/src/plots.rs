//! The card's pictures: bar charts as plain SVG.

use std::fmt::Write as _;

const WIDTH: u32 = 720;
const LABELS: u32 = 210;
const VALUES: u32 = 130;
const TOP: u32 = 46;
const ROW: u32 = 26;
const BAR: u32 = 16;

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    /// What it stands for.
    pub(crate) label: String,
    /// Its length, in the unit of `full`.
    pub(crate) value: f64,
    /// What is written behind it.
    pub(crate) text: String,
}

/// A chart of horizontal bars, of which one of `full` takes the whole width.
pub(crate) fn bars(title: &str, bars: &[Bar], full: f64) -> String {
    let rows = u32::try_from(bars.len()).unwrap_or(u32::MAX);
    let height = TOP + rows * ROW + 14;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"15\" font-weight=\"600\" fill=\"#1f2933\">{title}</text>\n",
        title = escaped(title),
    );
    let room = f64::from(WIDTH - LABELS - VALUES);
    let mut top = TOP;
    for bar in bars {
        let share = if full > 0.0 { (bar.value / full).clamp(0.0, 1.0) } else { 0.0 };
        let length = (share * room).max(1.0);
        let middle = top + BAR / 2 + 5;
        // Writing into a String can't fail.
        let _ = writeln!(
            svg,
            "<text x=\"{label_end}\" y=\"{middle}\" text-anchor=\"end\" fill=\"#3e4c59\">{label}</text>\
             <rect x=\"{LABELS}\" y=\"{top}\" width=\"{room:.0}\" height=\"{BAR}\" rx=\"3\" fill=\"#edf1f5\"/>\
             <rect x=\"{LABELS}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"3\" fill=\"#2f6f9f\"/>\
             <text x=\"{value_start}\" y=\"{middle}\" fill=\"#1f2933\">{text}</text>",
            label_end = LABELS - 10,
            label = escaped(&bar.label),
            value_start = WIDTH - VALUES + 10,
            text = escaped(&bar.text),
        );
        top += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
