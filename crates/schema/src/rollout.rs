//! What is planned: one rollout, and the run that it belongs to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::caps::{Caps, Unpriced};
use crate::clock::Timestamp;
use crate::ids::{RolloutId, RunName, TaskId, TemplateId};
use crate::route::Route;
use crate::units::Seed;

/// One attempt at one task by one scaffold with one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutSpec {
    /// Unique within the run, derived from the fields below.
    pub id: RolloutId,
    /// The template.
    pub template: TemplateId,
    /// Its version when the run was planned.
    pub version: u32,
    /// Which member.
    pub seed: Seed,
    /// The task's content-derived id when the run was planned.
    pub task: TaskId,
    /// The model's name, or that of the run's route; absent for scaffolds without one.
    pub model: Option<String>,
    /// The scaffold's name.
    pub scaffold: String,
    /// From 1.
    pub attempt: u32,
}

impl RolloutSpec {
    /// The id that belongs to a task, scaffold, model and attempt.
    pub fn id_for(task: &TaskId, scaffold: &str, model: Option<&str>, attempt: u32) -> RolloutId {
        let model = model.map(|name| format!(".{}", plain(name))).unwrap_or_default();
        format!("{task}.{}{model}.{attempt}", plain(scaffold))
            .parse()
            .expect("a task id, plain names and a number make a file name")
    }
}

impl RolloutSpec {
    /// The next attempt at the same task.
    #[must_use]
    pub fn next(&self) -> Self {
        let attempt = self.attempt + 1;
        let id = Self::id_for(&self.task, &self.scaffold, self.model.as_deref(), attempt);
        Self { id, attempt, ..self.clone() }
    }
}

fn plain(name: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }
    };
    name.chars().take(40).map(kept).collect()
}

/// A run: many rollouts planned together. Written once, before the first rollout starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The version of this file's format.
    pub wire_version: u32,
    /// The run's name.
    pub name: RunName,
    /// When it was planned.
    pub created: Timestamp,
    /// The program that planned it.
    pub trajforge_version: String,
    /// What it may spend; a resume may say otherwise for itself.
    #[serde(default, skip_serializing_if = "Caps::is_none")]
    pub caps: Caps,
    /// What to do with models whose price is unknown.
    #[serde(default, skip_serializing_if = "Unpriced::is_refused")]
    pub unpriced: Unpriced,
    /// The file that it shares with other runs, for whose key and day the caps hold together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<PathBuf>,
    /// How models are chosen for the rollouts that name the route where a model would stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Every rollout, in the order of the plan.
    pub rollouts: Vec<RolloutSpec>,
}
