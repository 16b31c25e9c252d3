//! How a rollout ended, and what it was worth: two closed sets.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What the verification made of the final state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every check passed: total reward 1.
    Success,
    /// Some of the goals hold: total reward between 0 and 1.
    Partial,
    /// None of the goals hold, or something was broken on the way: total reward 0.
    Failure,
    /// No verdict: a failure outside the agent's work. The reward is 0 and says nothing.
    Error,
}

/// Why the agent's episode came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ending {
    /// The agent declared the work done.
    Submitted,
    /// The agent stopped acting without declaring anything.
    Stopped,
    /// The agent went round in circles, was told so, and went on.
    Stuck,
    /// A limit was reached; what was done until then is verified all the same.
    LimitReached {
        /// Which one.
        limit: Limit,
    },
    /// A person or a signal ended it.
    Cancelled,
    /// Something failed.
    Failed {
        /// What, and at which boundary.
        failure: Failure,
    },
}

/// What a rollout may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Actions.
    Steps,
    /// Wall-clock time since the sandbox was ready.
    Time,
    /// Model tokens.
    Tokens,
    /// Money.
    Cost,
    /// Malformed replies in a row.
    Malformed,
    /// Bytes, or entries, on the disk.
    Disk,
}

impl Ending {
    /// The word on the wire: `submitted`, `stopped`, `stuck`, `limit_reached`, `cancelled` or `failed`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Stopped => "stopped",
            Self::Stuck => "stuck",
            Self::LimitReached { .. } => "limit_reached",
            Self::Cancelled => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }
}

impl Outcome {
    /// The outcome that belongs to a verified total reward.
    pub fn of_reward(total: f64) -> Self {
        if total >= 1.0 {
            Self::Success
        } else if total > 0.0 {
            Self::Partial
        } else {
            Self::Failure
        }
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}
