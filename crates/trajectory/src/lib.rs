//! The record of a rollout: its journal, the folder of its run, and what it looks like outside.
//!
//! Everything is synchronous; nothing here reads a clock.

mod error;
mod export;
mod followed;
mod journal;
mod messages;
mod store;

pub use error::{Error, Result};
pub use export::{Export, ExportedState, ExportedStep};
pub use journal::{JournalWriter, Read, Torn, read, recover, summary_of};
pub use messages::{Transcript, sent, transcript};
pub use store::{Recorded, RunLock, RunStore};
