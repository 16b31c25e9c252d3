//! What can stop the scheduler.

use std::path::PathBuf;

use trajforge_schema::RolloutId;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a plan could not be made, or the queue could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A scaffold that needs a model, and none was named.
    #[error("plan rollouts: the scaffold {scaffold} needs a model, and none is named")]
    NoModel {
        /// The scaffold's name.
        scaffold: String,
    },
    /// A request that plans nothing at all.
    #[error("plan rollouts: there are no {what}")]
    NothingToPlan {
        /// What there are none of: `tasks`, `scaffolds` or `attempts`.
        what: &'static str,
    },
    /// Two rollouts of one plan that can't be told apart.
    #[error("plan rollouts: {rollout} is planned twice")]
    PlannedTwice {
        /// Their id.
        rollout: RolloutId,
    },
    /// The lease has ended: it ran out and the rollout was offered again, or it is settled already.
    #[error("settle {rollout}: its lease has ended")]
    LeaseLost {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// A queue that was written by a later version of this program.
    #[error("open {}: it has format {found}, and this program knows up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The highest that is known here.
        known: i64,
    },
    /// The database refused.
    #[error("{action} the queue {}", path.display())]
    Database {
        /// What was tried: `open`, `write` ...
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// A row of the database that this program can't read.
    #[error("read {rollout} in the queue {}", path.display())]
    Row {
        /// The database.
        path: PathBuf,
        /// The row's id.
        rollout: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The program is stopping, and the queue was asked for more.
    #[error("use the queue: the program is stopping")]
    Stopping,
}

impl Error {
    /// Whether there is no room left on the disk.
    pub fn is_disk_full(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoModel { .. } => {
                Some("name one with --model; `trajforge model list` shows which there are")
            }
            Self::NothingToPlan { .. } => {
                Some("name at least one template, one seed, one scaffold and one attempt")
            }
            Self::PlannedTwice { .. } => Some(
                "name each task, scaffold and model once; names that differ in punctuation alone count as equal",
            ),
            Self::Newer { .. } => Some("use the version of trajforge that wrote it, or a later one"),
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => {
                    Some("make room on the disk, then resume the run: nothing that was recorded is lost")
                }
                Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
                    Some("move the file away and resume: finished rollouts are taken from their journals")
                }
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                    Some("another process holds the queue for long: stop it, then resume the run")
                }
                Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
                    Some("choose a folder that you may write to with --out")
                }
                _ => None,
            },
            Self::LeaseLost { .. } | Self::Row { .. } | Self::Stopping => None,
        }
    }
}
