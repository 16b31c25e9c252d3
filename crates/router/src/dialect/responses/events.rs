//! The stream of a whole response.

use serde_json::{Value, json};

use super::super::{copied, list, pieces, text};
use crate::sse::SseEvent;

/// Events with their numbers.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    next: u64,
    events: Vec<SseEvent>,
}

impl Numbered {
    /// Adds an event of a type with these fields.
    pub(super) fn push(&mut self, kind: &str, fields: &Value) {
        let mut event = copied(fields, &[]);
        event.insert("type".to_owned(), json!(kind));
        event.insert("sequence_number".to_owned(), json!(self.next));
        self.next += 1;
        self.events.push(SseEvent::named(kind, Value::Object(event).to_string()));
    }

    /// The events since the last call.
    pub(super) fn drain(&mut self) -> Vec<SseEvent> {
        std::mem::take(&mut self.events)
    }
}

/// The stream.
pub(super) fn of_response(response: &Value) -> Vec<SseEvent> {
    let mut events = Numbered::default();
    let mut begun = response.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    begun["incomplete_details"] = Value::Null;
    events.push("response.created", &json!({ "response": begun }));
    events.push("response.in_progress", &json!({ "response": begun }));
    for (index, item) in list(&response["output"]).iter().enumerate() {
        of_item(index, item, &mut events);
    }
    let last = match text(&response["status"]) {
        "incomplete" => "response.incomplete",
        "failed" => "response.failed",
        _ => "response.completed",
    };
    events.push(last, &json!({ "response": response }));
    events.drain()
}

fn of_item(index: usize, item: &Value, events: &mut Numbered) {
    let mut added = item.clone();
    added["status"] = json!("in_progress");
    for name in ["content", "summary"].into_iter().filter(|name| item[*name].is_array()) {
        added[name] = json!([]);
    }
    if item["arguments"].is_string() {
        added["arguments"] = json!("");
    }
    events.push("response.output_item.added", &json!({ "output_index": index, "item": added }));
    let place = json!({ "item_id": item["id"], "output_index": index });
    for (number, part) in list(&item["content"]).iter().enumerate() {
        let mut place = place.clone();
        place["content_index"] = json!(number);
        let (what, field) = match text(&part["type"]) {
            "output_text" => ("output_text", "text"),
            "refusal" => ("refusal", "refusal"),
            "reasoning_text" => ("reasoning_text", "text"),
            _ => continue,
        };
        let mut empty = part.clone();
        empty[field] = json!("");
        events.push("response.content_part.added", &with(&place, "part", &empty));
        texts(events, what, &place, (field, text(&part[field])));
        events.push("response.content_part.done", &with(&place, "part", part));
    }
    for (number, part) in list(&item["summary"]).iter().enumerate() {
        let mut place = place.clone();
        place["summary_index"] = json!(number);
        let empty = json!({ "type": "summary_text", "text": "" });
        events.push("response.reasoning_summary_part.added", &with(&place, "part", &empty));
        texts(events, "reasoning_summary_text", &place, ("text", text(&part["text"])));
        events.push("response.reasoning_summary_part.done", &with(&place, "part", part));
    }
    if let Some(arguments) = item["arguments"].as_str() {
        texts(events, "function_call_arguments", &place, ("arguments", arguments));
    }
    events.push("response.output_item.done", &json!({ "output_index": index, "item": item }));
}

fn texts(events: &mut Numbered, what: &str, place: &Value, (field, whole): (&str, &str)) {
    let mut place = place.clone();
    if what == "output_text" {
        place["logprobs"] = json!([]);
    }
    for piece in pieces(whole) {
        events.push(&format!("response.{what}.delta"), &with(&place, "delta", &json!(piece)));
    }
    events.push(&format!("response.{what}.done"), &with(&place, field, &json!(whole)));
}

/// The fields with one more.
pub(super) fn with(fields: &Value, name: &str, value: &Value) -> Value {
    let mut fields = copied(fields, &[]);
    fields.insert(name.to_owned(), value.clone());
    Value::Object(fields)
}
