//! A whole chat completion from its chunks, with the quirks that servers have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{Accumulate, Streamed, list, text};
use crate::sse::SseEvent;

/// Strings that are said once and not in pieces.
const SAID_ONCE: [&str; 9] =
    ["id", "type", "role", "name", "object", "model", "format", "finish_reason", "native_finish_reason"];

/// What has come so far.
#[derive(Default)]
pub(super) struct Whole {
    fields: Map<String, Value>,
    choices: BTreeMap<u64, Map<String, Value>>,
    done: bool,
    error: Option<Value>,
}

impl Accumulate for Whole {
    fn take(&mut self, event: &SseEvent) {
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return;
        }
        let Ok(Value::Object(chunk)) = serde_json::from_str(&event.data) else { return };
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            self.error.get_or_insert_with(|| error.clone());
            return;
        }
        for (name, value) in chunk {
            match name.as_str() {
                "choices" => list(&value).iter().for_each(|choice| self.choice(choice)),
                "object" => {}
                _ => keep(&mut self.fields, &name, value),
            }
        }
    }

    fn finish(self: Box<Self>) -> Streamed {
        let is_finished =
            |choice: &Map<String, Value>| choice.get("finish_reason").is_some_and(Value::is_string);
        let finished = !self.choices.is_empty() && self.choices.values().all(is_finished);
        let mut response = self.fields;
        response.insert("object".to_owned(), json!("chat.completion"));
        let choices = self.choices.into_values().map(whole_choice).collect();
        response.insert("choices".to_owned(), choices);
        Streamed {
            response: Value::Object(response),
            complete: (finished || self.done) && self.error.is_none(),
            error: self.error,
        }
    }
}

impl Whole {
    fn choice(&mut self, choice: &Value) {
        let index = choice["index"].as_u64().unwrap_or(0);
        let whole = self.choices.entry(index).or_default();
        for (name, value) in choice.as_object().into_iter().flatten() {
            match name.as_str() {
                "delta" | "message" => {
                    let message = whole.entry("message").or_insert_with(|| json!({}));
                    for (name, value) in value.as_object().into_iter().flatten() {
                        if name == "tool_calls" {
                            calls(message, value);
                        } else {
                            merge(message, name, value);
                        }
                    }
                }
                "logprobs" | "token_ids" => {
                    let mut own = Value::Object(std::mem::take(whole));
                    merge(&mut own, name, value);
                    if let Value::Object(fields) = own {
                        *whole = fields;
                    }
                }
                _ => keep(whole, name, value.clone()),
            }
        }
    }
}

/// The last value wins, and something wins over nothing.
fn keep(fields: &mut Map<String, Value>, name: &str, value: Value) {
    if !value.is_null() || !fields.contains_key(name) {
        fields.insert(name.to_owned(), value);
    }
}

fn whole_choice(mut choice: Map<String, Value>) -> Value {
    let message = choice.entry("message").or_insert_with(|| json!({}));
    if message["role"].is_null() {
        message["role"] = json!("assistant");
    }
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = call.as_object_mut() {
            fields.shift_remove("index");
        }
    }
    Value::Object(choice)
}

/// Adds parts of tool calls. Most servers number them; some give only ids, and some number every call 0.
fn calls(message: &mut Value, parts: &Value) {
    if !message["tool_calls"].is_array() {
        message["tool_calls"] = json!([]);
    }
    let Some(calls) = message["tool_calls"].as_array_mut() else { return };
    for part in list(parts) {
        let (index, id) = (part["index"].as_u64(), text(&part["id"]));
        let is_other = |call: &Value| !id.is_empty() && !text(&call["id"]).is_empty() && call["id"] != id;
        let found = match index {
            Some(index) => calls.iter().rposition(|call| call["index"] == index && !is_other(call)),
            None if id.is_empty() => calls.len().checked_sub(1),
            None => calls.iter().rposition(|call| call["id"] == id),
        };
        match found {
            None => calls.push(part.clone()),
            Some(found) => {
                for (name, value) in part.as_object().into_iter().flatten() {
                    merge(&mut calls[found], name, value);
                }
            }
        }
    }
}

/// Adds a part of a field to what is there of it.
fn merge(target: &mut Value, name: &str, part: &Value) {
    let Some(fields) = target.as_object_mut() else { return };
    let Some(own) = fields.get_mut(name).filter(|own| !own.is_null()) else {
        fields.insert(name.to_owned(), part.clone());
        return;
    };
    match (own, part) {
        (_, Value::Null) => {}
        (Value::String(own), Value::String(part)) if SAID_ONCE.contains(&name) => {
            if !part.is_empty() {
                own.clone_from(part);
            }
        }
        (Value::String(own), Value::String(part)) => own.push_str(part),
        (Value::Array(own), Value::Array(parts)) => {
            for part in parts {
                element(own, part);
            }
        }
        (own @ Value::Object(_), Value::Object(parts)) => {
            for (name, part) in parts {
                merge(own, name, part);
            }
        }
        (own, part) => *own = part.clone(),
    }
}

/// Adds an element: to the one with the same number where it has one, else to the end.
fn element(elements: &mut Vec<Value>, part: &Value) {
    let same = |own: &&mut Value| part["index"].is_u64() && own["index"] == part["index"];
    match elements.iter_mut().find(same) {
        None => elements.push(part.clone()),
        Some(own) => {
            for (name, value) in part.as_object().into_iter().flatten() {
                merge(own, name, value);
            }
        }
    }
}
