//! What went wrong, and at which boundary: recorded once, never a free string alone.

use serde::{Deserialize, Serialize};

/// The part that a failure is attributed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// The model or the provider behind it.
    Model,
    /// The scaffold between model and sandbox.
    Scaffold,
    /// The container and the shim in it.
    Sandbox,
    /// The task itself: its setup or its services.
    Task,
    /// The hidden verification.
    Verifier,
    /// The machine: Docker, disk, network, this program.
    Infrastructure,
}

/// What exactly failed. Each has a page in `docs/errors/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The endpoint could not be reached, or closed the connection.
    ModelUnreachable,
    /// The endpoint did not answer in time.
    ModelTimeout,
    /// The endpoint refused the key or the request, or sent the client elsewhere.
    ModelRefused,
    /// The endpoint wants to be paid first: no credit, or the account's quota is used up.
    ModelUnpaid,
    /// The endpoint's content policy refused the conversation or its answer.
    ContentRefused,
    /// The endpoint is overloaded or limits the rate, after all retries.
    ModelOverloaded,
    /// The endpoint answered with something that is not its protocol.
    ModelMalformed,
    /// The conversation no longer fits the model's context.
    ContextOverflow,
    /// The scaffold could not go on.
    ScaffoldCrashed,
    /// The sandbox died or stopped answering.
    SandboxLost,
    /// The environment could not be set up as the template says.
    SetupFailed,
    /// A service of the task did not become ready.
    ServiceNotReady,
    /// The verification could not be carried out.
    VerifierBroken,
    /// Docker does not answer.
    DockerUnreachable,
    /// The image is not there and can't be made.
    ImageMissing,
    /// No room on the disk.
    DiskFull,
    /// Anything else on this machine.
    Internal,
}

/// A failure with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The part it is attributed to.
    pub boundary: Boundary,
    /// What it was.
    pub code: FailureCode,
    /// For people; no secrets.
    pub message: String,
}

impl FailureCode {
    /// The boundary that a code belongs to.
    pub fn boundary(self) -> Boundary {
        match self {
            Self::ModelUnreachable
            | Self::ModelTimeout
            | Self::ModelRefused
            | Self::ModelUnpaid
            | Self::ContentRefused
            | Self::ModelOverloaded
            | Self::ModelMalformed
            | Self::ContextOverflow => Boundary::Model,
            Self::ScaffoldCrashed => Boundary::Scaffold,
            Self::SandboxLost => Boundary::Sandbox,
            Self::SetupFailed | Self::ServiceNotReady => Boundary::Task,
            Self::VerifierBroken => Boundary::Verifier,
            Self::DockerUnreachable | Self::ImageMissing | Self::DiskFull | Self::Internal => {
                Boundary::Infrastructure
            }
        }
    }

    /// Whether another attempt may end differently without anything being changed by a person.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::ModelUnreachable
                | Self::ModelTimeout
                | Self::ModelOverloaded
                | Self::SandboxLost
                | Self::DockerUnreachable
                | Self::Internal
        )
    }
}

impl Failure {
    /// A failure at the boundary that its code belongs to.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { boundary: code.boundary(), code, message: message.into() }
    }
}
