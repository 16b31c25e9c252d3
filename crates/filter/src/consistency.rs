//! Whether a record agrees with itself.

use std::collections::BTreeSet;

use trajforge_schema::{Manifest, Outcome, State, Summary, Trajectory};

/// By how much the steps' rewards may miss the total.
const REWARD_TOLERANCE: f64 = 1e-6;

/// Gives what contradicts what; nothing in the first contradiction's absence.
type Check = fn(&Trajectory, &Summary) -> Option<String>;

const CHECKS: [Check; 6] = [numbers, turns, times, verification, rewards, states];

/// The first contradiction in a record.
pub(crate) fn contradiction(trajectory: &Trajectory, summary: &Summary) -> Option<String> {
    CHECKS.iter().find_map(|check| check(trajectory, summary))
}

/// Steps are numbered from 1 without gaps.
fn numbers(trajectory: &Trajectory, _: &Summary) -> Option<String> {
    let mut numbered = (1..).zip(&trajectory.steps);
    let wrong = numbered.find(|(number, step)| step.step != *number);
    wrong.map(|(number, step)| format!("step {number} is numbered {}", step.step))
}

/// Turns are numbered from 1 without gaps, and each turn that a step names is there.
fn turns(trajectory: &Trajectory, _: &Summary) -> Option<String> {
    for (number, turn) in (1..).zip(&trajectory.turns) {
        if turn.turn != number {
            return Some(format!("turn {number} is numbered {}", turn.turn));
        }
    }
    let turns: BTreeSet<u32> = trajectory.turns.iter().map(|turn| turn.turn).collect();
    let mut asked_for = trajectory.steps.iter().filter_map(|step| Some((step.step, step.turn?)));
    let lost = asked_for.find(|(_, turn)| !turns.contains(turn));
    lost.map(|(step, turn)| format!("step {step} comes from turn {turn}, which is not there"))
}

/// Times are finite and not negative, and the end is not before the beginning.
fn times(trajectory: &Trajectory, summary: &Summary) -> Option<String> {
    let of_steps = trajectory.steps.iter().map(|step| step.seconds);
    let of_summary = [summary.execution_seconds, summary.verification_seconds];
    let wrong = of_steps.chain(of_summary).find(|seconds| !seconds.is_finite() || *seconds < 0.0);
    if let Some(seconds) = wrong {
        return Some(format!("something took {seconds} seconds"));
    }
    (summary.finished < trajectory.header.started).then(|| "it ended before it began".to_owned())
}

/// Hidden checks were carried out, and a full success failed none of them.
fn verification(_: &Trajectory, summary: &Summary) -> Option<String> {
    if summary.checks.is_empty() {
        return Some("there is an outcome, and no check was carried out".to_owned());
    }
    let failed = summary.checks.iter().find(|check| !check.passed)?;
    (summary.outcome == Outcome::Success)
        .then(|| format!("it is a success, and check {} failed", failed.name))
}

/// The total is in [0, 1], fits the outcome and is the sum of the steps' rewards; components are in [0, 1].
fn rewards(trajectory: &Trajectory, summary: &Summary) -> Option<String> {
    let total = summary.reward.total;
    if !(0.0..=1.0).contains(&total) {
        return Some(format!("the total reward is {total}"));
    }
    if summary.outcome != Outcome::of_reward(total) {
        return Some(format!("a total reward of {total} is called {}", summary.outcome.as_str()));
    }
    for component in &summary.reward.components {
        if !(0.0..=1.0).contains(&component.value) || !component.weight.is_finite() || component.weight < 0.0
        {
            let (name, value, weight) = (&component.name, component.value, component.weight);
            return Some(format!("component {name} has value {value} and weight {weight}"));
        }
    }
    let sum: f64 = trajectory.steps.iter().map(|step| step.reward).sum();
    // Not `> tolerance`, so that a reward that is no number is caught too.
    let is_close = (sum - total).abs() <= REWARD_TOLERANCE;
    (!is_close).then(|| format!("the steps' rewards add up to {sum}, and the total is {total}"))
}

/// Each state follows from the one before, and the last one is what the summary says.
fn states(trajectory: &Trajectory, summary: &Summary) -> Option<String> {
    let mut workspace = Manifest::default();
    for step in &trajectory.steps {
        if let Some(problem) = apply(&mut workspace, &step.state) {
            return Some(format!("the state before step {}: {problem}", step.step));
        }
    }
    if let Some(problem) = apply(&mut workspace, &summary.final_state) {
        return Some(format!("the final state: {problem}"));
    }
    let differs = workspace.digest() != summary.final_digest;
    differs.then(|| "the states do not lead to the final workspace's digest".to_owned())
}

fn apply(workspace: &mut Manifest, state: &State) -> Option<String> {
    if state.cwd.is_empty() {
        return Some("there is no working directory".to_owned());
    }
    for path in &state.files.removed {
        if state.files.changed.contains_key(path) {
            return Some(format!("{path} is both changed and removed"));
        }
        if !workspace.0.contains_key(path) {
            return Some(format!("{path} is removed, and was not there"));
        }
    }
    workspace.apply(&state.files);
    None
}
