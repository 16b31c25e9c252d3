//! What an endpoint is sent for a client's request: the same bytes where they do.

use bytes::Bytes;
use serde_json::{Value, json};
use trajforge_schema::{Dialect, ModelEntry};

use crate::dialect::protocol;

/// Some of OpenAI's models refuse the older `max_tokens`; their entries use this name.
const NEWER_LIMIT: &str = "max_completion_tokens";

/// What the endpoint is sent.
pub(super) struct Prepared {
    /// The body's bytes.
    pub(super) bytes: Bytes,
    /// The body.
    pub(super) body: Value,
    /// Whether the bytes are other than the client's.
    pub(super) is_changed: bool,
    /// Whether the usage was asked for without the client's having done so.
    pub(super) hides_usage: bool,
}

/// The client's own body, with no more changed than has to be.
pub(super) fn same(entry: &ModelEntry, mut body: Value, bytes: &Bytes) -> Prepared {
    let mut is_changed = false;
    if body["model"] != entry.model.as_str() {
        body["model"] = json!(entry.model);
        is_changed = true;
    }
    let hides_usage = ask_for_usage(entry, &mut body);
    let is_limited = limit(entry, &mut body);
    is_changed |= hides_usage | is_limited;
    let bytes = if is_changed { Bytes::from(body.to_string()) } else { bytes.clone() };
    Prepared { bytes, body, is_changed, hides_usage }
}

/// The body in the endpoint's dialect, from one in the form of chat completions.
pub(super) fn translated(entry: &ModelEntry, chat: &Value) -> Prepared {
    let mut chat = chat.clone();
    chat["model"] = json!(entry.model);
    let mut body = protocol(entry.dialect).request(&chat);
    ask_for_usage(entry, &mut body);
    limit(entry, &mut body);
    if let Value::Object(fields) = &mut body {
        if entry.parameters.contains_key(NEWER_LIMIT)
            && let Some(most) = fields.shift_remove("max_tokens")
        {
            fields.insert(NEWER_LIMIT.to_owned(), most);
        }
        // What the client says itself stands.
        for (name, value) in &entry.parameters {
            if value.is_null() {
                fields.shift_remove(name);
            } else {
                fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    Prepared { bytes: Bytes::from(body.to_string()), body, is_changed: true, hides_usage: false }
}

/// A stream of chat completions tells its usage only where it is asked to.
fn ask_for_usage(entry: &ModelEntry, body: &mut Value) -> bool {
    let is_due = entry.dialect == Dialect::OpenaiChat && body["stream"] == true;
    if !is_due || body["stream_options"]["include_usage"] == true {
        return false;
    }
    if !body["stream_options"].is_object() {
        body["stream_options"] = json!({});
    }
    body["stream_options"]["include_usage"] = json!(true);
    true
}

/// What may be spent is reserved for a number of tokens, so that there has to be one.
fn limit(entry: &ModelEntry, body: &mut Value) -> bool {
    let names = ["max_tokens", NEWER_LIMIT, "max_output_tokens"];
    if entry.price.is_none() || names.iter().any(|name| body[*name].is_u64()) {
        return false;
    }
    let name = match entry.dialect {
        Dialect::OpenaiResponses => "max_output_tokens",
        Dialect::OpenaiChat if entry.parameters.contains_key(NEWER_LIMIT) => NEWER_LIMIT,
        Dialect::OpenaiChat | Dialect::AnthropicMessages => "max_tokens",
    };
    body[name] = json!(entry.output_tokens);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_has_everything_is_sent_byte_for_byte() {
        let text = r#"{ "model" : "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 5 }"#;
        let bytes = Bytes::from(text);
        let entry = ModelEntry::at("m", "http://127.0.0.1:9/v1");
        let prepared = same(&entry, serde_json::from_str(text).unwrap(), &bytes);
        assert!(!prepared.is_changed && !prepared.hides_usage);
        assert_eq!(prepared.bytes, bytes);
        let without = same(&entry, json!({ "model": "alias", "stream": true }), &bytes);
        assert!(without.is_changed && without.hides_usage);
        assert_eq!(without.body["model"], "m");
    }
}
