//! A whole response from its events.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Accumulate, Streamed, list, text};
use crate::sse::SseEvent;

/// What has come so far. Events are numbered: they are put in order, and a repeated one counts once.
#[derive(Default)]
pub(super) struct Whole {
    numbered: BTreeMap<u64, Value>,
    unnumbered: Vec<Value>,
}

/// The response as its events make it.
#[derive(Default)]
struct Built {
    response: Value,
    items: BTreeMap<u64, Value>,
    ended: bool,
    error: Option<Value>,
}

impl Accumulate for Whole {
    fn take(&mut self, event: &SseEvent) {
        let Ok(value) = serde_json::from_str::<Value>(&event.data) else { return };
        match value["sequence_number"].as_u64() {
            Some(number) => drop(self.numbered.entry(number).or_insert(value)),
            None => self.unnumbered.push(value),
        }
    }

    fn finish(self: Box<Self>) -> Streamed {
        let mut built = Built::default();
        for value in self.numbered.into_values().chain(self.unnumbered) {
            built.take(&value);
        }
        built.finish()
    }
}

impl Built {
    fn take(&mut self, value: &Value) {
        let kind = text(&value["type"]);
        match kind {
            "response.created" | "response.in_progress" | "response.queued" if !self.ended => {
                self.response = value["response"].clone();
            }
            "response.completed" | "response.incomplete" => self.end(value),
            "response.failed" => {
                self.error = Some(value["response"]["error"].clone());
                self.end(value);
            }
            "error" => self.error = Some(value.get("error").unwrap_or(value).clone()),
            "response.output_item.added" => {
                self.items.entry(number(value, "output_index")).or_insert_with(|| value["item"].clone());
            }
            "response.output_item.done" => {
                self.items.insert(number(value, "output_index"), value["item"].clone());
            }
            "response.content_part.added" | "response.content_part.done" => {
                *self.part(value, "content", "content_index") = value["part"].clone();
            }
            "response.reasoning_summary_part.added" | "response.reasoning_summary_part.done" => {
                *self.part(value, "summary", "summary_index") = value["part"].clone();
            }
            _ => self.piece(kind, value),
        }
    }

    /// Deltas add, and `done` says the whole once more.
    fn piece(&mut self, kind: &str, value: &Value) {
        let (what, is_done) = match (kind.strip_suffix(".delta"), kind.strip_suffix(".done")) {
            (Some(what), _) => (what, false),
            (_, Some(what)) => (what, true),
            _ => return,
        };
        let (place, field) = match what {
            "response.output_text" | "response.reasoning_text" => {
                (self.part(value, "content", "content_index"), "text")
            }
            "response.refusal" => (self.part(value, "content", "content_index"), "refusal"),
            "response.reasoning_summary_text" => (self.part(value, "summary", "summary_index"), "text"),
            "response.function_call_arguments" => (self.item(value), "arguments"),
            _ => return,
        };
        if !place.is_object() {
            *place = json!({});
        }
        place[field] = if is_done {
            value[field].clone()
        } else {
            json!(format!("{}{}", text(&place[field]), text(&value["delta"])))
        };
    }

    fn end(&mut self, value: &Value) {
        self.ended = true;
        self.response = value["response"].clone();
    }

    fn item(&mut self, value: &Value) -> &mut Value {
        let item = self.items.entry(number(value, "output_index")).or_default();
        if !item.is_object() {
            *item = json!({});
        }
        item
    }

    fn part(&mut self, value: &Value, list: &str, index: &str) -> &mut Value {
        let position = usize::try_from(number(value, index)).unwrap_or(0).min(1_000);
        let parts = &mut self.item(value)[list];
        if !parts.is_array() {
            *parts = json!([]);
        }
        if let Some(parts) = parts.as_array_mut()
            && parts.len() <= position
        {
            parts.resize(position + 1, Value::Null);
        }
        &mut parts[position]
    }

    fn finish(mut self) -> Streamed {
        if !self.response.is_object() {
            self.response = json!({});
        }
        if list(&self.response["output"]).is_empty() && !self.items.is_empty() {
            self.response["output"] = self.items.into_values().collect();
        }
        let error = self.error.filter(|error| !error.is_null());
        Streamed { response: self.response, complete: self.ended && error.is_none(), error }
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}
