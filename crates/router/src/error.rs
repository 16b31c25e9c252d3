//! What can go wrong with a model, by what the caller can do about it.

use std::path::PathBuf;

use trajforge_schema::{Failure, FailureCode};

use crate::budget::CapReached;

/// Why there is no reply, or no model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such entry.
    #[error("there is no model {name:?}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// An entry that can't be read.
    #[error("{}: {message}", file.display())]
    Entry {
        /// The file.
        file: PathBuf,
        /// What is wrong, with line and column where known.
        message: String,
    },
    /// A route that can't be followed.
    #[error("the route {name}: {message}")]
    Route {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The key's variable is not set.
    #[error("the model {model} needs its key in the environment variable {variable}, which is not set")]
    KeyMissing {
        /// The model's name.
        model: String,
        /// The variable.
        variable: String,
    },
    /// A cassette that can't be opened or read.
    #[error("cassette {}: {message}", path.display())]
    Cassette {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where known.
        message: String,
    },
    /// A file for the records of exchanges that can't be opened.
    #[error("open {} for the records of exchanges: {source}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A rule for side calls that can't be used.
    #[error("the rule for side calls {name:?} can't be used: {message}")]
    SideRule {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The gateway can't listen.
    #[error("the gateway can't listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP client can't be made.
    #[error("the HTTP client could not be set up: {0}")]
    Client(String),
    /// The request may not leave: it could break a cap.
    #[error(transparent)]
    CapReached(CapReached),
    /// What was spent can't be read or written down.
    #[error("{}: what was spent can't be read or written: {source}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A model whose price is unknown, and nobody allowed that.
    #[error("the price of the model {model} is unknown")]
    Unpriced {
        /// Its name.
        model: String,
    },
    /// The request failed, after all retries.
    #[error("{message}")]
    Request {
        /// What it was.
        code: FailureCode,
        /// With the endpoint and what it said; no secrets.
        message: String,
        /// Requests that were made.
        requests: u32,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownModel { known, .. } if known.is_empty() => {
                Some("add an entry to models/, or give --base-url".to_owned())
            }
            Self::UnknownModel { known, .. } => Some(format!("the models are {}", known.join(", "))),
            Self::Entry { .. } => Some("compare it with the entries in models/".to_owned()),
            Self::Route { .. } => {
                Some("compare it with `trajforge run --help`, or with docs/routing.md".to_owned())
            }
            Self::KeyMissing { variable, .. } => Some(format!("export {variable}=...")),
            Self::Request { code: FailureCode::ModelUnreachable, .. } => {
                Some("is the endpoint running, and is its base URL right?".to_owned())
            }
            Self::Cassette { .. } => Some("record one with --record, or name another file".to_owned()),
            Self::SideRule { .. } => {
                Some("give it `system`, a regular expression, or `without_tools: true`".to_owned())
            }
            Self::Capture { .. } => Some("choose another --capture, or mend its permissions".to_owned()),
            Self::Listen { .. } => Some("choose another --port, or 0 for any that is free".to_owned()),
            Self::CapReached(_) => Some(
                "raise the cap and go on with `trajforge run --resume`; a lower output_tokens in the model's entry makes \
                 each request's worst case smaller"
                    .to_owned(),
            ),
            Self::Ledger { .. } => Some("make room on the disk, or mend the file's permissions".to_owned()),
            Self::Unpriced { .. } => {
                Some("put a price into its entry, give --price INPUT,OUTPUT, or --allow-unpriced".to_owned())
            }
            Self::Client(_) | Self::Request { .. } => None,
        }
    }

    /// As it is recorded in an outcome.
    pub fn to_failure(&self) -> Failure {
        match self {
            Self::Request { code, message, .. } => Failure::new(*code, message),
            Self::Ledger { source, .. } => {
                let is_full = source.kind() == std::io::ErrorKind::StorageFull;
                let code = if is_full { FailureCode::DiskFull } else { FailureCode::Internal };
                Failure::new(code, self.to_string())
            }
            other => Failure::new(FailureCode::ModelRefused, other.to_string()),
        }
    }
}
