//! What a filter says of a trajectory: keep or drop, always with a reason.

use serde::{Deserialize, Serialize};

/// The verdict on one trajectory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It goes into the dataset.
    Keep,
    /// It does not.
    Drop {
        /// Why.
        reason: DropReason,
        /// The particulars, for people.
        detail: String,
    },
}

/// Why a trajectory is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The rollout did not finish.
    Incomplete,
    /// A failure outside the agent's work ended it.
    Error,
    /// Nobody acted: a control.
    Control,
    /// The record contradicts itself.
    Inconsistent,
    /// The same actions on the same task are kept already.
    Duplicate,
    /// The reward is lower than was asked for.
    LowReward,
    /// A program played the model, and nobody asked for that.
    Simulated,
}

impl DropReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Error => "error",
            Self::Control => "control",
            Self::Inconsistent => "inconsistent",
            Self::Duplicate => "duplicate",
            Self::LowReward => "low_reward",
            Self::Simulated => "simulated",
        }
    }
}
