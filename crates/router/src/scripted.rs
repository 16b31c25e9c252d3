//! A scripted model over real HTTP, in every dialect and in any weather: the double that tests and dry runs talk to.
//! It is no model, and says so.

mod connection;
mod words;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use trajforge_schema::{Dialect, ModelEntry, Price, Provenance, TokenPrice};

use crate::dialect::protocol;

/// What the server answers to one request.
#[derive(Debug, Clone)]
pub enum ScriptedReply {
    /// An assistant's message, in the form of chat completions: served in the dialect that was asked, as a stream
    /// where one was asked for.
    Message(Value),
    /// A whole response in the dialect that was asked; as a stream where one was asked for.
    Response(Value),
    /// An error status, with a body and perhaps a Retry-After.
    Status {
        /// The status code.
        code: u16,
        /// The body.
        body: String,
        /// Seconds for the Retry-After header.
        retry_after: Option<u64>,
    },
    /// These bytes as JSON with status 200.
    Raw(String),
    /// Nothing, for so long; then the connection is closed.
    Stall(Duration),
    /// The other, after so long.
    After(Duration, Box<Self>),
    /// The connection's own bytes, head and all; then the connection is closed.
    Parts(Vec<ScriptedPart>),
}

/// A part of what a connection does.
#[derive(Debug, Clone)]
pub enum ScriptedPart {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends nothing for so long.
    Pause(Duration),
    /// Resets the connection.
    Reset,
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedRequest {
    /// Method and path.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub bytes: Vec<u8>,
    /// The body.
    pub body: Value,
}

/// Chooses the answer: the request's body, and how many requests came before it.
type Script = dyn Fn(&Value, usize) -> ScriptedReply + Send + Sync;

/// A running scripted model on a port of the loopback interface.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    log: Arc<Log>,
    server: JoinHandle<()>,
}

/// What a server keeps of its requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Memory {
    /// All of them.
    #[default]
    Whole,
    /// How many there were.
    Count,
}

/// What happened.
#[derive(Debug, Default)]
struct Log {
    memory: Memory,
    count: AtomicUsize,
    requests: Mutex<Vec<ScriptedRequest>>,
    hang_ups: AtomicUsize,
}

struct Shared {
    script: Box<Script>,
    log: Arc<Log>,
}

impl Scripted {
    /// Starts a server that answers as the script says.
    pub async fn start(
        script: impl Fn(&Value, usize) -> ScriptedReply + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        Self::serve(script, Memory::Whole).await
    }

    /// The same without keeping what it is asked: for many long conversations.
    pub async fn forgetful(
        script: impl Fn(&Value, usize) -> ScriptedReply + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        Self::serve(script, Memory::Count).await
    }

    async fn serve(
        script: impl Fn(&Value, usize) -> ScriptedReply + Send + Sync + 'static,
        memory: Memory,
    ) -> std::io::Result<Self> {
        let log = Arc::new(Log { memory, ..Log::default() });
        let shared = Arc::new(Shared { script: Box::new(script), log: Arc::clone(&log) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(connection::serve(listener, shared));
        Ok(Self { address, log, server })
    }

    /// A server that plays a list of messages to every conversation: the n-th reply of a conversation is the n-th message.
    /// A conversation that is longer than the list gets a message without tool calls.
    pub async fn play(messages: Vec<Value>) -> std::io::Result<Self> {
        Self::start(move |request, _| {
            let turns = ["messages", "input"].into_iter().find_map(|name| request[name].as_array());
            let replies = turns.map_or(0, |messages| {
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
        self.received().into_iter().map(|request| request.body).collect()
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<ScriptedRequest> {
        self.log.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often a client hung up before its answer was whole.
    pub fn hang_ups(&self) -> usize {
        self.log.hang_ups.load(Ordering::SeqCst)
    }
}

impl ScriptedReply {
    /// An error status with a body.
    pub fn status(code: u16, body: &str) -> Self {
        Self::Status { code, body: body.to_owned(), retry_after: None }
    }

    /// The head of a stream without a length, and these parts after it.
    pub fn stream(parts: impl IntoIterator<Item = ScriptedPart>) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let mut all = vec![ScriptedPart::Bytes(head.as_bytes().to_vec())];
        all.extend(parts);
        Self::Parts(all)
    }
}

impl ScriptedPart {
    /// Sends this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Bytes(text.into().into_bytes())
    }
}

/// The bytes of a stream that says what a message in the form of chat completions says.
pub fn scripted_stream(dialect: Dialect, message: &Value) -> Vec<u8> {
    let response = words::response(dialect, &json!({ "model": "scripted" }), message, 0);
    let events = protocol(dialect).events(&response);
    events.iter().map(crate::sse::SseEvent::encode).collect::<String>().into_bytes()
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
