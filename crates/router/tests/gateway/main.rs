//! The gateway over real HTTP: what passes, what is translated, what is refused, and what is recorded.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod access;
mod caps;
mod gate;
mod passage;
mod record;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use trajforge_router::budget::{Account, Budget};
use trajforge_router::gateway::{AtCap, Exchange, OtherModels, Served, SessionReport, SideCalls};
use trajforge_router::pressure::{Parking, Pressures};
use trajforge_router::{Gateway, GatewaySpec, Scripted, ScriptedReply, Secret, Session, SessionSpec};
use trajforge_schema::{Caps, Clock, Dialect, ModelEntry, RolloutId, Timestamp, Unpriced};

const DIALECTS: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];
const UPSTREAM_KEY: &str = "sk-upstream-secret";

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

/// A gateway in front of a scripted model, with one session.
struct Bench {
    gateway: Gateway,
    session: Session,
    upstream: Scripted,
    budget: Arc<Budget>,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    client: reqwest::Client,
}

/// What a response came to.
struct Got {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

fn gateway_spec(budget: &Arc<Budget>) -> GatewaySpec {
    GatewaySpec {
        address: ([127, 0, 0, 1], 0).into(),
        seed: [7; 32],
        budget: Arc::clone(budget),
        pressures: Arc::new(Pressures::new(1)),
        cassette: None,
    }
}

fn budget(caps: Caps) -> Arc<Budget> {
    Budget::new(caps, Arc::new(Stopped), Arc::new(|_| {}))
}

fn hello() -> Value {
    json!({ "role": "assistant", "content": "hi" })
}

impl Bench {
    async fn start(
        dialect: Dialect,
        script: impl Fn(&Value, usize) -> ScriptedReply + Send + Sync + 'static,
    ) -> Self {
        Self::with(dialect, Caps::default(), |_| {}, script).await
    }

    async fn with(
        dialect: Dialect,
        caps: Caps,
        change: impl FnOnce(&mut SessionSpec),
        script: impl Fn(&Value, usize) -> ScriptedReply + Send + Sync + 'static,
    ) -> Self {
        let upstream = Scripted::start(script).await.unwrap();
        let budget = budget(caps);
        let gateway = Gateway::start(gateway_spec(&budget)).await.unwrap();
        let exchanges = Arc::<Mutex<Vec<Exchange>>>::default();
        let mut spec = session_spec(&upstream, dialect, Arc::clone(&exchanges));
        change(&mut spec);
        let session = gateway.open(spec).unwrap();
        let client = reqwest::Client::builder().build().unwrap();
        Self { gateway, session, upstream, budget, exchanges, client }
    }

    /// Sends a body to the path of a dialect, with the session's URL and key.
    async fn post(&self, dialect: Dialect, body: &Value) -> Got {
        self.post_bytes(dialect, body.to_string()).await
    }

    async fn post_bytes(&self, dialect: Dialect, body: String) -> Got {
        got(self.request(dialect, body).send().await.unwrap()).await
    }

    fn request(&self, dialect: Dialect, body: String) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}{}", self.session.base_url(), dialect.path()));
        let request = request.header("content-type", "application/json").body(body);
        match dialect {
            Dialect::AnthropicMessages => {
                request.header("x-api-key", self.session.key()).header("anthropic-version", "2023-06-01")
            }
            _ => request.bearer_auth(self.session.key()),
        }
    }

    /// The records so far.
    fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends everything, and gives the records and what the session came to.
    async fn end(self) -> (Vec<Exchange>, SessionReport) {
        let report = self.gateway.close(self.session).await;
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.gateway.stop().await;
        (exchanges, report)
    }
}

async fn got(response: reqwest::Response) -> Got {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, text: response.text().await.unwrap() }
}

fn session_spec(upstream: &Scripted, dialect: Dialect, exchanges: Arc<Mutex<Vec<Exchange>>>) -> SessionSpec {
    let entry = ModelEntry { dialect, ..upstream.entry("m") };
    SessionSpec {
        name: "rollout-1".to_owned(),
        account: Account { rollout: Some("rollout-1".parse::<RolloutId>().unwrap()), ..Account::default() },
        models: vec![Served { entry, key: Some(Secret::new(UPSTREAM_KEY)) }],
        other_models: OtherModels::Refuse,
        max_steps: None,
        at_cap: AtCap::Unauthorized,
        side_calls: SideCalls::default(),
        unpriced: Unpriced::Refuse,
        gate: None,
        parking: Parking::default(),
        capture: Arc::new(move |exchange| {
            exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange.clone());
        }),
    }
}

/// A request of a dialect that says hello and offers a tool.
fn ask(dialect: Dialect, stream: bool) -> Value {
    let parameters = json!({ "type": "object", "properties": { "command": { "type": "string" } } });
    match dialect {
        Dialect::OpenaiChat => json!({
            "model": "m", "max_tokens": 100, "stream": stream,
            "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "hello" }],
            "tools": [{ "type": "function", "function": { "name": "bash", "parameters": parameters } }],
        }),
        Dialect::OpenaiResponses => json!({
            "model": "m", "max_output_tokens": 100, "stream": stream, "instructions": "Be brief.", "input": "hello",
            "tools": [{ "type": "function", "name": "bash", "parameters": parameters }],
        }),
        Dialect::AnthropicMessages => json!({
            "model": "m", "max_tokens": 100, "stream": stream, "system": "Be brief.",
            "messages": [{ "role": "user", "content": "hello" }],
            "tools": [{ "name": "bash", "input_schema": parameters }],
        }),
    }
}
