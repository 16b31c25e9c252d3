//! A scripted model over real HTTP: the double that tests and dry runs talk to. It is no model, and says so.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use trajforge_schema::{ModelEntry, Price, Provenance, TokenPrice};

/// What the server answers to one request.
#[derive(Debug, Clone)]
pub enum ScriptedReply {
    /// An assistant's message.
    Message(Value),
    /// An error status, with a body and perhaps a Retry-After.
    Status {
        /// The status code.
        code: u16,
        /// The body.
        body: String,
        /// Seconds for the Retry-After header.
        retry_after: Option<u64>,
    },
    /// These bytes with status 200.
    Raw(String),
    /// Nothing, for so long; then the connection is closed.
    Stall(Duration),
}

/// Chooses the answer: the request's body, and how many requests came before it.
type Script = dyn Fn(&Value, usize) -> ScriptedReply + Send + Sync;

/// A running scripted model on a port of the loopback interface.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Value>>>,
    server: JoinHandle<()>,
}

struct Shared {
    script: Box<Script>,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Scripted {
    /// Starts a server that answers as the script says.
    pub async fn start(
        script: impl Fn(&Value, usize) -> ScriptedReply + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared { script: Box::new(script), requests: Arc::clone(&requests) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(shared);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).into_future().await {
                tracing::warn!("the scripted model ended: {error}");
            }
        });
        Ok(Self { address, requests, server })
    }

    /// A server that plays a list of messages to every conversation: the n-th reply of a conversation is the n-th message.
    /// A conversation that is longer than the list gets a message without tool calls.
    pub async fn play(messages: Vec<Value>) -> std::io::Result<Self> {
        Self::start(move |request, _| {
            let replies = request["messages"].as_array().map_or(0, |messages| {
                messages.iter().filter(|message| message["role"] == "assistant").count()
            });
            let nothing = || json!({ "role": "assistant", "content": "I have nothing more to do." });
            ScriptedReply::Message(messages.get(replies).cloned().unwrap_or_else(nothing))
        })
        .await
    }

    /// An entry that points here; recorded as simulated.
    pub fn entry(&self, name: &str) -> ModelEntry {
        ModelEntry {
            request_seconds: 5,
            price: Some(price()),
            provenance: Provenance::Simulated,
            ..ModelEntry::at(name, &self.base_url())
        }
    }

    /// The base URL to give to a client.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The bodies of all requests so far.
    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A dollar for a million tokens in, two for a million out.
fn price() -> Price {
    let of = |dollars: f64| TokenPrice::try_from(dollars).expect("a small whole number is a price");
    Price::of(of(1.0), of(2.0))
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, _: HeaderMap, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "the body is no JSON").into_response();
    };
    let count = {
        let mut requests = shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(request.clone());
        requests.len() - 1
    };
    match (shared.script)(&request, count) {
        ScriptedReply::Message(message) => axum::Json(completion(&request, &message, count)).into_response(),
        ScriptedReply::Raw(text) => text.into_response(),
        ScriptedReply::Stall(time) => {
            tokio::time::sleep(time).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        ScriptedReply::Status { code, body, retry_after } => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = (code, body).into_response();
            if let Some(value) = retry_after.and_then(|seconds| seconds.to_string().parse().ok()) {
                response.headers_mut().insert("retry-after", value);
            }
            response
        }
    }
}

/// A completion around a message; tokens are counted as a quarter of the characters, and marked as estimated.
fn completion(request: &Value, message: &Value, count: usize) -> Value {
    let tokens = |value: &Value| (value.to_string().len() / 4).max(1);
    let reason = if message["tool_calls"].is_array() { "tool_calls" } else { "stop" };
    json!({
        "id": format!("scripted-{count}"),
        "object": "chat.completion",
        "model": request["model"],
        "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
        "usage": { "prompt_tokens": tokens(&request["messages"]), "completion_tokens": tokens(message), "estimated": true },
    })
}
