//! A conversation that outgrew its model is made shorter: what was left out, what stands for it, and what that cost.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Usage;
use crate::units::MicroDollars;

/// Turns that the model no longer saw as they are recorded. The record keeps them whole; this says what was sent instead,
/// from the turn on that carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condensation {
    /// How.
    pub method: CondensationMethod,
    /// The last turn that is concerned; the first one is always turn 1.
    pub last_turn: u32,
    /// What stands there instead: the whole message that holds the summary, or the text in place of each result.
    pub text: String,
    /// What a model was asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side_call: Option<SideCall>,
}

/// How a conversation is made shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CondensationMethod {
    /// One message of the user takes the place of the turns: a summary that the model wrote.
    Summary,
    /// The turns stay, and a short text takes the place of each result in them.
    Masked,
}

/// A reply of a model that is no turn: it counts for cost, and not as a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideCall {
    /// What it was asked last; before that stood the conversation as the model saw it.
    pub request: Value,
    /// The assistant's message, every field that the provider sent.
    pub message: Value,
    /// The provider's id of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// What it used.
    pub usage: Usage,
    /// What it cost; absent where the price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroDollars>,
    /// Requests that it took, failed ones included.
    pub requests: u32,
    /// That requests were under way, failed ones included.
    pub seconds: f64,
}
