//! Chat completions, as OpenAI and many others serve them: the neutral form itself.

mod accumulate;

use serde_json::{Map, Value, json};
use trajforge_schema::Usage;

use super::{Accumulate, ErrorKind, NATIVE, Protocol, ReadChunks, WriteChunks, list, pieces, plausible};
use crate::sse::SseEvent;

/// The dialect.
pub(super) struct Chat;

impl Protocol for Chat {
    fn request(&self, chat: &Value) -> Value {
        let mut body = chat.clone();
        for message in body["messages"].as_array_mut().into_iter().flatten() {
            if let Some(fields) = message.as_object_mut() {
                fields.shift_remove(NATIVE);
            }
        }
        body
    }

    fn chat_request(&self, body: &Value) -> Value {
        body.clone()
    }

    fn response(&self, chat: &Value) -> Value {
        chat.clone()
    }

    fn chat_response(&self, response: &Value) -> Value {
        response.clone()
    }

    fn events(&self, response: &Value) -> Vec<SseEvent> {
        let mut chunks = Chunks::of(response);
        for choice in list(&response["choices"]) {
            chunks.choice(choice);
        }
        if let Some(usage) = response.get("usage") {
            chunks.push(&json!({ "choices": [], "usage": usage }));
        }
        chunks.events.push(SseEvent::unnamed("[DONE]"));
        chunks.events
    }

    fn accumulator(&self) -> Box<dyn Accumulate> {
        Box::<accumulate::Whole>::default()
    }

    fn reader(&self) -> Box<dyn ReadChunks> {
        Box::new(Plain)
    }

    fn writer(&self) -> Box<dyn WriteChunks> {
        Box::new(Plain)
    }

    fn usage(&self, response: &Value) -> Option<Usage> {
        let usage = &response["usage"];
        let cached = &usage["prompt_tokens_details"]["cached_tokens"];
        // DeepSeek tells of its cache in a field of its own.
        let cached = if cached.is_null() { &usage["prompt_cache_hit_tokens"] } else { cached };
        let reasoning = &usage["completion_tokens_details"]["reasoning_tokens"];
        plausible(&usage["prompt_tokens"], cached, &usage["completion_tokens"], reasoning)
    }

    fn is_last(&self, event: &SseEvent) -> bool {
        event.data.trim() == "[DONE]"
    }

    fn is_response(&self, response: &Value) -> bool {
        response["choices"][0]["message"].is_object()
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Value {
        openai_error(kind, message)
    }
}

/// An error as OpenAI's two dialects word it.
pub(super) fn openai_error(kind: ErrorKind, message: &str) -> Value {
    let (kind, code) = match kind {
        ErrorKind::Invalid => ("invalid_request_error", Value::Null),
        ErrorKind::Key => ("authentication_error", json!("invalid_api_key")),
        ErrorKind::NotFound => ("invalid_request_error", json!("model_not_found")),
        ErrorKind::Upstream => ("api_error", Value::Null),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

/// Chunks stay chunks.
struct Plain;

impl ReadChunks for Plain {
    fn read(&mut self, event: &SseEvent) -> Vec<Value> {
        serde_json::from_str(&event.data).into_iter().collect()
    }
}

impl WriteChunks for Plain {
    fn write(&mut self, chunk: &Value) -> Vec<SseEvent> {
        vec![SseEvent::unnamed(chunk.to_string())]
    }

    fn end(&mut self) -> Vec<SseEvent> {
        vec![SseEvent::unnamed("[DONE]")]
    }
}

/// The chunks of a response, as events.
struct Chunks {
    common: Map<String, Value>,
    events: Vec<SseEvent>,
}

impl Chunks {
    fn of(response: &Value) -> Self {
        let mut common = super::copied(response, &["choices", "usage"]);
        common.insert("object".to_owned(), json!("chat.completion.chunk"));
        Self { common, events: Vec::new() }
    }

    fn push(&mut self, fields: &Value) {
        let mut chunk = self.common.clone();
        chunk.extend(super::copied(fields, &[]));
        self.events.push(SseEvent::unnamed(Value::Object(chunk).to_string()));
    }

    fn delta(&mut self, index: &Value, delta: &Value) {
        self.push(&json!({ "choices": [{ "index": index, "delta": delta, "finish_reason": null }] }));
    }

    fn choice(&mut self, choice: &Value) {
        let (index, message) = (&choice["index"], &choice["message"]);
        let mut first = super::copied(message, &["tool_calls"]);
        let mut texts = Vec::new();
        for name in ["reasoning_content", "reasoning", "content"] {
            if let Some(Value::String(text)) = first.get(name) {
                texts.push((name, text.clone()));
                first.insert(name.to_owned(), json!(""));
            }
        }
        self.delta(index, &Value::Object(first));
        for (name, text) in texts {
            for piece in pieces(&text) {
                self.delta(index, &json!({ name: piece }));
            }
        }
        for (number, call) in list(&message["tool_calls"]).iter().enumerate() {
            self.call(index, number, call);
        }
        let mut last = super::copied(choice, &["message"]);
        last.insert("delta".to_owned(), json!({}));
        self.push(&json!({ "choices": [last] }));
    }

    fn call(&mut self, index: &Value, number: usize, call: &Value) {
        let arguments = call["function"]["arguments"].as_str().map(str::to_owned);
        let mut start = call.clone();
        start["index"] = json!(number);
        if arguments.is_some() {
            start["function"]["arguments"] = json!("");
        }
        self.delta(index, &json!({ "tool_calls": [start] }));
        for piece in pieces(arguments.as_deref().unwrap_or_default()) {
            let part = json!({ "index": number, "function": { "arguments": piece } });
            self.delta(index, &json!({ "tool_calls": [part] }));
        }
    }
}
