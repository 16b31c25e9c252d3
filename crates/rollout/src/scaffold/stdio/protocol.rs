//! What is said over the standard streams of a scaffold on the host: one JSON object a line, version 1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trajforge_schema::Action;

/// Raised with every change that the other side would not understand.
pub const PROTOCOL: u32 = 1;

/// A line that a scaffold is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// The first line: the task. It is answered with `ready`.
    Task(Box<Assignment>),
    /// What came of an action.
    Observation(Answer),
    /// Nothing more is wanted: the scaffold ends now, or is killed.
    Stop {
        /// Why.
        reason: String,
    },
}

/// A line that a scaffold sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Said {
    /// The first line: it has understood the task.
    Ready {
        /// The version of the protocol that it speaks.
        protocol: u32,
    },
    /// What it does next. It is answered with `observation`, unless it submits.
    Action {
        /// The action: `{"type": "bash", "command": "ls"}`.
        #[schemars(with = "Action")]
        action: Value,
        /// What was thought before it; from the model's reply where absent.
        #[serde(default)]
        reasoning: Option<String>,
        /// The model's call that asks for it; the reply's calls in their order where absent.
        #[serde(default)]
        tool_call_id: Option<String>,
    },
    /// It has nothing more to do, and has not submitted.
    End {
        /// Why, for people.
        #[serde(default)]
        reason: String,
    },
}

/// What a scaffold is to do, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assignment {
    /// The version of the protocol.
    pub protocol: u32,
    /// The rollout's id.
    pub rollout: String,
    /// What the person asks for.
    pub instruction: String,
    /// The workspace's absolute path inside the sandbox; the shell starts there.
    pub workspace: String,
    /// What it may use.
    pub limits: Allowance,
    /// The model.
    pub model: Line,
    /// Schemas of the actions as tools, in the form of chat completions, ready to be sent to the model.
    pub tools: Vec<Value>,
}

/// What a scaffold may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allowance {
    /// Actions.
    pub steps: u32,
    /// Seconds from this line to the end.
    pub seconds: u64,
    /// Seconds that one action may take.
    pub action_seconds: u64,
}

/// How a scaffold reaches its model. The same stands in its environment, as clients look for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The base URL for clients of OpenAI's dialects.
    pub base_url: String,
    /// The base URL for clients of Anthropic's.
    pub anthropic_base_url: String,
    /// The key for either; good for this rollout alone.
    pub key: String,
    /// The model's name.
    pub name: String,
    /// Tokens that a conversation may have.
    pub context_tokens: u64,
    /// Tokens that one reply may have.
    pub output_tokens: u64,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The text, as the model should see it.
    pub text: String,
    /// Of the command, where there was one and it ended.
    pub exit_code: Option<i32>,
    /// Whether the action failed.
    pub is_error: bool,
    /// Actions that are left.
    pub steps_left: u32,
}

/// The lines of both directions, as the schema names them.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is made")]
struct Lines {
    /// A line that the scaffold reads.
    to_the_scaffold: Told,
    /// A line that the scaffold writes.
    from_the_scaffold: Said,
}

/// The JSON Schema of both directions.
pub fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Lines)).unwrap_or_default()
}
