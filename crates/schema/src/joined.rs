//! What a scaffold's own record adds to the steps that were recorded while it worked, and where the two differ.

use serde::{Deserialize, Serialize};

/// The scaffold's own record beside ours; written once, after the last step. A reader of the journal puts it into the steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// What read it.
    pub reader: String,
    /// The steps that both have.
    pub steps: Vec<JoinedStep>,
    /// Steps of ours that were found there by their ids.
    pub exact: u32,
    /// Everything in which the two differ, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// What it adds to one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedStep {
    /// The step's number.
    pub step: u32,
    /// The scaffold's own id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_id: Option<String>,
    /// The command's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The working directory in which it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What came back, where no request to a model ever showed it: after the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<String>,
}
