//! A model: something that answers a conversation.

pub(crate) mod endpoint;
pub(crate) mod metered;

use async_trait::async_trait;
use serde_json::Value;
use trajforge_schema::{MicroDollars, ModelEntry, Usage};

use crate::error::Error;
use metered::Meter;

/// What is sent: the conversation so far, and the tools on offer, both in the form of OpenAI's chat completions.
#[derive(Debug, Clone, Default)]
pub struct ChatRequest {
    /// The messages, first to last.
    pub messages: Vec<Value>,
    /// The tools' schemas.
    pub tools: Vec<Value>,
}

/// What comes back: the assistant's message as the provider sent it, and what it used.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The assistant's message in the form of chat completions, every field that the provider sent: sent back as it
    /// is, it gives the provider its own items, such as signed reasoning, word for word.
    pub message: Value,
    /// The provider's id of the reply.
    pub response_id: Option<String>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// What it used.
    pub usage: Usage,
    /// What it cost; absent where the price is unknown.
    pub cost: Option<MicroDollars>,
    /// Requests that it took, failed ones included.
    pub requests: u32,
    /// That requests were under way, failed ones included.
    pub seconds: f64,
    /// That were spent waiting before and between them: for the provider, or for money.
    pub parked_seconds: f64,
    /// The whole response as the provider sent it, in its own dialect; one that came as a stream is put together.
    /// Log-probabilities and token ids stand here.
    pub response: Value,
}

/// Something that answers a conversation.
#[async_trait]
pub trait Model: Send + Sync {
    /// Its entry.
    fn entry(&self) -> &ModelEntry;

    /// What whoever asks it has used so far, where somebody keeps count.
    fn meter(&self) -> Option<Meter> {
        None
    }

    /// Asks for the next message; retries what may pass by itself.
    async fn complete(&self, request: &ChatRequest) -> Result<Reply, Error>;
}
