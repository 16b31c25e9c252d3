//! What can stop the reading or writing of records.

use std::io;
use std::path::{Path, PathBuf};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run's folder is there already.
    #[error("create run {}: the folder exists", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run at that place.
    #[error("open run {}: there is no run.json", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process works on the run.
    #[error("lock run {}: {holder} works on it", path.display())]
    Locked {
        /// The run's folder.
        path: PathBuf,
        /// Who, as it wrote itself into the lock file.
        holder: String,
    },
    /// A file that was written by a later version of this program.
    #[error("read {}: it has format {found}, and this program knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The highest that is known here.
        known: u32,
    },
    /// A line that is not what was written, with good lines after it.
    #[error("read {} line {line}: {problem}", path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// A journal whose first line never reached the disk.
    #[error("read {}: it has no header", path.display())]
    Headless {
        /// The journal.
        path: PathBuf,
    },
    /// A record that can't come at this place of a journal.
    #[error("append to {}: a {record} can't come here", path.display())]
    OutOfOrder {
        /// The journal.
        path: PathBuf,
        /// The kind of the record.
        record: &'static str,
    },
    /// A journal that an earlier append could not write to.
    #[error("append to {}: an earlier append failed", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
    },
    /// A file that holds no valid JSON of its kind.
    #[error("parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The operating system refused.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried: `write`, `open` ...
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::RunExists { .. } => {
                Some("go on with it by `trajforge run --resume`, or choose another name with --out")
            }
            Self::NoRun { .. } => Some("name the folder that `trajforge run` made, such as runs/NAME"),
            Self::Locked { .. } => Some("wait until it ends, or stop it; the lock goes away with its holder"),
            Self::Newer { .. } => Some("use the version of trajforge that wrote it, or a later one"),
            Self::Corrupt { .. } => Some(
                "the disk or an editor changed the file; move it away and resume the run to repeat the rollout",
            ),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("make room on the disk, then resume the run: nothing that was recorded is lost")
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("choose a folder that you may write to with --out")
                }
                _ => None,
            },
            Self::Headless { .. } | Self::OutOfOrder { .. } | Self::Broken { .. } | Self::Parse { .. } => {
                None
            }
        }
    }
}

/// Names the file in an error of the operating system: `file.sync_all().map_err(failed("sync", path))`.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
