//! The container engine: how it is reached, and its errors in our words.

use bollard::Docker as Client;
use bollard::errors::Error as ClientError;

use crate::error::{Error, Result};

/// A connection to the engine.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) address: String,
}

const SOCKET: &str = "unix:///var/run/docker.sock";
const TIMEOUT_SECONDS: u64 = 120;

impl Engine {
    /// Connects to an address as in `DOCKER_HOST`, or to the usual socket, in the newest version that both sides speak.
    pub(crate) async fn connect(address: Option<&str>) -> Result<Self> {
        let address = address.unwrap_or(SOCKET).to_owned();
        let unreachable = |source| Error::DockerUnreachable { address: address.clone(), source };
        let connected = if let Some(path) = address.strip_prefix("unix://") {
            Client::connect_with_unix(path, TIMEOUT_SECONDS, bollard::API_DEFAULT_VERSION)
        } else {
            let plain = address.replacen("tcp://", "http://", 1);
            Client::connect_with_http(&plain, TIMEOUT_SECONDS, bollard::API_DEFAULT_VERSION)
        };
        let client = connected.map_err(unreachable)?;
        let client = client.negotiate_version().await.map_err(unreachable)?;
        Ok(Self { client, address })
    }

    /// Whether it is Podman, which answers in Docker's words.
    pub(crate) async fn is_podman(&self) -> Result<bool> {
        let version = self.client.version().await.map_err(|error| self.error("tell its version", error))?;
        Ok(version.components.unwrap_or_default().iter().any(|part| part.name == "Podman Engine"))
    }

    /// An error of the client, sorted by what can be done about it.
    pub(crate) fn error(&self, doing: &str, source: ClientError) -> Error {
        match &source {
            ClientError::DockerResponseServerError { message, .. }
            | ClientError::DockerStreamError { error: message }
                if is_full(message) =>
            {
                Error::DiskFull { doing: doing.to_owned() }
            }
            ClientError::DockerResponseServerError { .. } | ClientError::DockerStreamError { .. } => {
                Error::Docker { doing: doing.to_owned(), source }
            }
            ClientError::HyperResponseError { .. }
            | ClientError::HyperLegacyError { .. }
            | ClientError::IOError { .. }
            | ClientError::RequestTimeoutError
            | ClientError::SocketNotFoundError(_) => {
                Error::DockerUnreachable { address: self.address.clone(), source }
            }
            _ => Error::Docker { doing: doing.to_owned(), source },
        }
    }
}

/// Whether a message of the engine means that the disk is full.
pub(crate) fn is_full(message: &str) -> bool {
    message.contains("no space left on device") || message.contains("disk quota exceeded")
}

/// The status that the engine answered with, if it answered.
pub(crate) fn status(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
