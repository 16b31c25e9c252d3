//! What can go wrong with a sandbox, by what the caller can do about it.

use trajforge_schema::{Failure, FailureCode};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something about sandboxes can't go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The container engine does not answer, or refuses this user.
    #[error("the Docker engine at {address} does not answer")]
    DockerUnreachable {
        /// Where it was looked for.
        address: String,
        /// What the client says.
        #[source]
        source: bollard::errors::Error,
    },
    /// The engine answered with an error that has no variant of its own.
    #[error("the Docker engine failed to {doing}")]
    Docker {
        /// What was asked.
        doing: String,
        /// What it said.
        #[source]
        source: bollard::errors::Error,
    },
    /// There is no such image, and no recipe that makes it.
    #[error("the image {image} does not exist")]
    ImageMissing {
        /// Its tag.
        image: String,
    },
    /// An image could not be made.
    #[error("the image {image} could not be built: {reason}")]
    ImageBroken {
        /// Its tag or the name of its recipe.
        image: String,
        /// The end of what the build said.
        reason: String,
    },
    /// A recipe is wrong.
    #[error("the image recipe {recipe} is wrong: {reason}")]
    RecipeInvalid {
        /// Its folder.
        recipe: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A program that is needed is not there.
    #[error("{program} is needed to make {purpose}, and is not installed")]
    ProgramMissing {
        /// Its name.
        program: String,
        /// What for.
        purpose: String,
    },
    /// The engine knows no such OCI runtime.
    #[error("the Docker engine has no runtime {runtime}; it has {known}")]
    RuntimeMissing {
        /// The one that was asked for.
        runtime: String,
        /// Those that there are.
        known: String,
    },
    /// No room on the disk, the host's or the engine's.
    #[error("no space is left on the disk to {doing}")]
    DiskFull {
        /// What was under way.
        doing: String,
    },
    /// The sandbox is gone or does not answer: another one may do.
    #[error("the sandbox {sandbox} was lost: {reason}")]
    Lost {
        /// Its rollout.
        sandbox: String,
        /// How it was noticed.
        reason: String,
    },
    /// The two sides do not understand each other: a defect, or the wrong shim.
    #[error("the shim's protocol was broken: {reason}")]
    Protocol {
        /// By what.
        reason: String,
    },
    /// The sandbox works, and declines: no such file, not allowed, not supported by the image.
    #[error("the sandbox refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// One of the sandbox's limits stands in the way: size, processes, entries.
    #[error("a limit of the sandbox is reached: {reason}")]
    Limit {
        /// Which.
        reason: String,
    },
    /// A file of this machine could not be read or written.
    #[error("{path} could not be used to {doing}")]
    File {
        /// Which.
        path: String,
        /// What for.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The code under which an outcome records this.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::DockerUnreachable { .. } => FailureCode::DockerUnreachable,
            Self::ImageMissing { .. }
            | Self::ImageBroken { .. }
            | Self::RecipeInvalid { .. }
            | Self::ProgramMissing { .. } => FailureCode::ImageMissing,
            Self::DiskFull { .. } => FailureCode::DiskFull,
            Self::Lost { .. } => FailureCode::SandboxLost,
            Self::Refused { .. } | Self::Limit { .. } | Self::RuntimeMissing { .. } => {
                FailureCode::SetupFailed
            }
            Self::Docker { .. } | Self::Protocol { .. } | Self::File { .. } => FailureCode::Internal,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DockerUnreachable { .. } => Some(
                "start Docker (`sudo systemctl start docker` or `sudo dockerd &`), make sure that this user may use it \
                 (`sudo usermod -aG docker $USER`, then log in again), or set DOCKER_HOST",
            ),
            Self::ImageMissing { .. } => Some(
                "`trajforge image list` shows the recipes there are, `trajforge image build` makes their images",
            ),
            Self::ImageBroken { .. } => {
                Some("the recipe is images/NAME/Dockerfile; it needs a Debian mirror in reach")
            }
            Self::RecipeInvalid { .. } => Some("compare it with images/base/Dockerfile"),
            Self::ProgramMissing { .. } => Some(
                "install it (`sudo apt-get install mmdebstrap`), or let Docker reach a registry that has \
                 debian:bookworm-slim",
            ),
            Self::RuntimeMissing { .. } => {
                Some("install it, and name it under \"runtimes\" in /etc/docker/daemon.json")
            }
            Self::DiskFull { .. } => {
                Some("`trajforge doctor` shows what takes the space; `trajforge image prune` frees some")
            }
            Self::Lost { .. } => {
                Some("the run tries again by itself; `trajforge doctor` shows whether Docker is well")
            }
            Self::Protocol { .. }
            | Self::Docker { .. }
            | Self::Refused { .. }
            | Self::Limit { .. }
            | Self::File { .. } => None,
        }
    }

    /// This error as it is recorded in an outcome.
    pub fn to_failure(&self) -> Failure {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            message.push_str(": ");
            message.push_str(&source.to_string());
            cause = source.source();
        }
        Failure::new(self.code(), message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.to_failure()
    }
}
