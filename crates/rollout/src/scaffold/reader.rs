//! What a scaffold wrote down itself, read and held against the steps that were recorded while it worked.

mod aider;
mod join;
mod ledger;
mod mini_swe_agent;
mod openhands;
mod swe_agent;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use trajforge_schema::{Action, Usage};

pub use join::join;
pub use ledger::Account;

use super::ReaderName;

/// Files that were taken out of a sandbox: name, without its folder, to content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected(pub BTreeMap<String, Vec<u8>>);

/// A step as it was recorded while the scaffold worked.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveStep {
    /// Its number, from 1.
    pub step: u32,
    /// The provider's id of the tool call.
    pub tool_call_id: Option<String>,
    /// The provider's id of the reply that asked for it.
    pub response_id: Option<String>,
    /// What was done.
    pub action: Action,
    /// What the agent saw of it; empty after the last step.
    pub observation: String,
}

/// A scaffold's own record.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Recording {
    /// Its release, as it says itself.
    pub scaffold_version: Option<String>,
    /// What it told the model before the first turn: texts, in order.
    pub prompt: Vec<String>,
    /// What it did, in order.
    pub steps: Vec<ReadStep>,
    /// Where it made its context shorter.
    pub condensations: Vec<Condensation>,
    /// How it ended, in its own words.
    pub exit: Option<Exit>,
    /// How much of an observation its record holds.
    pub observations: Observations,
    /// What became of every field of the source.
    pub account: Account,
    /// The fields that have no place above, by where they stood in the source.
    pub raw: BTreeMap<String, Value>,
}

/// One step of a scaffold's own record; what the source does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReadStep {
    /// The scaffold's own id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The provider's id of the tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The provider's id of the reply that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// The tool; absent where the model only talked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Its arguments, as the model wrote them; text where they are not JSON.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// What the model said beside the call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub thought: String,
    /// What the model thought before it spoke.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// What came back, as the model was shown it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation: Option<String>,
    /// What it led to beyond that: commits, the results of several commands.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub effects: Value,
    /// Of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The shell's working directory afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// When it was asked for, as the source writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// When it was done, as the source writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Seconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What the reply used; in the first step of a reply alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// A place where a scaffold replaced a part of its context with a summary.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Condensation {
    /// The provider's id of the reply that is the summary.
    pub response_id: Option<String>,
    /// The steps that it had recorded until then.
    pub after: usize,
    /// The summary.
    pub summary: String,
}

/// How a scaffold ended, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exit {
    /// A word.
    pub status: String,
    /// More of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How much of what the model was shown a scaffold's record holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Observations {
    /// The text itself.
    #[default]
    Whole,
    /// A part of it: the scaffold puts more around it.
    Part,
}

/// Why files can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file is missing.
    #[error("the scaffold left no {name}")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A file is not what it should be.
    #[error("{name} can't be read: {problem}")]
    Malformed {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads what a scaffold has left.
pub fn read(reader: ReaderName, files: &Collected) -> Result<Recording, ReadError> {
    match reader {
        ReaderName::MiniSweAgent => mini_swe_agent::read(files),
        ReaderName::SweAgent => swe_agent::read(files),
        ReaderName::Openhands => openhands::read(files),
        ReaderName::Aider => aider::read(files),
    }
}

impl Collected {
    /// The first file whose name ends so, as JSON, and its name.
    fn json(&self, ending: &str) -> Result<(&str, Value), ReadError> {
        let found = self.0.iter().find(|(name, _)| name.ends_with(ending));
        let Some((name, content)) = found else {
            return Err(ReadError::Missing { name: ending.trim_start_matches('.').to_owned() });
        };
        // The parser quotes nothing of the content, which may hold secrets.
        let document =
            serde_json::from_slice(content).map_err(|error| malformed(name, &error.to_string()))?;
        Ok((name, document))
    }
}

fn malformed(name: &str, problem: &str) -> ReadError {
    ReadError::Malformed { name: name.to_owned(), problem: problem.to_owned() }
}

/// A tool call's arguments: JSON where they are, else the text.
fn arguments(text: &Value) -> Value {
    let parsed = text.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_else(|| text.clone())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // The gateway's record joins the parts of a text in this way too.
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

fn optional(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn exit_code(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|code| i32::try_from(code).ok())
}
