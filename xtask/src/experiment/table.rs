//! The experiment's figures as a section in Markdown.

use std::fmt::Write as _;

use super::interval::Interval;
use super::router::Report;

/// The whole section.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("`{}`\n\n{} tasks; {}.\n\n", report.command, report.tasks, wrapped(report.how));
    text.push_str("| policy | success | cost a task | cost a trajectory | cost a success | attempts |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for arm in &report.arms {
        // Writing into a string can't fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            arm.name,
            percent(arm.success),
            dollars(arm.cost_per_task),
            dollars(arm.cost_per_trajectory),
            dollars(arm.cost_per_success),
            arm.attempts,
        );
    }
    text.push_str("\n95 % intervals: Wilson's for rates, the bootstrap's for costs.\n\n");
    for (claim, holds) in &report.claims {
        let _ = writeln!(text, "- {}: {claim}", if *holds { "holds" } else { "**does not hold**" });
    }
    text.push_str("\n![success against cost](router.svg)\n");
    text
}

fn percent(interval: Interval) -> String {
    let Interval { value, low, high } = interval;
    format!("{:.1} % ({:.1} to {:.1})", value * 100.0, low * 100.0, high * 100.0)
}

fn dollars(interval: Interval) -> String {
    let Interval { value, low, high } = interval;
    format!("${value:.4} ({low:.4} to {high:.4})")
}

/// In lines of the house's width.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 20;
    for word in text.split_whitespace() {
        width += word.len() + 1;
        if width > 115 {
            lines.push('\n');
            width = word.len();
        } else if !lines.is_empty() {
            lines.push(' ');
        }
        lines.push_str(word);
    }
    lines
}
