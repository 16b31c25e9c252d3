//! What can stop a dataset from being built or read.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use trajforge_schema::RolloutId;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a dataset could not be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output folder is there already.
    #[error("build dataset {}: the folder exists", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Not one trajectory was given.
    #[error("build dataset: there is not one trajectory")]
    Empty,
    /// Too few task clusters for three splits.
    #[error("split dataset: there are {found} task clusters, and three splits need at least 3")]
    TooFewClusters {
        /// How many there are.
        found: usize,
    },
    /// A trajectory without a summary.
    #[error("add {rollout}: it did not finish")]
    Unfinished {
        /// Which.
        rollout: RolloutId,
    },
    /// A folder that holds no dataset of this program.
    #[error("read dataset {}: there is no metadata.json", path.display())]
    NoDataset {
        /// The folder.
        path: PathBuf,
    },
    /// A dataset that was written by a later version of this program.
    #[error("read {}: it has format {found}, and this program knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The highest that is known here.
        known: u32,
    },
    /// A file of a dataset that is not what was written.
    #[error("verify {}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file that holds no valid JSON of its kind.
    #[error("parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A Parquet file that can't be written or read.
    #[error("{action} {}", path.display())]
    Parquet {
        /// What was tried: `write`, `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the library says.
        source: ParquetError,
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
            Self::Exists { .. } => {
                Some("a dataset is never changed: choose another folder with --out, or move this one away")
            }
            Self::Empty => Some("see what was dropped and why, or let failures in"),
            Self::TooFewClusters { .. } => {
                Some("run more templates or seeds, or put everything into one split with --split all-train")
            }
            Self::NoDataset { .. } => Some("name the folder that `trajforge dataset build` made"),
            Self::Newer { .. } => Some("use the version of trajforge that wrote it, or a later one"),
            Self::Damaged { .. } => {
                Some("copy or download the dataset again, or build it again from its runs")
            }
            Self::Parquet { source: ParquetError::External(cause), .. } => {
                cause.downcast_ref::<io::Error>().and_then(hint_of_io)
            }
            Self::Io { source, .. } => hint_of_io(source),
            Self::Unfinished { .. } | Self::Parse { .. } | Self::Parquet { .. } => None,
        }
    }
}

fn hint_of_io(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on the disk and build again: nothing was left behind")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("choose a folder that you may write to with --out")
        }
        _ => None,
    }
}

/// Names the file in an error of the operating system.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Names the file in an error of the Parquet library.
pub(crate) fn parquet_failed(action: &'static str, path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_owned();
    move |source| Error::Parquet { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_the_same_hint_whoever_reports_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = Path::new("out/train.parquet");
        let reported = [
            failed("write", path)(full()),
            parquet_failed("write", path)(ParquetError::External(Box::new(full()))),
        ];
        for error in reported {
            assert!(error.hint().unwrap().contains("make room on the disk"), "{error}");
        }
    }
}
