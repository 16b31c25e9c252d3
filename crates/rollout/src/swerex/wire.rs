//! The requests and answers of SWE-ReX 1.4, as its client writes and reads them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::UNLIMITED;

/// The session of requests that name none.
fn default_session() -> String {
    "default".to_owned()
}

/// Begins a session.
#[derive(Debug, Deserialize)]
pub(super) struct CreateSession {
    /// Files that are sourced first.
    #[serde(default)]
    pub(super) startup_source: Vec<String>,
    #[serde(default = "default_session")]
    pub(super) session: String,
    #[serde(default = "startup_timeout")]
    pub(super) startup_timeout: f64,
}

fn startup_timeout() -> f64 {
    1.0
}

/// What is done in a session.
#[derive(Debug, Deserialize)]
#[serde(tag = "action_type", rename_all = "snake_case")]
pub(super) enum Action {
    /// Runs a command.
    Bash(Bash),
    /// Interrupts whatever runs.
    BashInterrupt {
        /// Where.
        #[serde(default = "default_session")]
        session: String,
    },
}

/// A command for a session.
#[derive(Debug, Deserialize)]
pub(super) struct Bash {
    pub(super) command: String,
    #[serde(default = "default_session")]
    pub(super) session: String,
    /// Seconds; no limit where absent.
    #[serde(default)]
    pub(super) timeout: Option<f64>,
    #[serde(default)]
    pub(super) is_interactive_command: bool,
    #[serde(default)]
    pub(super) is_interactive_quit: bool,
    #[serde(default)]
    pub(super) check: Check,
    #[serde(default)]
    pub(super) error_msg: String,
    /// Texts that end the wait as the prompt does.
    #[serde(default)]
    pub(super) expect: Vec<String>,
}

/// What an exit code leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Check {
    /// An error, where it is not 0.
    #[default]
    Raise,
    /// It is told.
    Silent,
    /// It is not looked at.
    Ignore,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Observation {
    pub(super) output: String,
    pub(super) exit_code: Option<i32>,
    pub(super) failure_reason: String,
    pub(super) expect_string: String,
    pub(super) session_type: &'static str,
}

/// Ends a session.
#[derive(Debug, Deserialize)]
pub(super) struct CloseSession {
    #[serde(default = "default_session")]
    pub(super) session: String,
}

/// A program apart from the sessions.
#[derive(Debug, Deserialize)]
pub(super) struct Execute {
    pub(super) command: Words,
    /// Seconds; no limit where absent.
    #[serde(default)]
    pub(super) timeout: Option<f64>,
    #[serde(default)]
    pub(super) shell: bool,
    #[serde(default)]
    pub(super) check: bool,
    #[serde(default)]
    pub(super) error_msg: String,
    #[serde(default)]
    pub(super) env: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) cwd: Option<String>,
    #[serde(default)]
    pub(super) merge_output_streams: bool,
}

/// A command line, or its words.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Words {
    /// One text.
    One(String),
    /// A program and its arguments.
    Many(Vec<String>),
}

/// What a program printed, and how it ended.
#[derive(Debug, Serialize)]
pub(super) struct Executed {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit_code: Option<i32>,
}

/// A file that is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct ReadFile {
    pub(super) path: String,
    #[serde(default)]
    pub(super) encoding: Option<String>,
    #[serde(default)]
    pub(super) errors: Option<String>,
}

/// A file to be written.
#[derive(Debug, Deserialize)]
pub(super) struct WriteFile {
    pub(super) content: String,
    pub(super) path: String,
}

/// Seconds as a time; what is no time, or too long to be one, is no limit.
pub(super) fn time(seconds: Option<f64>) -> Duration {
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(UNLIMITED).min(UNLIMITED)
}
