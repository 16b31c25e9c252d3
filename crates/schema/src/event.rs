//! What the core tells whoever listens: progress bars, logs and metrics only consume these.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::RolloutId;
use crate::outcome::Outcome;
use crate::units::MicroDollars;
use crate::verdict::DropReason;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run begins or goes on.
    RunStarted {
        /// Rollouts planned.
        planned: u64,
        /// Of those, finished before.
        finished: u64,
    },
    /// A worker took a rollout.
    RolloutStarted {
        /// Which.
        rollout: RolloutId,
    },
    /// A step is on disk.
    StepRecorded {
        /// Which rollout.
        rollout: RolloutId,
        /// Its number, from 1.
        step: u32,
    },
    /// A rollout is finished and committed.
    RolloutFinished {
        /// Which.
        rollout: RolloutId,
        /// What it was worth.
        outcome: Outcome,
        /// What it cost.
        cost: MicroDollars,
        /// Its total reward.
        reward: f64,
    },
    /// A rollout was added, because an earlier attempt failed.
    RolloutPlanned {
        /// Which.
        rollout: RolloutId,
    },
    /// A rollout goes back into the queue.
    RolloutRetried {
        /// Which.
        rollout: RolloutId,
        /// Why.
        failure: Failure,
    },
    /// Money is held for a request that is about to leave.
    BudgetReserved {
        /// Whose request it is.
        rollout: Option<RolloutId>,
        /// Its worst case.
        amount: MicroDollars,
    },
    /// A request is paid.
    BudgetSettled {
        /// Whose request it was.
        rollout: Option<RolloutId>,
        /// What was held.
        reserved: MicroDollars,
        /// What was charged.
        cost: MicroDollars,
    },
    /// A request was kept back because it could have broken a cap.
    CapReached {
        /// Whose request it was.
        rollout: Option<RolloutId>,
        /// What the cap is for: `request`, `rollout`, `run`, `key` or `day`.
        scope: String,
        /// How much it is.
        cap: MicroDollars,
        /// What was spent of it.
        spent: MicroDollars,
        /// What the request may have cost.
        asked: MicroDollars,
    },
    /// A journal had a torn tail, which was cut.
    TornTail {
        /// Which rollout.
        rollout: RolloutId,
        /// How many bytes were cut.
        bytes: u64,
    },
    /// A resource that a dead worker left was removed.
    Reaped {
        /// What it was.
        what: String,
    },
    /// An image is being made.
    ImageBuilding {
        /// Its tag.
        tag: String,
    },
    /// An image is there.
    ImageReady {
        /// Its tag.
        tag: String,
        /// Seconds that it took.
        seconds: f64,
    },
    /// Something worth a look that stops nothing.
    Warning {
        /// What.
        message: String,
    },
}

/// How many trajectories were left out for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCount {
    /// Why.
    pub reason: DropReason,
    /// How many.
    pub count: u64,
}
