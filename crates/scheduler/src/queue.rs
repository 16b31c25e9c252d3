//! The queue of a run: what waits, who works on what, and what came of it.
//!
//! ```text
//!            lease                    complete
//!  Waiting ---------> Leased --------------------------> Done
//!     ^                 |  release, or the lease runs out   ^
//!     +-----------------+-----------------------------------+
//!       tries are left       no tries are left: an error
//! ```
//!
//! Each lease has a fence, a number that grows with every lease of the rollout. Whoever comes with an older one has
//! lost the rollout to another worker, and is refused: so each rollout is completed once.

#[cfg(test)]
mod conformance;
pub(crate) mod memory;
mod row;
pub(crate) mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use trajforge_schema::{
    Difficulty, Ending, Failure, MicroDollars, Outcome, RolloutId, RolloutSpec, Timestamp, Tokens,
};

use crate::error::Result;
use crate::plan::Planned;

pub use row::{LostTry, Row, RowState};

/// A durable queue of rollouts. Every backend passes the same suite (`queue/conformance.rs`).
///
/// Errors are those of the backend, and `LeaseLost` where a lease is asked for.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Adds rollouts behind those that are there; one whose id is there already stays as it is. Gives the number of
    /// those that are new.
    async fn submit(&self, rollouts: Vec<Planned>) -> Result<u64>;

    /// Takes the waiting rollout of the highest priority, the earliest of the plan among equals, until `now + ttl`.
    /// Leases that have run out are ended first. Nothing where nothing may be taken at this moment.
    async fn lease(&self, worker: &str, now: Timestamp, ttl: Duration) -> Result<Option<Lease>>;

    /// Keeps a lease until `now + ttl`. `LeaseLost` means: stop working on it, another worker does.
    async fn heartbeat(&self, lease: &Lease, now: Timestamp, ttl: Duration) -> Result<()>;

    /// Settles a rollout for good. `LeaseLost` means that this result does not count.
    async fn complete(&self, lease: &Lease, completion: Completion) -> Result<()>;

    /// Gives a rollout back.
    async fn release(&self, lease: &Lease, release: Release, now: Timestamp) -> Result<Released>;

    /// Ends every lease at once and gives their number; the tries do not count. Only for the one process that has a
    /// run to itself, when it starts: whoever held those leases is dead.
    async fn reclaim(&self) -> Result<u64>;

    /// Lets rollouts that ended as errors be tried again, from the first try, and gives their number. Others of the
    /// list stay as they are.
    async fn reopen(&self, rollouts: &[RolloutId]) -> Result<u64>;

    /// How far the run is.
    async fn counts(&self, now: Timestamp) -> Result<Counts>;

    /// Everything, in the order of the plan.
    async fn rows(&self) -> Result<Vec<Row>>;
}

/// The right to work on a rollout, until it runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What to do.
    pub spec: RolloutSpec,
    /// Grows with every lease of this rollout.
    pub fence: u64,
    /// Which try this is, from 1; tries that did not count are left out.
    pub tries: u32,
}

/// What came of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// What it was worth.
    pub outcome: Outcome,
    /// Why it ended.
    pub ending: Ending,
    /// The total reward, in [0, 1].
    pub reward: f64,
    /// What it cost; absent where a price is unknown.
    pub cost: Option<MicroDollars>,
    /// Tokens, read and written.
    pub tokens: Tokens,
    /// The model that a router chose for it; absent where the plan names the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the task was, as far as somebody learns from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<Difficulty>,
    /// How many steps.
    pub steps: u32,
    /// Seconds that the agent took.
    pub seconds: f64,
    /// When it ended.
    pub finished: Timestamp,
}

/// Why a rollout is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// The try failed, and counts: another may follow. With no tries left the rollout is settled as an error.
    Failed {
        /// What failed.
        failure: Failure,
        /// The moment before which nobody takes it.
        not_before: Timestamp,
    },
    /// The worker stops: the try does not count.
    Unused,
}

/// What became of a rollout that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It waits for the next try.
    Waiting,
    /// It had its last try and is settled as an error.
    GivenUp,
}

/// How far a run is: `planned = waiting + leased + finished()`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Every rollout.
    pub planned: u64,
    /// Those that nobody works on, leases that have run out included.
    pub waiting: u64,
    /// Those that somebody works on.
    pub leased: u64,
    /// Finished with the full reward.
    pub success: u64,
    /// Finished with a part of the reward.
    pub partial: u64,
    /// Finished without reward.
    pub failure: u64,
    /// Ended outside the agent's work.
    pub error: u64,
    /// Tries that failed or were lost.
    pub retried: u64,
    /// What the finished ones cost, where that is known.
    pub cost: MicroDollars,
    /// Tokens that the finished ones used.
    pub tokens: Tokens,
}

impl Counts {
    /// Those that are settled, errors included.
    pub fn finished(&self) -> u64 {
        self.success + self.partial + self.failure + self.error
    }

    /// The share of successes among the finished, errors included; nothing before the first is finished.
    pub fn success_rate(&self) -> Option<f64> {
        let finished = self.finished();
        (finished > 0).then(|| self.success as f64 / finished as f64)
    }
}
