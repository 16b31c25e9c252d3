//! A task: one concrete piece of work, with its environment, its hidden verification and its oracle.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::Action;
use crate::bytes::Content;
use crate::ids::{Digest, TaskId, TemplateId};
use crate::units::{Seed, Tokens};

/// One member of a template's family, complete: nothing else is needed to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Derived from everything below.
    pub id: TaskId,
    /// Over everything below.
    pub digest: Digest,
    /// Where it comes from.
    pub template: TemplateId,
    /// The template's version.
    pub version: u32,
    /// Which member.
    pub seed: Seed,
    /// Tasks of one cluster share their answer and never straddle a split.
    pub cluster: String,
    /// What the person asks for.
    pub instruction: String,
    /// The category, which is the template id's first half.
    pub category: String,
    /// How hard this member is.
    pub difficulty: Difficulty,
    /// Programming languages that have to be read or written.
    pub languages: Vec<String>,
    /// What it takes.
    pub skills: Vec<String>,
    /// How many actions an expert needs.
    pub expected_steps: u32,
    /// The values of the template's parameters, as drawn.
    pub parameters: BTreeMap<String, Value>,
    /// What it runs in.
    pub environment: Environment,
    /// What the workspace holds when the agent arrives (before `setup` has run).
    pub files: Vec<TaskFile>,
    /// Files that only the setup sees.
    pub setup_files: Vec<TaskFile>,
    /// How the result is judged; hidden.
    pub verification: Verification,
    /// Partial credit on the way; hidden.
    pub milestones: Vec<Milestone>,
    /// How an expert does it; hidden.
    pub solution: Vec<OracleStep>,
    /// Plausible wrong solutions; hidden.
    pub traps: Vec<Trap>,
}

/// How hard a task is, for a capable person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// Minutes; the evidence is loud.
    Easy,
    /// Half an hour.
    Medium,
    /// An hour or more; the evidence is quiet, or there are several causes.
    Hard,
    /// Half a day.
    Expert,
}

impl Difficulty {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
            Self::Expert => "expert",
        }
    }
}

/// One file of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFile {
    /// Relative to where it belongs: the workspace, `/setup` or `/verify`.
    pub path: String,
    /// Permission bits: 0o644 or 0o755.
    pub mode: u32,
    /// The bytes.
    pub content: Content,
}

/// What a task runs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The name of a recipe in `images/`.
    pub image: String,
    /// Who the agent is: `agent` (uid 1000) or `root`.
    pub user: String,
    /// The workspace's absolute path; the shell starts here.
    pub workspace: String,
    /// Commands that build what can't be a plain file; run as the agent's user, in the workspace, before the services.
    pub setup: Vec<String>,
    /// Programs that run beside the agent.
    pub services: Vec<Service>,
    /// Absolute paths that are carried over into the verification sandbox; the workspace always is.
    pub carry: Vec<String>,
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// What it may use.
    pub limits: Limits,
}

/// A program of the task that runs beside the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Started with `bash -c`, in the workspace, as the agent's user; must stay in the foreground.
    pub run: String,
    /// Repeated until it exits with 0.
    pub ready: String,
    /// Seconds until it must be ready.
    #[serde(default = "ready_seconds")]
    pub ready_seconds: u64,
    /// Whether the verification sandbox starts it too.
    #[serde(default)]
    pub in_verification: bool,
}

fn ready_seconds() -> u64 {
    30
}

/// What a sandbox and a rollout may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory and swap together, in MiB.
    pub memory_mb: u64,
    /// CPU cores.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
    /// The workspace's size, in MiB.
    pub disk_mb: u64,
    /// One action, in seconds.
    pub action_seconds: u64,
    /// The whole rollout, in seconds, from the moment the sandbox is ready.
    pub rollout_seconds: u64,
    /// Actions.
    pub steps: u32,
    /// Model tokens, read and written; no limit where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mb: 1024,
            cpus: 1.0,
            pids: 256,
            disk_mb: 1024,
            action_seconds: 60,
            rollout_seconds: 1800,
            steps: 100,
            tokens: None,
        }
    }
}

/// How the final state is judged, in a fresh sandbox from the same image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Laid at `/verify`, readable by root alone.
    pub files: Vec<TaskFile>,
    /// The checks, each with its weight.
    pub checks: Vec<Check>,
}

/// One hidden check: exit code 0 passes, anything else fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Whether it rewards or protects.
    pub kind: CheckKind,
    /// Its share among the checks of its kind.
    pub weight: f64,
    /// Run with `bash -c` as root, in `/verify`; where absent, the function of the check's name in `checks.py` there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Seconds until it counts as failed.
    pub timeout_seconds: u64,
}

/// Whether a check rewards or protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// Does not hold at the start; holding at the end earns its weight.
    Goal,
    /// Holds at the start; breaking it costs its share of everything earned.
    Guard,
}

/// A hidden check that gives partial credit on the way; evaluated by root, from outside the agent's reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Milestone {
    /// Its name.
    pub name: String,
    /// Its share among the milestones.
    pub weight: f64,
    /// Run with `bash -c` as root, in the workspace; exit code 0 means reached.
    pub run: String,
}

/// One step of an expert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OracleStep {
    /// What one can think at that moment, and no more.
    pub reasoning: String,
    /// What is done.
    pub action: Action,
}

/// A plausible wrong solution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trap {
    /// Its name.
    pub name: String,
    /// Why somebody would do this, and why it is wrong.
    pub why: String,
    /// The checks that must fail because of it; others may.
    pub fails: Vec<String>,
    /// What is done.
    pub steps: Vec<OracleStep>,
}
