//! SWE-ReX's protocol, served over a sandbox: SWE-agent, and whatever else speaks it, works there from outside.
//!
//! ```text
//!   SWE-agent --> swe-rex client --HTTP, X-API-Key--> Server --> Sandbox
//!                 (RemoteRuntime)                     (here)     (a container without network)
//! ```
//!
//! A server belongs to one rollout. What the protocol asks for is done as the agent, except that an upload may lay files
//! down anywhere. What a sandbox can't do is refused: sessions are no terminals, so that programs which wait for typed
//! input are not driven through them.

mod execute;
mod files;
mod problem;
mod serve;
mod session;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use trajforge_sandbox::Sandbox;

/// How long an answer that is under way is waited for at the end.
const LINGER: Duration = Duration::from_secs(2);

/// A time without a limit of its own: the rollout's ends it.
const UNLIMITED: Duration = Duration::from_hours(24 * 7);

/// A running server for one sandbox.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// What all requests share.
struct Shared {
    sandbox: Arc<dyn Sandbox>,
    key: String,
    sessions: Mutex<Sessions>,
    /// The answer to the last request that had an id: a client that missed it asks again under the same id.
    last: Mutex<Option<(String, StatusCode, axum::body::Bytes)>>,
}

/// The open sessions, each with the name of its shell in the sandbox.
#[derive(Default)]
struct Sessions {
    begun: u64,
    open: BTreeMap<String, String>,
}

impl Server {
    /// Begins to listen; port 0 is any that is free. Whoever knows the key may do in the sandbox what its agent may.
    pub async fn start(
        sandbox: Arc<dyn Sandbox>,
        key: impl Into<String>,
        address: SocketAddr,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Shared { sandbox, key: key.into(), sessions: Mutex::default(), last: Mutex::default() };
        let routes = serve::routes(Arc::new(shared));
        let (stop, mut stopped) = watch::channel(false);
        let server = tokio::spawn(async move {
            let until = async move { drop(stopped.wait_for(|stop| *stop).await) };
            if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(until).await {
                tracing::warn!("the SWE-ReX server ended: {error}");
            }
        });
        Ok(Self { address, stop, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; the sandbox lives on.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(LINGER, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.server.abort();
    }
}
