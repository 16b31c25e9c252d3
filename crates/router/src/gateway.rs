//! The gateway: serves models to scaffolds, and records every exchange.
//!
//! ```text
//!   scaffold --> session --> model --> caps --> budget --> pressure --> endpoint
//!                (URL, key)  (which)   (steps)  (money)    (rate)          |
//!            <-- the same bytes, or those of another dialect --------------+--> Exchange --> capture
//! ```
//!
//! Every rollout has a session of its own. Where the scaffold and the endpoint speak the same dialect, bytes pass
//! through as they are, piece by piece, at the client's pace; else they are translated by way of chat completions.

mod exchange;
mod flight;
mod gate;
mod prepare;
mod relay;
mod serve;
mod session;
mod side;
mod usage_filter;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use trajforge_schema::{MicroDollars, ModelEntry, Unpriced, Usage};

use crate::budget::{Account, Budget};
use crate::cassette::Cassette;
use crate::error::Error;
use crate::pressure::{Parking, Pressures};
use crate::secret::Secret;
use crate::wire::Wire;

pub use exchange::{CaptureFile, EXCHANGE_VERSION, Exchange, ExchangeEnd, View};
pub use gate::{Gate, Knock};
pub use side::{SideCalls, SideRule};

/// Whoever takes the records.
pub type Capture = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// How long a closing session waits for clients that do not take what is left for them.
const LINGER: Duration = Duration::from_secs(2);

/// What a gateway needs.
pub struct GatewaySpec {
    /// Where to listen; port 0 is any that is free.
    pub address: SocketAddr,
    /// What the keys of sessions are derived from: nobody may guess it.
    pub seed: [u8; 32],
    /// The money.
    pub budget: Arc<Budget>,
    /// What endpoints take, shared with everybody else who asks them.
    pub pressures: Arc<Pressures>,
    /// What exchanges go into, or come from, instead of or beside the endpoints.
    pub cassette: Option<Arc<Cassette>>,
}

/// A model that a session may ask.
#[derive(Debug, Clone)]
pub struct Served {
    /// Where it is, and what it costs.
    pub entry: ModelEntry,
    /// Its key.
    pub key: Option<Secret>,
}

/// What one client may do.
pub struct SessionSpec {
    /// Its name in the records, such as the rollout's id.
    pub name: String,
    /// Who pays.
    pub account: Account,
    /// The models that it may ask, by their entry's name or the provider's.
    pub models: Vec<Served>,
    /// What happens to other models.
    pub other_models: OtherModels,
    /// Replies that it may get, side calls aside.
    pub max_steps: Option<u64>,
    /// What it is told when it may ask no more.
    pub at_cap: AtCap,
    /// Which of its calls are no steps.
    pub side_calls: SideCalls,
    /// Whether models without a price may be asked.
    pub unpriced: Unpriced,
    /// Whoever takes the records.
    pub capture: Capture,
    /// Whoever looks at each step before it goes on.
    pub gate: Option<Arc<dyn Gate>>,
    /// What time counts as that is spent waiting for an endpoint or for money.
    pub parking: Parking,
}

/// What happens to a request for a model that the session does not serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherModels {
    /// It is refused.
    #[default]
    Refuse,
    /// The first model takes it: for scaffolds that ask a second model for small things.
    First,
}

/// The status that tells a scaffold to stop: these two are repeated by none that was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtCap {
    /// 401.
    #[default]
    Unauthorized,
    /// 404.
    NotFound,
}

/// An open session: what its client is given.
pub struct Session {
    root: String,
    key: Secret,
    state: Arc<session::State>,
}

/// What a session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionReport {
    /// Requests that came, refused ones included.
    pub requests: u64,
    /// Replies that count as steps.
    pub steps: u64,
    /// What it used.
    pub usage: Usage,
    /// What it was charged.
    pub cost: MicroDollars,
    /// Why it may ask no more, if so.
    pub capped: Option<String>,
}

/// A running gateway.
pub struct Gateway {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// What all requests share.
struct Shared {
    spec: GatewaySpec,
    wire: Wire,
    sessions: RwLock<Sessions>,
}

#[derive(Default)]
struct Sessions {
    opened: u64,
    by_token: BTreeMap<String, Arc<session::State>>,
    by_key: BTreeMap<String, Arc<session::State>>,
}

impl Gateway {
    /// Begins to listen.
    pub async fn start(spec: GatewaySpec) -> Result<Self, Error> {
        let wanted = spec.address;
        let listen = |source| Error::Listen { address: wanted.to_string(), source };
        let listener = TcpListener::bind(wanted).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        // Without this, the last small piece of a stream waits for the client's acknowledgement.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!("a connection keeps its delay: {error}");
            }
        });
        let wire = Wire::new(spec.cassette.clone())?;
        let shared = Arc::new(Shared { spec, wire, sessions: RwLock::default() });
        let (stop, mut stopped) = watch::channel(false);
        let routes = Router::new().fallback(serve::handle).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let until = async move { drop(stopped.wait_for(|stop| *stop).await) };
            if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(until).await {
                tracing::warn!("the gateway ended: {error}");
            }
        });
        Ok(Self { address, shared, stop, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a session. It ends with [`Gateway::close`].
    pub fn open(&self, spec: SessionSpec) -> Result<Session, Error> {
        let unpriced = spec.models.iter().find(|served| served.entry.price.is_none());
        if let (Unpriced::Refuse, Some(served)) = (spec.unpriced, unpriced) {
            return Err(Error::Unpriced { model: served.entry.name.clone() });
        }
        let mut sessions = self.shared.sessions.write().unwrap_or_else(PoisonError::into_inner);
        sessions.opened += 1;
        let derive = |what: &str, length: usize| {
            let name = format!("{what} {} {}", sessions.opened, spec.name);
            let digest = blake3::keyed_hash(&self.shared.spec.seed, name.as_bytes()).to_hex();
            digest.as_str().get(..length).unwrap_or_default().to_owned()
        };
        let (token, key) = (derive("path", 32), format!("tf-{}", derive("key", 48)));
        let state = Arc::new(session::State::new(spec, token.clone(), Secret::new(key.clone())));
        sessions.by_token.insert(token.clone(), Arc::clone(&state));
        sessions.by_key.insert(key.clone(), Arc::clone(&state));
        Ok(Session { root: format!("http://{}/s/{token}", self.address), key: Secret::new(key), state })
    }

    /// Ends a session: its key opens nothing, and what is under way is cut off. Every exchange has been recorded when
    /// this returns, but for one whose client has stopped taking it and does not hang up either.
    pub async fn close(&self, session: Session) -> SessionReport {
        {
            let mut sessions = self.shared.sessions.write().unwrap_or_else(PoisonError::into_inner);
            sessions.by_token.remove(session.state.token());
            sessions.by_key.remove(session.key.reveal());
        }
        session.state.close(LINGER).await;
        session.state.report()
    }

    /// Ends the gateway: takes no more connections, and cuts off what is under way.
    pub async fn stop(mut self) {
        let sessions =
            std::mem::take(&mut *self.shared.sessions.write().unwrap_or_else(PoisonError::into_inner));
        for state in sessions.by_token.into_values() {
            state.close(LINGER).await;
        }
        self.stop.send_replace(true);
        if tokio::time::timeout(LINGER, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.server.abort();
    }
}

impl Session {
    /// What clients of OpenAI's dialects take as their base URL.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.root)
    }

    /// What clients of Anthropic's dialect take as their base URL: they add `/v1` themselves.
    pub fn anthropic_base_url(&self) -> &str {
        &self.root
    }

    /// What its URL has after the gateway's address: for clients that reach the gateway at another one.
    pub fn path(&self) -> &str {
        self.root.find("/s/").map_or("", |start| &self.root[start..])
    }

    /// The key. It identifies the session by itself, for clients whose URL is fixed.
    pub fn key(&self) -> &str {
        self.key.reveal()
    }

    /// What it came to so far.
    pub fn report(&self) -> SessionReport {
        self.state.report()
    }
}
