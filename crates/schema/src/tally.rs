//! What became of every trajectory that was looked at, counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::task::Difficulty;
use crate::verdict::DropReason;

/// Counts of verdicts and of results: `submitted = kept + dropped`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Every rollout that was looked at, unfinished ones included.
    pub submitted: u64,
    /// Those that go into the dataset.
    pub kept: u64,
    /// Those that do not, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Of all attempts, before anything was dropped. Controls are no attempts; unfinished and broken ones are.
    pub attempts: Rate,
    /// The same for each difficulty.
    pub by_difficulty: BTreeMap<Difficulty, Rate>,
    /// The same for each category.
    pub by_category: BTreeMap<String, Rate>,
    /// The same for each model, an oracle included.
    pub by_llm: BTreeMap<String, Rate>,
}

/// How many of some rollouts reached the full reward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// All of them.
    pub rollouts: u64,
    /// Those with the full reward.
    pub successes: u64,
}

impl Tally {
    /// Whether every submitted rollout is accounted for once.
    pub fn is_conserved(&self) -> bool {
        self.submitted == self.kept + self.dropped.values().sum::<u64>()
    }
}

impl Rate {
    /// Takes in one rollout.
    pub fn add(&mut self, success: bool) {
        self.rollouts += 1;
        self.successes += u64::from(success);
    }

    /// The share of successes, in [0, 1]; nothing where there are no rollouts.
    pub fn share(self) -> Option<f64> {
        (self.rollouts > 0).then(|| self.successes as f64 / self.rollouts as f64)
    }
}
