//! Progress bars: they hear of events and know nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use trajforge_pipeline::Events;
use trajforge_schema::{Event, MicroDollars, Outcome};

use crate::output;

/// What the bar shows of a run.
#[derive(Debug, Default)]
struct Shown {
    outcomes: BTreeMap<&'static str, u64>,
    retried: u64,
    running: u64,
    spent: MicroDollars,
    caps: BTreeSet<String>,
}

/// Shows a run on stderr: as a bar on a terminal, as a line now and then elsewhere.
pub(crate) fn events() -> Events {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style());
    let shown = Mutex::new(Shown::default());
    Arc::new(move |event| hear(&bar, &shown, &event))
}

fn style() -> ProgressStyle {
    let left = |state: &ProgressState, write: &mut dyn std::fmt::Write| {
        let text =
            if state.pos() == 0 { "-".to_owned() } else { output::duration(state.eta().as_secs_f64()) };
        // A bar that can't be drawn is no reason to stop.
        let _ = write.write_str(&text);
    };
    ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed} gone, {left} left")
        .expect("the template above is valid")
        .with_key("left", left)
}

fn hear(bar: &ProgressBar, shown: &Mutex<Shown>, event: &Event) {
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        Event::RunStarted { planned, finished } => {
            *shown = Shown::default();
            bar.set_length(*planned);
            bar.set_position(*finished);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(500));
            output::say(format!("{planned} rollouts are planned, {finished} are finished"));
        }
        Event::RolloutStarted { .. } => shown.running += 1,
        Event::RolloutRetried { rollout, failure } => {
            shown.retried += 1;
            shown.running = shown.running.saturating_sub(1);
            note(bar, &format!("{rollout} is tried again: {}", failure.message));
        }
        Event::RolloutFinished { outcome, .. } => {
            *shown.outcomes.entry(outcome.as_str()).or_default() += 1;
            shown.running = shown.running.saturating_sub(1);
            bar.inc(1);
            line_now_and_then(bar, &shown);
        }
        Event::TornTail { rollout, bytes } => {
            note(
                bar,
                &format!("{rollout}: {bytes} bytes at the end of its journal were torn; it is done again"),
            );
        }
        Event::Reaped { what } => note(bar, &format!("removed {what}, left by a worker that is gone")),
        Event::ImageBuilding { tag } => note(bar, &format!("making the image {tag}")),
        Event::ImageReady { tag, seconds } => {
            note(bar, &format!("the image {tag} is there after {}", output::duration(*seconds)));
        }
        Event::Warning { message } => note(bar, message),
        Event::RolloutPlanned { .. } => bar.inc_length(1),
        Event::BudgetSettled { cost, .. } => shown.spent += *cost,
        Event::CapReached { scope, cap, spent, .. } => {
            // Each rollout meets its own cap once; the others are met by all of them.
            if scope == "rollout" || shown.caps.insert(scope.clone()) {
                note(bar, &format!("the cap of {cap} for each {scope} is reached: {spent} are spent"));
            }
        }
        Event::StepRecorded { .. } | Event::BudgetReserved { .. } => {}
    }
    bar.set_message(text(&shown));
}

fn text(shown: &Shown) -> String {
    let finished: u64 = shown.outcomes.values().sum();
    let successes = shown.outcomes.get(Outcome::Success.as_str()).copied().unwrap_or(0);
    let mut parts: Vec<String> =
        shown.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    if finished > 0 {
        parts.push(format!("{:.0} % succeed", successes as f64 * 100.0 / finished as f64));
    }
    if shown.retried > 0 {
        parts.push(format!("{} tried again", shown.retried));
    }
    parts.push(format!("{} running", shown.running));
    parts.push(shown.spent.to_string());
    parts.join(", ")
}

fn note(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        output::say(text);
    } else {
        bar.println(text);
    }
}

fn line_now_and_then(bar: &ProgressBar, shown: &Shown) {
    if !bar.is_hidden() {
        return;
    }
    let (position, length) = (bar.position(), bar.length().unwrap_or(0));
    let every = (length / 10).max(1);
    if position.is_multiple_of(every) || position == length {
        output::say(format!("{position}/{length} {}", text(shown)));
    }
}
