//! What a scaffold wrote down itself, read and held against the steps that were recorded while it worked.

use std::collections::BTreeMap;

use trajforge_schema::{Action, Joined};

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {}

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
pub fn read(_reader: ReaderName, _files: &Collected) -> Result<Recording, ReadError> {
    Ok(Recording::default())
}

/// Holds a scaffold's own record against the steps.
pub fn join(_steps: &[LiveStep], _recording: &Recording) -> Joined {
    Joined::default()
}
