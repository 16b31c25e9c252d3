//! The nouns of trajforge, as they are written to disk and passed between the rooms.
//!
//! Nothing here does I/O, waits, or reads a clock; every persisted type says its wire version.

mod action;
mod bytes;
mod caps;
mod choice;
mod clock;
mod condensation;
mod dialect;
mod event;
mod failure;
mod ids;
mod joined;
mod model;
mod outcome;
mod provenance;
mod record;
mod rollout;
mod route;
#[cfg(feature = "sample")]
pub mod sample;
mod skill;
mod state;
mod step;
mod tally;
mod task;
mod units;
mod verdict;

pub use action::{Action, ActionKind, Position};
pub use bytes::Content;
pub use caps::{Caps, Unpriced};
pub use choice::Choice;
pub use clock::{Clock, Timestamp};
pub use condensation::{Condensation, CondensationMethod, SideCall};
pub use dialect::Dialect;
pub use event::{DropCount, Event};
pub use failure::{Boundary, Failure, FailureCode};
pub use ids::{Digest, InvalidId, RolloutId, RunName, TaskId, TemplateId};
pub use joined::{Joined, JoinedStep};
pub use model::{ModelEntry, ModelTurn, Price, RateLimits, Usage};
pub use outcome::{Ending, Limit, Outcome};
pub use provenance::Provenance;
pub use record::{Header, Record, Summary, Trajectory, WIRE_VERSION};
pub use rollout::{RolloutSpec, RunPlan};
pub use route::{Models, PolicyName, Route};
pub use skill::Skill;
pub use state::{Delta, EntryKind, Manifest, ManifestEntry, State};
pub use step::{CheckResult, Observation, Reward, RewardComponent, Step};
pub use tally::{Rate, Tally};
pub use task::{
    Check, CheckKind, Difficulty, Environment, Limits, Milestone, OracleStep, Service, Task, TaskFile, Trap,
    Verification,
};
pub use units::{InvalidMoney, InvalidPrice, MicroDollars, Seed, TokenPrice, Tokens};
pub use verdict::{DropReason, Verdict};
