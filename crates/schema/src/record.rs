//! A trajectory as it is written: a header, then steps and turns as they happen, then the summary.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::choice::Choice;
use crate::clock::Timestamp;
use crate::ids::{Digest, RunName};
use crate::joined::Joined;
use crate::model::{ModelTurn, Usage};
use crate::outcome::{Ending, Outcome};
use crate::provenance::Provenance;
use crate::rollout::RolloutSpec;
use crate::state::State;
use crate::step::{CheckResult, Reward, Step};
use crate::task::Difficulty;
use crate::units::MicroDollars;

/// The version of everything in this file. Raised when an older reader would misread.
pub const WIRE_VERSION: u32 = 1;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Header(Box<Header>),
    /// A model's reply.
    Turn(ModelTurn),
    /// A step, written before the next one is asked for.
    Step(Step),
    /// What the scaffold's own record adds to the steps, at most once, after the last of them.
    Joined(Joined),
    /// The last line; a journal without one belongs to a rollout that did not finish.
    Summary(Box<Summary>),
}

/// What is known before the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of this format.
    pub wire_version: u32,
    /// The program that wrote it.
    pub trajforge_version: String,
    /// The run.
    pub run: RunName,
    /// Which rollout.
    pub rollout: RolloutSpec,
    /// What the person asks for.
    pub instruction: String,
    /// The category.
    pub category: String,
    /// How hard it is.
    pub difficulty: Difficulty,
    /// Programming languages.
    pub languages: Vec<String>,
    /// What it takes.
    pub skills: Vec<String>,
    /// How many actions an expert needs.
    pub expected_steps: u32,
    /// Tasks of one cluster never straddle a split.
    pub cluster: String,
    /// The task's parameters.
    pub parameters: BTreeMap<String, Value>,
    /// The image that it ran in, with its content tag.
    pub image: String,
    /// Whether a model acts, or what stands in for one.
    pub provenance: Provenance,
    /// The model that a router chose, and why; absent where the plan names the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// The scaffold's version, and the digest of its prompts.
    pub scaffold_version: String,
    /// The messages before the first turn: system prompt and instruction as sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt: Vec<Value>,
    /// The tools' schemas as sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// When the sandbox was ready: where the rollout's clock starts.
    pub started: Timestamp,
}

impl Header {
    /// Who acts, as exports and datasets name it: the model, `oracle`, or `none`.
    pub fn llm_model(&self) -> &str {
        match self.provenance {
            Provenance::Oracle => "oracle",
            Provenance::Control => "none",
            Provenance::Model | Provenance::Simulated => {
                let chosen = self.choice.as_ref().map(|choice| choice.model.as_str());
                chosen.or(self.rollout.model.as_deref()).unwrap_or("none")
            }
        }
    }
}

/// What is known at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What it was worth.
    pub outcome: Outcome,
    /// Why it ended.
    pub ending: Ending,
    /// The reward, component by component.
    pub reward: Reward,
    /// What the last step's reward gets on top, so that the rewards of all steps sum to the total: the last step is
    /// written before the verification has spoken. A reader of the journal adds it.
    #[serde(default)]
    pub settlement: f64,
    /// What each hidden check said.
    pub checks: Vec<CheckResult>,
    /// The state after the last step.
    pub final_state: State,
    /// A digest of the whole final workspace.
    pub final_digest: Digest,
    /// Seconds from the sandbox being ready to the end of the last step; verification not included, nor waiting for a
    /// provider.
    pub execution_seconds: f64,
    /// Seconds that the verification took.
    pub verification_seconds: f64,
    /// Tokens used.
    pub usage: Usage,
    /// What it cost, requests included that gave no reply; absent where a price is unknown.
    pub cost: Option<MicroDollars>,
    /// When it ended.
    pub finished: Timestamp,
}

/// A whole trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// What is known before the first step.
    pub header: Header,
    /// The model's replies.
    pub turns: Vec<ModelTurn>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What the scaffold's own record says, which is in the steps already; absent for scaffolds without one.
    pub joined: Option<Joined>,
    /// What is known at the end; absent for a rollout that did not finish.
    pub summary: Option<Summary>,
}
