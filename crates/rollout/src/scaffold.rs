//! A scaffold: what turns a model, or a script, into an agent.

mod agent;
mod bash;
mod nop;
mod oracle;
mod text;
mod tools;

use async_trait::async_trait;
use serde_json::Value;
use trajforge_router::Meter;
use trajforge_schema::{Action, Ending, Failure, ModelTurn, Observation, Provenance};

pub use agent::{Agent, Reading, Style};
pub use nop::Nop;
pub use oracle::Oracle;

/// The native scaffolds that a model works with.
pub const NATIVE: [Style; 5] = [tools::STYLE, bash::STYLE, text::FENCED, text::XML, text::REACT];

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

    /// What to do after having seen the results of the actions decided last time.
    async fn decide(&mut self, seen: &[Seen]) -> Result<Decision, Failure>;
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
}
