//! A scaffold: what turns a model, or a script, into an agent.

mod access;
mod agent;
mod bash;
mod browse;
mod external;
mod hearing;
mod manifest;
mod nop;
mod oracle;
pub mod reader;
pub mod stdio;
mod text;
mod tools;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use trajforge_router::Meter;
use trajforge_sandbox::{Layer, Sandbox};
use trajforge_schema::{Action, Ending, Failure, Joined, ModelTurn, Observation, Provenance, Usage};

pub use access::Access;
pub use agent::{Agent, Reading, Style};
pub use external::External;
pub use manifest::{Invalid, Laid, MANIFEST, Manifest, Needs, Places, ReaderName, Runs, ToolRule, Wanted};
pub use nop::Nop;
pub use oracle::Oracle;
pub use stdio::Stdio;

/// The native scaffolds that a model works with.
pub const NATIVE: [Style; 6] =
    [tools::STYLE, bash::STYLE, browse::STYLE, text::FENCED, text::XML, text::REACT];

/// The native scaffold of that name.
pub fn native(name: &str) -> Option<Style> {
    NATIVE.into_iter().find(|style| style.name == name)
}

/// Decides what happens next.
#[async_trait]
pub trait Scaffold: Send {
    /// What the record says before the first step.
    fn offer(&self) -> Offer;

    /// Whether a model acts, or what stands in for one.
    fn provenance(&self) -> Provenance;

    /// What it has used of models so far; nothing for scaffolds without one.
    fn meter(&self) -> Option<Meter> {
        None
    }

    /// What its sandbox has to have beyond what the task asks for.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// Begins to work in the task's sandbox, which is ready. What it offers is asked for afterwards.
    async fn begin(&mut self, _sandbox: &Arc<dyn Sandbox>) -> Result<(), Failure> {
        Ok(())
    }

    /// What to do after having seen the results of the actions decided last time.
    async fn decide(&mut self, seen: &[Seen]) -> Result<Decision, Failure>;

    /// Ends what it began: called once, whatever happened, when no further decision is asked for. A scaffold that acts by
    /// itself tells what it did since its last one.
    async fn end(&mut self, _ending: &Ending) -> Option<Finale> {
        None
    }
}

/// A scaffold's version, its prompt and its tools, as sent or as they would be sent.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Its version, with a digest of its prompts where it has any.
    pub version: String,
    /// The messages before the first turn.
    pub prompt: Vec<Value>,
    /// The tools' schemas.
    pub tools: Vec<Value>,
}

/// The result of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The tool call that asked for it.
    pub tool_call_id: Option<String>,
    /// What came back.
    pub observation: Observation,
}

/// What a scaffold wants: actions, in order, or the end, or both.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The model's reply that led to it.
    pub turn: Option<ModelTurn>,
    /// The actions.
    pub intents: Vec<Intent>,
    /// Why the episode ends after them; it goes on where absent.
    pub ending: Option<Ending>,
}

/// An action, with what was thought before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// What to do.
    pub action: Action,
    /// What was thought.
    pub reasoning: String,
    /// The turn it belongs to.
    pub turn: Option<u32>,
    /// The tool call that asks for it.
    pub tool_call_id: Option<String>,
    /// What came of it, where the scaffold has done it by itself.
    pub done: Option<Done>,
}

/// An action that a scaffold has carried out by itself. Several of one turn are looked at together, after the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What the agent saw of it.
    pub observation: Observation,
    /// Seconds that it took, as far as can be told from outside.
    pub seconds: f64,
}

/// What a scaffold's sandbox has to have beyond what the task asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wants {
    /// What is mounted into it.
    pub layers: Vec<Layer>,
    /// What it may use on top.
    pub needs: Option<Needs>,
}

/// What a scaffold that acts by itself did since its last decision.
#[derive(Debug, Clone, Default)]
pub struct Finale {
    /// The last turns, and what was done because of them.
    pub decisions: Vec<Decision>,
    /// What its side calls used: they are no turns.
    pub side_usage: Usage,
    /// What its own record adds.
    pub joined: Option<Joined>,
}
