//! A model: an LLM behind an endpoint, what it costs, and what it used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::units::{MicroDollars, Tokens};

/// One entry of `models/*.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The name that `--model` takes.
    pub name: String,
    /// The endpoint, up to and without the dialect's path: `https://api.example.com/v1`.
    pub base_url: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// The name that the provider knows.
    pub model: String,
    /// The environment variable that holds the key; none for endpoints without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_variable: Option<String>,
    /// Tokens that a conversation may have.
    #[serde(default = "context_tokens")]
    pub context_tokens: u64,
    /// Tokens that one reply may have.
    #[serde(default = "output_tokens")]
    pub output_tokens: u64,
    /// Seconds until one request counts as lost.
    #[serde(default = "request_seconds")]
    pub request_seconds: u64,
    /// What it costs; a model without a price is refused unless the user allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// More fields for each request, such as `temperature`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub parameters: serde_json::Map<String, Value>,
    /// Whether a program plays the model: recorded with each trajectory.
    #[serde(default)]
    pub provenance: Provenance,
}

fn context_tokens() -> u64 {
    128_000
}
fn output_tokens() -> u64 {
    8_192
}
fn request_seconds() -> u64 {
    300
}

/// Whether what acts is a model, or a program that stands in for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// A language model.
    #[default]
    Model,
    /// A template's oracle, played step by step.
    Oracle,
    /// A program that answers like a model.
    Simulated,
    /// Nobody: a control.
    Control,
}

impl Provenance {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Oracle => "oracle",
            Self::Simulated => "simulated",
            Self::Control => "control",
        }
    }
}

/// What an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `POST /chat/completions`, as OpenAI and many others serve it.
    OpenaiChat,
    /// `POST /responses`, as OpenAI serves it.
    OpenaiResponses,
    /// `POST /messages`, as Anthropic and some others serve it.
    AnthropicMessages,
}

impl Dialect {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
        }
    }

    /// Where it is served, after the base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenaiChat => "/chat/completions",
            Self::OpenaiResponses => "/responses",
            Self::AnthropicMessages => "/messages",
        }
    }
}

/// Micro-dollars per million tokens, which is the same number as dollars per million tokens times 10^6.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars per million input tokens.
    pub input: f64,
    /// US dollars per million output tokens.
    pub output: f64,
    /// US dollars per million input tokens that came from the provider's cache; the input price where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
}

impl Price {
    /// What some usage costs, rounded up to the next micro-dollar.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "prices are not negative")]
    pub fn cost(&self, usage: &Usage) -> MicroDollars {
        let fresh = usage.input.0.saturating_sub(usage.cached_input.0) as f64;
        let cached = usage.cached_input.0 as f64 * self.cached_input.unwrap_or(self.input);
        let total = fresh * self.input + cached + usage.output.0 as f64 * self.output;
        MicroDollars(total.ceil() as u64)
    }
}

/// What one or many requests used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input: Tokens,
    /// Of those, tokens that came from the provider's cache.
    pub cached_input: Tokens,
    /// Tokens written, reasoning included.
    pub output: Tokens,
}

impl Usage {
    /// Read and written together.
    pub fn total(&self) -> Tokens {
        self.input + self.output
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached_input += other.cached_input;
        self.output += other.output;
    }
}

/// One exchange with a model, lossless: the reply as it came, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelTurn {
    /// From 1.
    pub turn: u32,
    /// The assistant's message, every field that the provider sent.
    pub message: Value,
    /// Messages that the scaffold put before this turn and that are neither the prompt nor a tool's result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inserted: Vec<Value>,
    /// The provider's id of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// What it used.
    pub usage: Usage,
    /// What it cost; absent where the price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroDollars>,
    /// Requests that it took, failed ones included.
    pub requests: u32,
    /// From the first request to the reply.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_rounded_up_and_cached_tokens_have_their_own_price() {
        let price = Price { input: 3.0, output: 15.0, cached_input: Some(0.3) };
        let usage = Usage { input: Tokens(1_000), cached_input: Tokens(900), output: Tokens(11) };
        assert_eq!(price.cost(&usage), MicroDollars(735));
        let one = Usage { output: Tokens(1), ..Usage::default() };
        assert_eq!(Price { input: 0.0, output: 0.1, cached_input: None }.cost(&one), MicroDollars(1));
    }
}
