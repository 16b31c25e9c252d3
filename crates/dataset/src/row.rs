//! What a builder is given, and the form in which rows wait for their place.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trajforge_schema::{Header, Step, Summary, Trajectory};

use crate::message::Message;

/// One trajectory to be put into a dataset, with its chat.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The record; it must have a summary.
    pub trajectory: Trajectory,
    /// The chat, in the style of OpenAI's chat completions.
    pub messages: Vec<Value>,
    /// The tools' schemas.
    pub tools: Vec<Value>,
}

/// A row as it waits on disk: what the columns are made of, and no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) header: Header,
    pub(crate) steps: Vec<Step>,
    pub(crate) summary: Summary,
    pub(crate) messages: Vec<Message>,
    /// JSON text.
    pub(crate) tools: String,
}

impl Waiting {
    /// Nothing for a trajectory without a summary.
    pub(crate) fn of(row: Row) -> Option<Self> {
        let summary = row.trajectory.summary?;
        Some(Self {
            header: row.trajectory.header,
            steps: row.trajectory.steps,
            summary,
            messages: row.messages.iter().map(Message::of).collect(),
            tools: Value::Array(row.tools).to_string(),
        })
    }
}
