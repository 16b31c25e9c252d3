//! The gates that a trajectory passes on its own, in their order. A new one is a function and a line in `GATES`.

use serde::{Deserialize, Serialize};
use trajforge_schema::{DropReason, Ending, Outcome, Provenance, Summary, Trajectory};

use crate::consistency;
use crate::error::{Error, Result};

/// What is let through.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The least total reward, in [0, 1].
    pub min_reward: Option<f64>,
    /// Whether trajectories without any reward stay: what does not work can be learnt from.
    pub keep_failures: bool,
    /// Whether rollouts in which nobody acted stay.
    pub keep_controls: bool,
    /// Whether a program may have played the model. An oracle may always: its provenance says so in the dataset.
    pub allow_simulated: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self { min_reward: None, keep_failures: true, keep_controls: false, allow_simulated: false }
    }
}

impl Filter {
    pub(crate) fn validated(self) -> Result<Self> {
        match self.min_reward {
            Some(value) if !(0.0..=1.0).contains(&value) => Err(Error::LeastReward { value }),
            _ => Ok(self),
        }
    }

    /// The first gate that stops a trajectory, with the particulars.
    pub(crate) fn stops(&self, trajectory: &Trajectory) -> Option<(DropReason, String)> {
        let Some(summary) = &trajectory.summary else {
            let detail = format!("it ends after step {} without a summary", trajectory.steps.len());
            return Some((DropReason::Incomplete, detail));
        };
        let recorded = Recorded { trajectory, summary };
        GATES.iter().find_map(|(reason, gate)| gate(self, &recorded).map(|detail| (*reason, detail)))
    }
}

/// A trajectory that has a summary.
struct Recorded<'a> {
    trajectory: &'a Trajectory,
    summary: &'a Summary,
}

/// Gives the particulars where it stops a trajectory.
type Gate = fn(&Filter, &Recorded<'_>) -> Option<String>;

/// In this order; exact duplicates of what is kept come last, in [`Judge`](crate::Judge).
const GATES: [(DropReason, Gate); 6] = [
    (DropReason::Incomplete, cancelled),
    (DropReason::Error, broken),
    (DropReason::Control, control),
    (DropReason::Inconsistent, inconsistent),
    (DropReason::Simulated, simulated),
    (DropReason::LowReward, low_reward),
];

fn cancelled(_: &Filter, recorded: &Recorded<'_>) -> Option<String> {
    let cancelled = recorded.summary.ending == Ending::Cancelled;
    cancelled.then(|| "it was cancelled".to_owned())
}

fn broken(_: &Filter, recorded: &Recorded<'_>) -> Option<String> {
    if recorded.summary.outcome != Outcome::Error {
        return None;
    }
    Some(match &recorded.summary.ending {
        Ending::Failed { failure } => failure.to_string(),
        _ => "it has no verdict".to_owned(),
    })
}

fn control(filter: &Filter, recorded: &Recorded<'_>) -> Option<String> {
    let header = &recorded.trajectory.header;
    let nobody_acted = header.provenance == Provenance::Control || recorded.trajectory.steps.is_empty();
    let stopped = nobody_acted && !filter.keep_controls;
    stopped.then(|| format!("nobody acted in {}", header.rollout.scaffold))
}

fn inconsistent(_: &Filter, recorded: &Recorded<'_>) -> Option<String> {
    consistency::contradiction(recorded.trajectory, recorded.summary)
}

fn simulated(filter: &Filter, recorded: &Recorded<'_>) -> Option<String> {
    let header = &recorded.trajectory.header;
    let stopped = header.provenance == Provenance::Simulated && !filter.allow_simulated;
    stopped.then(|| format!("{} is a program", header.llm_model()))
}

fn low_reward(filter: &Filter, recorded: &Recorded<'_>) -> Option<String> {
    let total = recorded.summary.reward.total;
    if !filter.keep_failures && recorded.summary.outcome == Outcome::Failure {
        return Some("it has no reward".to_owned());
    }
    match filter.min_reward {
        Some(least) if total < least => Some(format!("its reward is {total}, and {least} was asked for")),
        _ => None,
    }
}
