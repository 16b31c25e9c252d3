//! One attempt at one task: the loop, the scaffolds, hidden milestones, verification and rewards.

mod browser;
mod error;
mod milestones;
mod perform;
mod prepare;
mod reward;
mod rollout;
pub mod scaffold;
pub mod swerex;
mod verify;

pub use error::{Error, Stop};
pub use rollout::{Attempt, Finished, Recorder, Rollout};
pub use scaffold::{Decision, Done, Finale, Intent, Scaffold, Seen, Wants};
