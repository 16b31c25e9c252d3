//! What endpoints speak: each dialect is read and written over plain JSON, so that no field is lost.
//!
//! The neutral form in between is chat completions: its request, its response, its chunks. What a dialect says and
//! chat completions can't goes along in the assistant's message under [`NATIVE`], and is sent back word for word.

mod chat;
mod messages;
mod responses;

use serde_json::{Map, Value, json};
use trajforge_schema::{Dialect, Tokens, Usage};

use crate::sse::SseEvent;

/// The field of an assistant's message that keeps a provider's own items: `{"dialect": ..., "items": [...]}`.
pub const NATIVE: &str = "native";

/// What one dialect can do. "Chat" is the neutral form.
pub(crate) trait Protocol: Sync {
    /// A request's body, from chat.
    fn request(&self, chat: &Value) -> Value;

    /// A request's body, to chat.
    fn chat_request(&self, body: &Value) -> Value;

    /// A whole response, from chat.
    fn response(&self, chat: &Value) -> Value;

    /// A whole response, to chat.
    fn chat_response(&self, response: &Value) -> Value;

    /// The stream that says what a whole response says.
    fn events(&self, response: &Value) -> Vec<SseEvent>;

    /// What rebuilds a whole response from its stream.
    fn accumulator(&self) -> Box<dyn Accumulate>;

    /// What turns a stream's events into chunks of chat completions, one by one.
    fn reader(&self) -> Box<dyn ReadChunks>;

    /// What turns chunks of chat completions into a stream's events, one by one.
    fn writer(&self) -> Box<dyn WriteChunks>;

    /// What a response says it used; nothing where it says nothing that can be true.
    fn usage(&self, response: &Value) -> Option<Usage>;

    /// Whether a stream's event is the last that matters.
    fn is_last(&self, event: &SseEvent) -> bool;

    /// Whether a body is a response at all.
    fn is_response(&self, response: &Value) -> bool;

    /// The body of an error.
    fn error(&self, kind: ErrorKind, message: &str) -> Value;
}

/// Rebuilds a whole response from a stream.
pub(crate) trait Accumulate: Send {
    /// Takes in the next event.
    fn take(&mut self, event: &SseEvent);

    /// What came together.
    fn finish(self: Box<Self>) -> Streamed;
}

/// Turns a dialect's events into chunks of chat completions.
pub(crate) trait ReadChunks: Send {
    /// The chunks that an event makes.
    fn read(&mut self, event: &SseEvent) -> Vec<Value>;
}

/// Turns chunks of chat completions into a dialect's events.
pub(crate) trait WriteChunks: Send {
    /// The events that a chunk makes.
    fn write(&mut self, chunk: &Value) -> Vec<SseEvent>;

    /// The events that end the stream.
    fn end(&mut self) -> Vec<SseEvent>;
}

/// What a stream came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Streamed {
    /// The response as far as it came.
    pub(crate) response: Value,
    /// Whether the stream said that it is whole.
    pub(crate) complete: bool,
    /// An error that the stream told of.
    pub(crate) error: Option<Value>,
}

/// Why a server refuses, in the words that each dialect has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The request is wrong.
    Invalid,
    /// The key is wrong, or nothing more may be asked with it.
    Key,
    /// There is no such thing.
    NotFound,
    /// Something behind the server failed.
    Upstream,
}

/// The protocol of a dialect.
pub(crate) fn protocol(dialect: Dialect) -> &'static dyn Protocol {
    match dialect {
        Dialect::OpenaiChat => &chat::Chat,
        Dialect::OpenaiResponses => &responses::Responses,
        Dialect::AnthropicMessages => &messages::Messages,
    }
}

/// Rebuilds the whole response of a stream's bytes.
pub(crate) fn accumulate(dialect: Dialect, events: &[SseEvent]) -> Streamed {
    let mut accumulator = protocol(dialect).accumulator();
    for event in events {
        accumulator.take(event);
    }
    accumulator.finish()
}

/// An assistant's message that also keeps the provider's own items, where the message alone could not give them back.
fn with_native(mut message: Map<String, Value>, dialect: Dialect, items: &[Value], same: &[Value]) -> Value {
    if items != same {
        message.insert(NATIVE.to_owned(), json!({ "dialect": dialect.as_str(), "items": items }));
    }
    Value::Object(message)
}

/// The items that a message keeps for a dialect.
fn native(message: &Value, dialect: Dialect) -> Option<&Vec<Value>> {
    let native = &message[NATIVE];
    if native["dialect"] == dialect.as_str() { native["items"].as_array() } else { None }
}

/// Whether an assistant's message has neither text nor calls.
pub(crate) fn says_nothing(message: &Value) -> bool {
    all_text(&message["content"]).is_empty()
        && text(&message["refusal"]).is_empty()
        && list(&message["tool_calls"]).is_empty()
}

/// Gives each call of a message an id of its own: some servers give none, or the same to several, and a result has to
/// name the call that it answers.
pub(crate) fn name_calls(message: &mut Value) {
    if message["role"].is_null() {
        message["role"] = json!("assistant");
    }
    let mut seen: Vec<String> = Vec::new();
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if !call.is_object() {
            continue;
        }
        let given = text(&call["id"]).to_owned();
        let mut id = if given.is_empty() { format!("call-{}", seen.len() + 1) } else { given.clone() };
        while seen.contains(&id) {
            id = format!("{id}-{}", seen.len() + 1);
        }
        if id != given {
            call["id"] = json!(id);
        }
        seen.push(id);
    }
}

/// The elements of a list; none where it is no list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text of a string; empty where it is none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// All text of a content: a string, or the text parts of a list.
pub(crate) fn all_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n\n")
        }
        _ => String::new(),
    }
}

/// Copies the fields of a body that have other names elsewhere under the same name, but for these.
fn copied(body: &Value, but: &[&str]) -> Map<String, Value> {
    let fields = body.as_object().into_iter().flatten();
    let kept = fields.filter(|(name, _)| !but.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A usage whose numbers can be true: whole, and with no part larger than the whole.
fn plausible(input: &Value, cached: &Value, output: &Value, reasoning: &Value) -> Option<Usage> {
    let part = |value: &Value| if value.is_null() { Some(0) } else { value.as_u64() };
    let (input, cached) = (input.as_u64()?, part(cached)?);
    let (output, reasoning) = (output.as_u64()?, part(reasoning)?);
    if cached > input || reasoning > output || input == 0 {
        return None;
    }
    Some(Usage {
        input: Tokens(input),
        cached_input: Tokens(cached),
        output: Tokens(output),
        reasoning: Tokens(reasoning),
        ..Usage::default()
    })
}

/// A text in pieces, as a model would stream it; a piece never ends within a character.
fn pieces(text: &str) -> Vec<&str> {
    const CHARACTERS: usize = 12;
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(CHARACTERS).map_or(rest.len(), |(index, _)| index);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// A chunk of chat completions with one change to its first choice.
fn chunk(id: &Value, model: &Value, delta: &Value, finish_reason: &Value) -> Value {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
    json!({ "id": id, "object": "chat.completion.chunk", "created": 0, "model": model, "choices": [choice] })
}

/// The chunk of chat completions that carries the usage.
fn usage_chunk(id: &Value, model: &Value, usage: &Value) -> Value {
    json!({ "id": id, "object": "chat.completion.chunk", "created": 0, "model": model, "choices": [], "usage": usage })
}

#[cfg(test)]
mod tests;
