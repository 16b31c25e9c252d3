//! What an agent can do: one closed set for every scaffold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One action of an agent. The tag `type` and the field names are the ones that reach a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Runs a command in the persistent bash session.
    Bash {
        /// The command, as typed.
        command: String,
        /// Seconds until it is interrupted; the environment's limit where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u64>,
    },
    /// Reads lines of a text file.
    Read {
        /// Absolute, or relative to the shell's working directory.
        path: String,
        /// First line, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// How many lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
    /// Writes a whole file, making its folders.
    Write {
        /// Absolute, or relative to the shell's working directory.
        path: String,
        /// The whole new content.
        content: String,
    },
    /// Replaces one exact, unique piece of a file.
    Edit {
        /// Absolute, or relative to the shell's working directory.
        path: String,
        /// The text to be replaced.
        old: String,
        /// What takes its place.
        new: String,
        /// Which of several equal pieces is meant.
        #[serde(default, skip_serializing_if = "Position::is_unique")]
        occurrence: Position,
    },
    /// Finds lines that match a regular expression.
    Search {
        /// The expression (Rust `regex` syntax).
        pattern: String,
        /// Where to look; the working directory where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// Lists a folder, two levels deep.
    List {
        /// The folder; the working directory where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// Thinks aloud; changes nothing.
    Think {
        /// The thought.
        thought: String,
    },
    /// Declares the work done.
    Submit {
        /// What was done, for the reader.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// What a scaffold of its own did, in its own words: no action of this set stands for it.
    Tool {
        /// The tool's name.
        name: String,
        /// Its arguments, every one.
        arguments: Value,
    },
    /// What a model asked for and no tool could be made of: recorded as it came, answered with an error.
    Invalid {
        /// The name that was called.
        tool: String,
        /// The arguments as they came.
        arguments: String,
        /// What is wrong with them.
        problem: String,
    },
}

/// Which of several equal pieces an edit means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// There must be exactly one.
    #[default]
    Unique,
    /// All of them.
    All,
}

impl Position {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_unique(&self) -> bool {
        *self == Self::Unique
    }
}

/// The name of an action's kind.
pub type ActionKind = &'static str;

impl Action {
    /// The `type` on the wire.
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Bash { .. } => "bash",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Edit { .. } => "edit",
            Self::Search { .. } => "search",
            Self::List { .. } => "list",
            Self::Think { .. } => "think",
            Self::Submit { .. } => "submit",
            Self::Tool { .. } => "tool",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// Whether the action can change the sandbox; the others need no look at the workspace afterwards.
    pub fn may_change_state(&self) -> bool {
        matches!(self, Self::Bash { .. } | Self::Write { .. } | Self::Edit { .. } | Self::Tool { .. })
    }
}
