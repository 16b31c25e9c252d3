//! The record of one exchange: every byte that was said, and what it means.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trajforge_schema::{Content, Dialect, Failure, MicroDollars, Timestamp, Usage};

use super::Capture;
use crate::error::Error;

/// The version of the records' format.
pub const EXCHANGE_VERSION: u32 = 1;

/// One request of a client, and what became of it. Keys are masked everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The version of the record's format.
    pub wire_version: u32,
    /// The session's name.
    pub session: String,
    /// Its number within the session, from 1, in the order in which requests came.
    pub number: u64,
    /// When it came.
    pub started: Timestamp,
    /// From then to the first byte of the reply; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_seconds: Option<f64>,
    /// From then to the end.
    pub seconds: f64,
    /// How it ended.
    pub end: ExchangeEnd,
    /// The status that the client was given; 0 where it hung up before.
    pub status: u16,
    /// What the client speaks.
    pub client_dialect: Dialect,
    /// What the endpoint speaks.
    pub dialect: Dialect,
    /// The path that the client asked, without its session.
    pub path: String,
    /// The entry's name; absent where none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many times the client had sent this request before, as it says itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated: u32,
    /// What kind of side call it is; absent for a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side_call: Option<String>,
    /// The client's program, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The provider's id of the request, from its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The bytes that the client sent.
    pub request: Content,
    /// The bytes that the endpoint was sent; absent where they are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Content>,
    /// The bytes that the endpoint sent, or the gateway's own answer where it refused.
    pub response: Content,
    /// The bytes that the client was given; absent where they are the same, but perhaps for the usage that it had not
    /// asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Content>,
    /// What it means.
    pub view: View,
    /// What it used.
    pub usage: Usage,
    /// What it was charged; absent where the price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroDollars>,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// An exchange in the form of chat completions, whatever its dialects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The conversation.
    pub messages: Value,
    /// The tools on offer.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub tools: Value,
    /// The assistant's message; null where there is none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub reply: Value,
    /// The provider's id of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The log-probabilities of the reply's tokens.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub logprobs: Value,
    /// The ids of the reply's tokens.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub token_ids: Value,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeEnd {
    /// The client was given a whole reply.
    Whole,
    /// The endpoint refused, failed or broke off.
    Failed,
    /// The client hung up, or the session was closed.
    Cancelled,
    /// The gateway did not let it through.
    Refused,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A file of exchanges, one JSON object a line.
#[derive(Debug)]
pub struct CaptureFile {
    file: Mutex<File>,
}

impl CaptureFile {
    /// Opens a file to add to; it is made where it is not there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| Error::Capture { path: path.to_owned(), source })?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Adds an exchange.
    pub fn add(&self, exchange: &Exchange) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(exchange)?;
        line.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }

    /// What a session takes: a record that can't be written is told of in the log.
    pub fn capture(self) -> Capture {
        Arc::new(move |exchange| {
            if let Err(error) = self.add(exchange) {
                tracing::error!("an exchange of {} could not be recorded: {error}", exchange.session);
            }
        })
    }
}
