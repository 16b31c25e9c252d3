//! What `template.yaml`, `solution/steps.yaml` and `traps/*.yaml` may say: the published format.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;
use trajforge_schema::{CheckKind, Difficulty, Limits, Service};

use crate::yaml::Text;

/// `template.yaml`: a family of tasks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Raise it whenever a seed's task changes; it is part of what the streams are derived from.
    pub version: u32,
    /// A short name for people.
    pub title: String,
    /// What the family is about, in one or two sentences: for authors, never for agents.
    pub summary: String,
    /// How hard a member is, unless a rule says otherwise.
    pub difficulty: Difficulty,
    /// The first rule whose condition holds decides.
    #[serde(default)]
    pub difficulty_rules: Vec<DifficultyRule>,
    /// Programming languages that have to be read or written.
    pub languages: Vec<String>,
    /// What it takes: short kebab-case words.
    pub skills: Vec<String>,
    /// How many actions an expert needs.
    pub expected_steps: u32,
    /// What is drawn from the seed, by name; each from a stream of its own.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// The parameters that decide what has to be done: members that agree in all of them share a solution
    /// and are never split between train and test.
    pub answer: Vec<String>,
    /// Folders laid over `files/`, in this order, where their condition holds.
    #[serde(default)]
    pub overlays: Vec<Overlay>,
    /// What it runs in.
    pub environment: EnvironmentDefinition,
    /// What the person asks for. Either this or `instructions`.
    #[serde(default)]
    pub instruction: Option<Text>,
    /// Several ways of asking for the same, of which the seed picks one.
    #[serde(default)]
    pub instructions: Vec<Text>,
    /// The hidden checks.
    pub checks: Vec<CheckDefinition>,
    /// Partial credit on the way.
    pub milestones: Vec<MilestoneDefinition>,
}

/// A condition and the difficulty that follows from it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DifficultyRule {
    /// An expression over the parameters.
    pub when: Text,
    /// The difficulty.
    pub is: Difficulty,
}

/// A folder laid over `files/`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// An expression over the parameters; always where absent.
    #[serde(default)]
    pub when: Option<Text>,
    /// The folder, relative to the template's; may contain `{{ parameter }}`.
    pub from: Text,
    /// Which tree it is laid over.
    #[serde(default)]
    pub onto: Tree,
}

/// One of the trees of files that a template renders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    /// The workspace.
    #[default]
    Files,
    /// What only the setup sees.
    Setup,
    /// What only the verification sees.
    Verify,
}

/// How one parameter is drawn: exactly one of the fields.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameter {
    /// One of these values (any YAML value).
    pub choice: Option<Vec<Value>>,
    /// With `choice`: how often each is drawn, relative to the others.
    pub weights: Option<Vec<u64>>,
    /// A whole number between two ends, both included.
    pub int: Option<(i64, i64)>,
    /// With `int`: only every so many-th number.
    pub step: Option<i64>,
    /// A number with a fixed count of decimal places: [low, high, places].
    pub decimal: Option<(f64, f64, u32)>,
    /// True with this probability.
    pub chance: Option<f64>,
    /// Several different values out of a list, in random order.
    pub sample: Option<Sample>,
    /// All values of a list, in random order.
    pub shuffle: Option<Vec<Value>>,
    /// A word of a built-in list (`people`, `companies`, `products`, `cities`, `hosts`, `nouns`, `adjectives`, `verbs`).
    pub word: Option<String>,
    /// With `word`: how many different ones; the value is then a list.
    pub count: Option<usize>,
    /// As many hexadecimal digits.
    pub hex: Option<usize>,
    /// A number from 0 to 2^53-1 with which a script can seed its own generator.
    pub seed: Option<bool>,
    /// An expression over the parameters above it.
    pub value: Option<Text>,
}

/// Several different values out of a list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The list.
    pub from: Vec<Value>,
    /// How many.
    pub count: usize,
}

/// What the task runs in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentDefinition {
    /// A recipe in `images/`: `base`, `build`, `data` ...
    pub image: String,
    /// `agent` (uid 1000), or `root` where the task needs it.
    #[serde(default = "agent")]
    pub user: String,
    /// Where the files are laid and the shell starts.
    #[serde(default = "workspace")]
    pub workspace: String,
    /// Commands that build what can't be a plain file: run as root in the workspace, with `setup/` at `/setup`,
    /// which is removed before the agent arrives.
    #[serde(default)]
    pub setup: Vec<Text>,
    /// Programs that run beside the agent.
    #[serde(default)]
    pub services: Vec<Service>,
    /// More absolute paths that belong to the agent and are carried into the verification sandbox.
    #[serde(default)]
    pub carry: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub variables: IndexMap<String, Text>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
}

fn agent() -> String {
    "agent".to_owned()
}
fn workspace() -> String {
    "/workspace".to_owned()
}

/// A hidden check: run as root in `/verify` of a fresh sandbox; exit code 0 passes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckDefinition {
    /// Its name.
    pub name: String,
    /// `goal` earns; `guard` protects what works at the start.
    pub kind: CheckKind,
    /// Its share among the checks of its kind.
    #[serde(default = "one")]
    pub weight: f64,
    /// The command; where absent, the function of the check's name in `verify/checks.py`.
    #[serde(default)]
    pub run: Option<Text>,
    /// Seconds until it counts as failed.
    #[serde(default = "check_seconds")]
    pub timeout_seconds: u64,
    /// The check exists only where this holds.
    #[serde(default)]
    pub when: Option<Text>,
}

/// A hidden milestone: run as root in the workspace whenever it changed; exit code 0 means reached.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MilestoneDefinition {
    /// Its name.
    pub name: String,
    /// Its share among the milestones.
    #[serde(default = "one")]
    pub weight: f64,
    /// The command; keep it under 50 ms.
    pub run: Text,
}

fn one() -> f64 {
    1.0
}
fn check_seconds() -> u64 {
    60
}

/// `solution/steps.yaml`: how an expert does it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepsFile {
    /// The steps, in order.
    pub(crate) steps: Vec<StepDefinition>,
}

/// `traps/NAME.yaml`: a plausible wrong solution.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrapFile {
    /// Why somebody would do this, and why it is wrong.
    pub(crate) why: String,
    /// The checks that must fail because of it.
    pub(crate) fails: Vec<String>,
    /// The trap exists only where this holds.
    #[serde(default)]
    pub(crate) when: Option<Text>,
    /// The steps, in order.
    pub(crate) steps: Vec<StepDefinition>,
}

/// One step: exactly one action, or a loop over steps, or an included file of steps.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StepDefinition {
    /// The step exists only where this holds.
    pub(crate) when: Option<Text>,
    /// What one can think at that moment, and no more.
    pub(crate) reasoning: Option<Text>,
    /// A command for the shell.
    pub(crate) bash: Option<Text>,
    /// With `bash`: seconds until it is interrupted.
    pub(crate) timeout_seconds: Option<u64>,
    /// Reads a file.
    pub(crate) read: Option<ReadDefinition>,
    /// Writes a file.
    pub(crate) write: Option<WriteDefinition>,
    /// Replaces a piece of a file.
    pub(crate) edit: Option<EditDefinition>,
    /// Finds lines.
    pub(crate) search: Option<SearchDefinition>,
    /// Lists this folder.
    pub(crate) list: Option<Text>,
    /// Thinks aloud.
    pub(crate) think: Option<Text>,
    /// Declares the work done, with a message for the person who asked.
    pub(crate) submit: Option<Text>,
    /// `NAME in EXPRESSION`: repeats `steps` with the name bound to each item (and `loop_index` from 1).
    pub(crate) each: Option<Text>,
    /// With `each` (or with `when` alone): the steps of a group.
    pub(crate) steps: Option<Vec<StepDefinition>>,
    /// Another file of steps, relative to the template's folder.
    pub(crate) include: Option<Text>,
}

/// Arguments of `read`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadDefinition {
    /// The file.
    pub(crate) path: Text,
    /// First line, from 1.
    #[serde(default)]
    pub(crate) offset: Option<u64>,
    /// How many lines.
    #[serde(default)]
    pub(crate) limit: Option<u64>,
}

/// Arguments of `write`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteDefinition {
    /// The file.
    pub(crate) path: Text,
    /// Its content. Either this or `from`.
    #[serde(default)]
    pub(crate) content: Option<Text>,
    /// A file of the template (rendered if its name ends in `.j2`) whose content is written.
    #[serde(default)]
    pub(crate) from: Option<Text>,
}

/// Arguments of `edit`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditDefinition {
    /// The file.
    pub(crate) path: Text,
    /// The exact text to be replaced; it must occur once.
    pub(crate) old: Text,
    /// What takes its place.
    pub(crate) new: Text,
    /// Replace every occurrence.
    #[serde(default)]
    pub(crate) all: bool,
}

/// Arguments of `search`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchDefinition {
    /// A regular expression.
    pub(crate) pattern: Text,
    /// Where to look.
    #[serde(default)]
    pub(crate) path: Option<Text>,
}

/// The JSON Schema of `template.yaml`, for editors.
pub fn definition_schema() -> Schema {
    schemars::schema_for!(Definition)
}

/// The JSON Schema of `solution/steps.yaml` and of included step files.
pub fn steps_schema() -> Schema {
    schemars::schema_for!(StepsFile)
}

/// The JSON Schema of `traps/*.yaml`.
pub fn trap_schema() -> Schema {
    schemars::schema_for!(TrapFile)
}
