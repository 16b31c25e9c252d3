//! Which model a router chose for a rollout, and why: recorded with its trajectory.

use serde::{Deserialize, Serialize};

/// What a router chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The policy that chose.
    pub policy: String,
    /// The model, by the name of its entry.
    pub model: String,
    /// Why, for people.
    pub reason: String,
}
