//! What is to be done and who does it: the plan of a run, its durable queue, leases and retries.
//!
//! Nothing here reads a clock: the time of day comes as an argument.

mod error;
mod plan;
mod queue;
mod retry;

pub use error::{Error, Result};
pub use plan::{PlanRequest, Planned, PlannedTask, ScaffoldUse, plan};
pub use queue::memory::MemoryQueue;
pub use queue::sqlite::SqliteQueue;
pub use queue::{Completion, Counts, Lease, LostTry, Queue, Release, Released, Row, RowState};
pub use retry::RetryPolicy;
