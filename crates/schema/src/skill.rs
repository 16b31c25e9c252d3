//! What a simulated model can do: it is a program, and everything it yields is labelled so.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::task::Difficulty;

/// How well a simulated model plays the oracle of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skill {
    /// By difficulty, the probability that an attempt goes right at the first go; 0 for a difficulty that is left out.
    pub competence: BTreeMap<Difficulty, f64>,
    /// The probability that a mistake which can be mended is noticed and mended.
    #[serde(default)]
    pub recovers: f64,
    /// The share of attempts whose fate is the task's own and the same each time: what fails once fails again. The same
    /// tasks are the hard ones for every simulated model.
    #[serde(default)]
    pub stubborn: f64,
    /// Milliseconds before each reply.
    #[serde(default)]
    pub latency_ms: u64,
}

impl Skill {
    /// The probability for a difficulty.
    pub fn competence(&self, difficulty: Difficulty) -> f64 {
        self.competence.get(&difficulty).copied().unwrap_or(0.0)
    }
}
