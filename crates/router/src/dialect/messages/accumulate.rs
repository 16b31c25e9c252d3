//! A whole message from its events.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{Accumulate, Streamed, list, text};
use crate::sse::SseEvent;

/// What has come so far.
#[derive(Default)]
pub(super) struct Whole {
    message: Map<String, Value>,
    blocks: BTreeMap<u64, Block>,
    stopped: bool,
    error: Option<Value>,
}

#[derive(Default)]
struct Block {
    fields: Map<String, Value>,
    /// A tool's input, which comes as pieces of JSON.
    input: String,
}

impl Accumulate for Whole {
    fn take(&mut self, event: &SseEvent) {
        let Ok(value) = serde_json::from_str::<Value>(&event.data) else { return };
        let index = value["index"].as_u64().unwrap_or(0);
        match text(&value["type"]) {
            "message_start" if self.message.is_empty() => {
                self.message = value["message"].as_object().cloned().unwrap_or_default();
                // Some servers begin with blocks that are not empty.
                for (index, block) in (0..).zip(list(&value["message"]["content"])) {
                    self.blocks.entry(index).or_default().begin(block);
                }
            }
            "content_block_start" => self.blocks.entry(index).or_default().begin(&value["content_block"]),
            "content_block_delta" => self.blocks.entry(index).or_default().add(&value["delta"]),
            "message_delta" => {
                self.message.extend(value["delta"].as_object().cloned().unwrap_or_default());
                self.usage(&value["usage"]);
            }
            "message_stop" => self.stopped = true,
            "error" => {
                self.error.get_or_insert_with(|| value["error"].clone());
            }
            _ => {}
        }
    }

    fn finish(self: Box<Self>) -> Streamed {
        let mut message = self.message;
        let stopped = self.stopped || message.get("stop_reason").is_some_and(Value::is_string);
        let blocks = self.blocks.into_values().map(Block::finish).collect();
        let complete = stopped && message.contains_key("id") && self.error.is_none();
        message.insert("content".to_owned(), blocks);
        Streamed { response: Value::Object(message), complete, error: self.error }
    }
}

impl Whole {
    /// The last count of each kind is the whole one.
    fn usage(&mut self, usage: &Value) {
        let own = self.message.entry("usage").or_insert_with(|| json!({}));
        for (name, value) in usage.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            own[name.as_str()] = value.clone();
        }
    }
}

impl Block {
    fn begin(&mut self, block: &Value) {
        for (name, value) in block.as_object().into_iter().flatten() {
            self.fields.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    fn add(&mut self, delta: &Value) {
        let (kind, name) = match text(&delta["type"]) {
            "text_delta" => ("text", "text"),
            "thinking_delta" => ("thinking", "thinking"),
            "signature_delta" => ("thinking", "signature"),
            "input_json_delta" => {
                self.input.push_str(text(&delta["partial_json"]));
                return;
            }
            "citations_delta" => {
                let citations = self.fields.entry("citations").or_insert_with(|| json!([]));
                if !citations.is_array() {
                    *citations = json!([]);
                }
                citations.as_array_mut().into_iter().for_each(|list| list.push(delta["citation"].clone()));
                return;
            }
            _ => return,
        };
        // A piece may come before its block is begun.
        self.fields.entry("type").or_insert_with(|| json!(kind));
        let own = self.fields.entry(name).or_insert_with(|| json!(""));
        *own = json!(format!("{}{}", text(own), text(&delta[name])));
    }

    fn finish(mut self) -> Value {
        if !self.input.is_empty() {
            let input = serde_json::from_str(&self.input).unwrap_or_else(|_| json!(self.input));
            self.fields.insert("input".to_owned(), input);
            self.fields.entry("type").or_insert_with(|| json!("tool_use"));
        }
        Value::Object(self.fields)
    }
}
