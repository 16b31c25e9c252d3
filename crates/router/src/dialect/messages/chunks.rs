//! The events of a message: of a whole one, and one by one to and from chunks of chat completions.

use serde_json::{Value, json};

use super::super::{ReadChunks, WriteChunks, chunk, copied, list, pieces, text, usage_chunk};
use super::{chat_usage, finish_reason, own_usage, stop_reason};
use crate::sse::SseEvent;

fn event(value: &Value) -> SseEvent {
    SseEvent::named(text(&value["type"]), value.to_string())
}

/// The stream of a whole message.
pub(super) fn of_response(response: &Value) -> Vec<SseEvent> {
    let mut start = response.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["stop_sequence"] = Value::Null;
    let mut events = vec![event(&json!({ "type": "message_start", "message": start }))];
    for (index, block) in list(&response["content"]).iter().enumerate() {
        of_block(index, block, &mut events);
    }
    let delta = json!({ "stop_reason": response["stop_reason"], "stop_sequence": response["stop_sequence"] });
    events.push(event(&json!({ "type": "message_delta", "delta": delta, "usage": response["usage"] })));
    events.push(event(&json!({ "type": "message_stop" })));
    events
}

fn of_block(index: usize, block: &Value, events: &mut Vec<SseEvent>) {
    let mut start = copied(block, &[]);
    let mut deltas = Vec::new();
    let input;
    let (name, kind, field, whole) = match text(&block["type"]) {
        "text" => ("text", "text_delta", "text", text(&block["text"])),
        "thinking" => ("thinking", "thinking_delta", "thinking", text(&block["thinking"])),
        "tool_use" => {
            input = block["input"].to_string();
            ("input", "input_json_delta", "partial_json", input.as_str())
        }
        _ => ("", "", "", ""),
    };
    if !name.is_empty() {
        let empty = if name == "input" { json!({}) } else { json!("") };
        start.insert(name.to_owned(), empty);
        deltas.extend(pieces(whole).into_iter().map(|piece| json!({ "type": kind, field: piece })));
    }
    if let Some(signature) = start.get("signature").filter(|_| name == "thinking").cloned() {
        start.insert("signature".to_owned(), json!(""));
        deltas.push(json!({ "type": "signature_delta", "signature": signature }));
    }
    events.push(event(&json!({ "type": "content_block_start", "index": index, "content_block": start })));
    for delta in deltas {
        events.push(event(&json!({ "type": "content_block_delta", "index": index, "delta": delta })));
    }
    events.push(event(&json!({ "type": "content_block_stop", "index": index })));
}

/// Events to chunks.
#[derive(Default)]
pub(super) struct Reader {
    id: Value,
    model: Value,
    usage: Value,
    /// The block that each tool call is.
    calls: Vec<u64>,
}

impl ReadChunks for Reader {
    fn read(&mut self, event: &SseEvent) -> Vec<Value> {
        let Ok(value) = serde_json::from_str::<Value>(&event.data) else { return Vec::new() };
        match text(&value["type"]) {
            "message_start" => {
                let message = &value["message"];
                (self.id, self.model) = (message["id"].clone(), message["model"].clone());
                self.usage = message["usage"].clone();
                vec![self.delta(&json!({ "role": "assistant", "content": "" }))]
            }
            "content_block_start" if value["content_block"]["type"] == "tool_use" => {
                let block = &value["content_block"];
                self.calls.push(value["index"].as_u64().unwrap_or(0));
                let function = json!({ "name": block["name"], "arguments": "" });
                let call = json!({
                    "index": self.calls.len() - 1, "id": block["id"], "type": "function", "function": function,
                });
                vec![self.delta(&json!({ "tool_calls": [call] }))]
            }
            "content_block_delta" => self.piece(&value),
            "message_delta" => {
                for (name, count) in value["usage"].as_object().into_iter().flatten() {
                    self.usage[name.as_str()] = count.clone();
                }
                let reason = value["delta"]["stop_reason"].as_str().map(finish_reason);
                let last = chunk(&self.id, &self.model, &json!({}), &json!(reason));
                vec![last, usage_chunk(&self.id, &self.model, &chat_usage(&self.usage))]
            }
            "error" => vec![json!({ "error": value["error"] })],
            _ => Vec::new(),
        }
    }
}

impl Reader {
    fn delta(&self, delta: &Value) -> Value {
        chunk(&self.id, &self.model, delta, &Value::Null)
    }

    fn piece(&self, value: &Value) -> Vec<Value> {
        let delta = &value["delta"];
        match text(&delta["type"]) {
            "text_delta" => vec![self.delta(&json!({ "content": delta["text"] }))],
            "thinking_delta" => vec![self.delta(&json!({ "reasoning_content": delta["thinking"] }))],
            "input_json_delta" => {
                let block = value["index"].as_u64().unwrap_or(0);
                let Some(index) = self.calls.iter().position(|own| *own == block) else { return Vec::new() };
                let function = json!({ "arguments": delta["partial_json"] });
                vec![self.delta(&json!({ "tool_calls": [{ "index": index, "function": function }] }))]
            }
            _ => Vec::new(),
        }
    }
}

/// Chunks to events.
#[derive(Default)]
pub(super) struct Writer {
    begun: bool,
    ended: bool,
    blocks: u64,
    open: Option<Open>,
    reason: Option<String>,
    usage: Value,
}

/// The block that is being written.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Text,
    Thinking,
    Call(u64),
}

impl WriteChunks for Writer {
    fn write(&mut self, chunk: &Value) -> Vec<SseEvent> {
        let mut events = Vec::new();
        if chunk["error"].is_object() {
            self.ended = true;
            return vec![event(&json!({ "type": "error", "error": chunk["error"] }))];
        }
        self.begin(chunk, &mut events);
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        let reasoning = delta["reasoning_content"].as_str().unwrap_or_else(|| text(&delta["reasoning"]));
        self.piece(Open::Thinking, &json!({ "type": "thinking_delta", "thinking": reasoning }), &mut events);
        self.piece(
            Open::Text,
            &json!({ "type": "text_delta", "text": text(&delta["content"]) }),
            &mut events,
        );
        for call in list(&delta["tool_calls"]) {
            self.call(call, &mut events);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.reason = Some(reason.to_owned());
        }
        events
    }

    fn end(&mut self) -> Vec<SseEvent> {
        let mut events = Vec::new();
        if std::mem::replace(&mut self.ended, true) {
            return events;
        }
        self.begin(&json!({}), &mut events);
        self.close(&mut events);
        let reason = stop_reason(self.reason.as_deref().unwrap_or_default());
        let delta = json!({ "stop_reason": reason, "stop_sequence": null });
        let usage = own_usage(&self.usage);
        events.push(event(&json!({ "type": "message_delta", "delta": delta, "usage": usage })));
        events.push(event(&json!({ "type": "message_stop" })));
        events
    }
}

impl Writer {
    fn begin(&mut self, chunk: &Value, events: &mut Vec<SseEvent>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let message = json!({
            "id": chunk["id"], "type": "message", "role": "assistant", "model": chunk["model"], "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 0, "output_tokens": 0 },
        });
        events.push(event(&json!({ "type": "message_start", "message": message })));
    }

    fn open(&mut self, what: Open, block: &Value, events: &mut Vec<SseEvent>) {
        self.close(events);
        self.open = Some(what);
        let start = json!({ "type": "content_block_start", "index": self.blocks, "content_block": block });
        events.push(event(&start));
    }

    fn close(&mut self, events: &mut Vec<SseEvent>) {
        if self.open.take().is_some() {
            events.push(event(&json!({ "type": "content_block_stop", "index": self.blocks })));
            self.blocks += 1;
        }
    }

    fn piece(&mut self, what: Open, delta: &Value, events: &mut Vec<SseEvent>) {
        let (field, block) = match what {
            Open::Thinking => ("thinking", json!({ "type": "thinking", "thinking": "", "signature": "" })),
            _ => ("text", json!({ "type": "text", "text": "" })),
        };
        if text(&delta[field]).is_empty() {
            return;
        }
        if self.open != Some(what) {
            self.open(what, &block, events);
        }
        events.push(event(&json!({ "type": "content_block_delta", "index": self.blocks, "delta": delta })));
    }

    fn call(&mut self, call: &Value, events: &mut Vec<SseEvent>) {
        let function = &call["function"];
        let index = call["index"].as_u64().unwrap_or(0);
        if self.open != Some(Open::Call(index)) {
            let block =
                json!({ "type": "tool_use", "id": call["id"], "name": function["name"], "input": {} });
            self.open(Open::Call(index), &block, events);
        }
        let arguments = text(&function["arguments"]);
        if !arguments.is_empty() {
            let delta = json!({ "type": "input_json_delta", "partial_json": arguments });
            events
                .push(event(&json!({ "type": "content_block_delta", "index": self.blocks, "delta": delta })));
        }
    }
}
