//! One trajectory as a single JSON document, in the shape that the project promises its users.

use std::collections::BTreeMap;

use serde::Serialize;
use trajforge_schema::{
    Action, Delta, EntryKind, Header, Manifest, MicroDollars, Outcome, RewardComponent, Seed, State, Step,
    Summary, Trajectory, Usage,
};

use crate::messages::{Transcript, transcript};

/// The version of this document.
const SCHEMA_VERSION: u32 = 1;
/// The `final_result` of a rollout that has no summary.
const INCOMPLETE: &str = "incomplete";

/// One trajectory, complete in itself: every state names every file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Export {
    /// The version of this document.
    pub schema_version: u32,
    /// The task's content-derived id.
    pub task_id: String,
    /// What the person asks for.
    pub task_instruction: String,
    /// `easy`, `medium`, `hard` or `expert`.
    pub difficulty: &'static str,
    /// The model's name; `oracle` where a template's solution was played, `none` where nobody acted.
    pub llm_model: String,
    /// The scaffold's name.
    pub scaffold: String,
    /// The steps.
    pub trajectory: Vec<ExportedStep>,
    /// `success`, `partial`, `failure`, `error`, or `incomplete` for a rollout that did not finish.
    pub final_result: &'static str,
    /// In [0, 1]; the sum of the steps' rewards.
    pub total_reward: f64,
    /// From the sandbox being ready to the end of the last step; verification not included.
    pub execution_time_seconds: f64,
    /// Model tokens, read and written.
    pub total_tokens: u64,
    /// Everything else that is known.
    #[serde(flatten)]
    details: Details,
}

/// What the promised shape has no name for.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Details {
    run: String,
    rollout_id: String,
    attempt: u32,
    template: String,
    template_version: u32,
    seed: Seed,
    cluster: String,
    category: String,
    languages: Vec<String>,
    skills: Vec<String>,
    image: String,
    provenance: &'static str,
    scaffold_version: String,
    ending: Option<trajforge_schema::Ending>,
    reward_components: Vec<RewardComponent>,
    checks: Vec<ExportedCheck>,
    final_state: Option<ExportedState>,
    usage: Usage,
    cost_usd: Option<f64>,
    verification_seconds: Option<f64>,
    started_at_ms: u64,
    finished_at_ms: Option<u64>,
    messages: Vec<serde_json::Value>,
    tools: Vec<serde_json::Value>,
}

/// One hidden check; its output stays hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ExportedCheck {
    name: String,
    passed: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportedStep {
    /// From 1.
    pub step: u32,
    /// Before the action.
    pub state: ExportedState,
    /// What the agent did: `{type, ...}`.
    pub action: Action,
    /// The text that came back, exactly as the agent got it.
    pub observation: String,
    /// What this step added to the total.
    pub reward: f64,
    /// What the agent thought before it acted.
    pub reasoning: String,
    /// Of the command, where there was one and it ended.
    pub exit_code: Option<i32>,
    /// Whether the action failed from the agent's point of view.
    pub is_error: bool,
    /// The milestones that held for the first time after this step.
    pub milestones: Vec<String>,
    /// Seconds that the action took.
    pub seconds: f64,
}

/// The workspace at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedState {
    /// The shell's working directory.
    pub cwd: String,
    /// Every file and link, relative to the workspace, to the first twelve digits of its content's BLAKE3 digest;
    /// to `size:BYTES` where the file was too large to hash.
    pub files: BTreeMap<String, String>,
    /// What differs from the state before, folders included; in the first state, everything.
    pub changed: Vec<String>,
    /// What is gone since the state before.
    pub removed: Vec<String>,
}

impl Export {
    /// The document of one trajectory.
    pub fn of(trajectory: &Trajectory) -> Self {
        let header = &trajectory.header;
        let summary = trajectory.summary.as_ref();
        let mut workspace = Manifest::default();
        let steps: Vec<ExportedStep> =
            trajectory.steps.iter().map(|step| exported_step(step, &mut workspace)).collect();
        let final_state = summary.map(|summary| exported_state(&summary.final_state, &mut workspace));
        Self {
            schema_version: SCHEMA_VERSION,
            task_id: header.rollout.task.to_string(),
            task_instruction: header.instruction.clone(),
            difficulty: header.difficulty.as_str(),
            llm_model: header.llm_model().to_owned(),
            scaffold: header.rollout.scaffold.clone(),
            trajectory: steps,
            final_result: summary.map_or(INCOMPLETE, |summary| summary.outcome.as_str()),
            total_reward: summary.map_or_else(|| reward_so_far(trajectory), |summary| summary.reward.total),
            execution_time_seconds: summary
                .map_or_else(|| seconds_so_far(trajectory), |summary| summary.execution_seconds),
            total_tokens: usage_of(trajectory).total().0,
            details: details_of(trajectory, final_state),
        }
    }
}

fn details_of(trajectory: &Trajectory, final_state: Option<ExportedState>) -> Details {
    let Header { rollout, .. } = &trajectory.header;
    let header = &trajectory.header;
    let summary = trajectory.summary.as_ref();
    let Transcript { messages, tools } = transcript(trajectory);
    Details {
        run: header.run.to_string(),
        rollout_id: rollout.id.to_string(),
        attempt: rollout.attempt,
        template: rollout.template.to_string(),
        template_version: rollout.version,
        seed: rollout.seed,
        cluster: header.cluster.clone(),
        category: header.category.clone(),
        languages: header.languages.clone(),
        skills: header.skills.clone(),
        image: header.image.clone(),
        provenance: header.provenance.as_str(),
        scaffold_version: header.scaffold_version.clone(),
        ending: summary.map(|summary| summary.ending.clone()),
        reward_components: summary.map_or_else(Vec::new, |summary| summary.reward.components.clone()),
        checks: summary.map_or_else(Vec::new, exported_checks),
        final_state,
        usage: usage_of(trajectory),
        cost_usd: cost_of(trajectory).map(MicroDollars::as_dollars),
        verification_seconds: summary.map(|summary| summary.verification_seconds),
        started_at_ms: header.started.0,
        finished_at_ms: summary.map(|summary| summary.finished.0),
        messages,
        tools,
    }
}

fn exported_checks(summary: &Summary) -> Vec<ExportedCheck> {
    let exported = |check: &trajforge_schema::CheckResult| ExportedCheck {
        name: check.name.clone(),
        passed: check.passed,
    };
    summary.checks.iter().map(exported).collect()
}

fn exported_step(step: &Step, workspace: &mut Manifest) -> ExportedStep {
    ExportedStep {
        step: step.step,
        state: exported_state(&step.state, workspace),
        action: step.action.clone(),
        observation: step.observation.text.clone(),
        reward: step.reward,
        reasoning: step.reasoning.clone(),
        exit_code: step.observation.exit_code,
        is_error: step.observation.is_error,
        milestones: step.milestones.clone(),
        seconds: step.seconds,
    }
}

fn exported_state(state: &State, workspace: &mut Manifest) -> ExportedState {
    let Delta { changed, removed } = &state.files;
    workspace.apply(&state.files);
    let mut files = BTreeMap::new();
    for (path, entry) in &workspace.0 {
        let content = match (&entry.digest, entry.kind) {
            (Some(digest), _) => digest.short().to_owned(),
            (None, EntryKind::File | EntryKind::Link) => format!("size:{}", entry.size),
            (None, EntryKind::Folder | EntryKind::Other) => continue,
        };
        files.insert(path.clone(), content);
    }
    ExportedState {
        cwd: state.cwd.clone(),
        files,
        changed: changed.keys().cloned().collect(),
        removed: removed.clone(),
    }
}

fn reward_so_far(trajectory: &Trajectory) -> f64 {
    trajectory.steps.iter().map(|step| step.reward).sum()
}

fn seconds_so_far(trajectory: &Trajectory) -> f64 {
    trajectory.steps.iter().map(|step| step.seconds).sum()
}

fn usage_of(trajectory: &Trajectory) -> Usage {
    if let Some(summary) = &trajectory.summary {
        return summary.usage;
    }
    let mut usage = Usage::default();
    for turn in &trajectory.turns {
        usage += turn.usage;
    }
    usage
}

fn cost_of(trajectory: &Trajectory) -> Option<MicroDollars> {
    match &trajectory.summary {
        Some(summary) => summary.cost,
        None => trajectory.turns.iter().map(|turn| turn.cost).sum(),
    }
}

impl Export {
    /// Whether the rollout reached the full reward.
    pub fn is_success(&self) -> bool {
        self.final_result == Outcome::Success.as_str()
    }
}
