//! Why a rollout did not come to a verdict: a failure that is recorded, or a stop that leaves nothing to record.

use trajforge_schema::Failure;

/// Why a rollout has no record of its own: the run goes on, or ends, without it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal can't be written: the system can't go on.
    #[error("the journal can't be written")]
    Recorder(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something outside the agent's work failed before there was anything to judge; the queue decides what follows.
    #[error("{0}")]
    Failed(Failure),
    /// A person or a signal ended it.
    #[error("the rollout was cancelled")]
    Cancelled,
}

/// What ends the loop early.
#[derive(Debug)]
pub enum Stop {
    /// Recorded as the rollout's ending.
    Failure(Failure),
    /// Not recorded at all.
    Error(Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<trajforge_sandbox::Error> for Stop {
    fn from(error: trajforge_sandbox::Error) -> Self {
        Self::Failure(error.to_failure())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
