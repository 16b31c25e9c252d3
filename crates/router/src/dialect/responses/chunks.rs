//! The events of a response, one by one to and from chunks of chat completions.

use serde_json::{Value, json};

use super::super::{ReadChunks, WriteChunks, chunk, list, text, usage_chunk};
use super::events::{Numbered, with};
use super::{chat_usage, finish_reason, items, whole};
use crate::sse::SseEvent;

/// Events to chunks.
#[derive(Default)]
pub(super) struct Reader {
    id: Value,
    model: Value,
    /// The item that each tool call is.
    calls: Vec<u64>,
}

impl ReadChunks for Reader {
    fn read(&mut self, event: &SseEvent) -> Vec<Value> {
        let Ok(value) = serde_json::from_str::<Value>(&event.data) else { return Vec::new() };
        let delta = &value["delta"];
        match text(&value["type"]) {
            "response.created" => {
                let response = &value["response"];
                (self.id, self.model) = (response["id"].clone(), response["model"].clone());
                vec![self.delta(&json!({ "role": "assistant", "content": "" }))]
            }
            "response.output_text.delta" => vec![self.delta(&json!({ "content": delta }))],
            "response.refusal.delta" => vec![self.delta(&json!({ "refusal": delta }))],
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                vec![self.delta(&json!({ "reasoning_content": delta }))]
            }
            "response.output_item.added" if value["item"]["type"] == "function_call" => {
                self.calls.push(value["output_index"].as_u64().unwrap_or(0));
                let function = json!({ "name": value["item"]["name"], "arguments": "" });
                let (index, id) = (self.calls.len() - 1, &value["item"]["call_id"]);
                let call = json!({ "index": index, "id": id, "type": "function", "function": function });
                vec![self.delta(&json!({ "tool_calls": [call] }))]
            }
            "response.function_call_arguments.delta" => {
                let item = value["output_index"].as_u64().unwrap_or(0);
                let Some(index) = self.calls.iter().position(|own| *own == item) else { return Vec::new() };
                let call = json!({ "index": index, "function": { "arguments": delta } });
                vec![self.delta(&json!({ "tool_calls": [call] }))]
            }
            "response.completed" | "response.incomplete" => {
                let response = &value["response"];
                let last = chunk(&self.id, &self.model, &json!({}), &finish_reason(response));
                vec![last, usage_chunk(&self.id, &self.model, &chat_usage(&response["usage"]))]
            }
            "response.failed" => vec![json!({ "error": value["response"]["error"] })],
            "error" => vec![json!({ "error": value.get("error").unwrap_or(&value) })],
            _ => Vec::new(),
        }
    }
}

impl Reader {
    fn delta(&self, delta: &Value) -> Value {
        chunk(&self.id, &self.model, delta, &Value::Null)
    }
}

/// Chunks to events.
#[derive(Default)]
pub(super) struct Writer {
    events: Numbered,
    begun: bool,
    ended: bool,
    chat: Value,
    output: Vec<Value>,
    open: Option<Open>,
    reason: String,
}

/// The item that is being written.
struct Open {
    kind: Kind,
    id: String,
    whole: String,
    call: Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Reasoning,
    Call(u64),
}

impl WriteChunks for Writer {
    fn write(&mut self, chunk: &Value) -> Vec<SseEvent> {
        self.begin(chunk);
        if chunk["error"].is_object() {
            self.ended = true;
            let error = &chunk["error"];
            let fields = json!({ "code": error["code"], "message": error["message"], "param": null });
            self.events.push("error", &fields);
            return self.events.drain();
        }
        if chunk["usage"].is_object() {
            self.chat["usage"] = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        let reasoning = delta["reasoning_content"].as_str().unwrap_or_else(|| text(&delta["reasoning"]));
        self.piece(Kind::Reasoning, reasoning, &Value::Null);
        self.piece(Kind::Text, text(&delta["content"]), &Value::Null);
        for call in list(&delta["tool_calls"]) {
            let kind = Kind::Call(call["index"].as_u64().unwrap_or(0));
            self.piece(kind, text(&call["function"]["arguments"]), call);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            reason.clone_into(&mut self.reason);
        }
        self.events.drain()
    }

    fn end(&mut self) -> Vec<SseEvent> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        self.begin(&json!({}));
        self.close();
        let response = whole(&self.chat, &std::mem::take(&mut self.output), &self.reason);
        let is_whole = response["status"] == "completed";
        let kind = if is_whole { "response.completed" } else { "response.incomplete" };
        self.events.push(kind, &json!({ "response": response }));
        self.events.drain()
    }
}

impl Writer {
    fn begin(&mut self, chunk: &Value) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.chat =
            json!({ "id": chunk["id"], "model": chunk["model"], "created": chunk["created"], "usage": null });
        let mut begun = whole(&self.chat, &[], "");
        begun["status"] = json!("in_progress");
        begun["usage"] = Value::Null;
        self.events.push("response.created", &json!({ "response": begun }));
        self.events.push("response.in_progress", &json!({ "response": begun }));
    }

    fn piece(&mut self, kind: Kind, piece: &str, call: &Value) {
        let is_call = matches!(kind, Kind::Call(_));
        if piece.is_empty() && !is_call {
            return;
        }
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.open(kind, call);
        }
        let place = self.place();
        let Some(open) = &mut self.open else { return };
        open.whole.push_str(piece);
        let what = match kind {
            Kind::Text => "response.output_text.delta",
            Kind::Reasoning => "response.reasoning_summary_text.delta",
            Kind::Call(_) => "response.function_call_arguments.delta",
        };
        if !piece.is_empty() {
            self.events.push(what, &with(&place, "delta", &json!(piece)));
        }
    }

    /// Where the open item's pieces go.
    fn place(&self) -> Value {
        let Some(open) = &self.open else { return json!({}) };
        let mut place = json!({ "item_id": open.id, "output_index": self.output.len() });
        match open.kind {
            Kind::Text => {
                place["content_index"] = json!(0);
                place["logprobs"] = json!([]);
            }
            Kind::Reasoning => place["summary_index"] = json!(0),
            Kind::Call(_) => {}
        }
        place
    }

    fn open(&mut self, kind: Kind, call: &Value) {
        self.close();
        let id = format!("{}_{}", text(&self.chat["id"]), self.output.len());
        let (function, number) = (&call["function"], self.output.len());
        let mut item = match kind {
            Kind::Text => items::message_item(&id, json!([])),
            Kind::Reasoning => items::reasoning_item(&id, ""),
            Kind::Call(_) => {
                items::call_item(&format!("fc_{id}"), &call["id"], &function["name"], &json!(""))
            }
        };
        item["status"] = json!("in_progress");
        let open = Open { kind, id: text(&item["id"]).to_owned(), whole: String::new(), call: item.clone() };
        self.open = Some(open);
        self.events.push("response.output_item.added", &json!({ "output_index": number, "item": item }));
        let place = self.place();
        match kind {
            Kind::Text => {
                self.events.push("response.content_part.added", &with(&place, "part", &items::text_part("")));
            }
            Kind::Reasoning => {
                let part = json!({ "type": "summary_text", "text": "" });
                self.events.push("response.reasoning_summary_part.added", &with(&place, "part", &part));
            }
            Kind::Call(_) => {}
        }
    }

    fn close(&mut self) {
        let place = self.place();
        let Some(Open { kind, whole, call: mut item, .. }) = self.open.take() else { return };
        item["status"] = json!("completed");
        match kind {
            Kind::Text => {
                let part = items::text_part(&whole);
                self.events.push("response.output_text.done", &with(&place, "text", &json!(whole)));
                self.events.push("response.content_part.done", &with(&place, "part", &part));
                item["content"] = json!([part]);
            }
            Kind::Reasoning => {
                let part = json!({ "type": "summary_text", "text": whole });
                self.events
                    .push("response.reasoning_summary_text.done", &with(&place, "text", &json!(whole)));
                self.events.push("response.reasoning_summary_part.done", &with(&place, "part", &part));
                item["summary"] = json!([part]);
            }
            Kind::Call(_) => {
                let done = with(&place, "arguments", &json!(whole));
                self.events.push("response.function_call_arguments.done", &done);
                item["arguments"] = json!(whole);
            }
        }
        let number = self.output.len();
        self.events.push("response.output_item.done", &json!({ "output_index": number, "item": item }));
        self.output.push(item);
    }
}
