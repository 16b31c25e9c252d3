//! Good and bad weather over real HTTP: each failure is named rightly, retried only where that can help, and billed right.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod connection;
mod reply;
mod statuses;

use serde_json::{Value, json};
use trajforge_router::{Charge, ChatRequest, Endpoint, Lost, Reply, Scripted, ScriptedReply, Secret};
use trajforge_schema::{Dialect, FailureCode, ModelEntry};

const DIALECTS: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];
const KEY: &str = "sk-very-secret-key";

fn request() -> ChatRequest {
    ChatRequest { messages: vec![json!({"role": "user", "content": "hello"})], tools: Vec::new() }
}

fn endpoint(entry: ModelEntry) -> Endpoint {
    Endpoint::new(entry, Some(Secret::new(KEY))).unwrap()
}

fn hello() -> Value {
    json!({"role": "assistant", "content": "hi"})
}

/// A server that always gives this reply, and an entry for it whose parts may take a second each.
async fn server(dialect: Dialect, reply: ScriptedReply) -> (Scripted, ModelEntry) {
    let server = Scripted::start(move |_, _| reply.clone()).await.unwrap();
    let entry = ModelEntry { dialect, request_seconds: 1, ..server.entry("m") };
    (server, entry)
}

/// What one request to such a server comes to.
async fn once(dialect: Dialect, reply: ScriptedReply) -> Result<Reply, Lost> {
    let (_server, entry) = server(dialect, reply).await;
    endpoint(entry).ask(&request()).await
}

/// The reply that one chat completion request to such a server gets.
async fn chat(reply: ScriptedReply) -> Reply {
    once(Dialect::OpenaiChat, reply).await.unwrap()
}

/// How one chat completion request to such a server is lost.
async fn lost(reply: ScriptedReply) -> Lost {
    once(Dialect::OpenaiChat, reply).await.unwrap_err()
}

/// What a case comes to: its code, whether it is asked again, and whether anything may be billed.
fn verdict(lost: &Lost) -> (FailureCode, bool, bool) {
    (lost.code, lost.retry, lost.charge != Charge::Nothing)
}
