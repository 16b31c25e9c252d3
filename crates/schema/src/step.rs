//! One step of a trajectory: (state, action, observation, reward), and the reasoning before it.

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::state::State;

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 1.
    pub step: u32,
    /// Before the action.
    pub state: State,
    /// What the agent did.
    pub action: Action,
    /// What came back.
    pub observation: Observation,
    /// What this step added: milestones first reached by it; the last step also settles the total.
    pub reward: f64,
    /// The milestones that held for the first time after this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<String>,
    /// What the agent thought before it acted; empty where the model says nothing.
    pub reasoning: String,
    /// Which model turn asked for it, from 1; absent for scaffolds without a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// The provider's id of the tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Seconds that the action took in the sandbox.
    pub seconds: f64,
}

/// What the agent sees after an action.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// The text, exactly as the agent gets it.
    pub text: String,
    /// Of the command, where there was one and it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether the action failed from the agent's point of view (no such file, timeout ...).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// Bytes of output that were cut out of the middle.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub truncated_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a rollout was worth: named components and one declared total.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reward {
    /// In [0, 1]: the weighted share of the goals that hold, times the share of the guards that do.
    pub total: f64,
    /// Each check and each milestone.
    pub components: Vec<RewardComponent>,
}

/// One named part of a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardComponent {
    /// `check:NAME`, `milestone:NAME` ...
    pub name: String,
    /// Raised when the meaning of the component changes.
    pub version: u32,
    /// In [0, 1].
    pub value: f64,
    /// Its weight within its kind.
    pub weight: f64,
}

/// What one hidden check said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// Its exit code; absent after a timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The end of what it printed: never shown to an agent.
    pub output: String,
    /// How long it took.
    pub seconds: f64,
}
