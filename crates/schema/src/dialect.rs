//! What an endpoint speaks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
