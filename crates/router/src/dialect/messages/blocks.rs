//! Content blocks to and from the messages of chat completions.

use serde_json::{Map, Value, json};

use super::super::{list, native, text, with_native};
use super::DIALECT;

/// An assistant's message of its blocks.
pub(super) fn to_message(blocks: &[Value]) -> Value {
    let (mut said, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for block in blocks {
        match text(&block["type"]) {
            "text" => said.push_str(text(&block["text"])),
            "thinking" => reasoning.push_str(text(&block["thinking"])),
            "tool_use" => calls.push(json!({
                "id": block["id"],
                "type": "function",
                "function": { "name": block["name"], "arguments": block["input"].to_string() },
            })),
            _ => {}
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), if said.is_empty() { Value::Null } else { json!(said) });
    if !reasoning.is_empty() {
        message.insert("reasoning_content".to_owned(), json!(reasoning));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    let same = of_message(&Value::Object(message.clone()));
    with_native(message, DIALECT, blocks, &same)
}

/// The blocks of an assistant's message: its own where it keeps them. Reasoning without a signature is left out,
/// for the provider refuses it.
pub(super) fn of_message(message: &Value) -> Vec<Value> {
    if let Some(blocks) = native(message, DIALECT) {
        return blocks.clone();
    }
    let mut blocks = of_content(&message["content"]);
    blocks.extend(list(&message["tool_calls"]).iter().map(|call| {
        json!({
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": input(&call["function"]["arguments"]),
        })
    }));
    blocks
}

/// A tool's input must be an object: what is none is wrapped.
fn input(arguments: &Value) -> Value {
    let parsed = match arguments {
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    if parsed.is_object() { parsed } else { json!({ "arguments": arguments }) }
}

/// The blocks of a content in the form of chat completions; empty texts are left out, for the provider refuses them.
pub(super) fn of_content(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) if !text.is_empty() => vec![json!({ "type": "text", "text": text })],
        Value::Array(parts) => {
            let is_empty = |part: &&Value| part["type"] == "text" && text(&part["text"]).is_empty();
            parts.iter().filter(|part| !is_empty(part)).map(of_part).collect()
        }
        _ => Vec::new(),
    }
}

fn of_part(part: &Value) -> Value {
    if part["type"] != "image_url" {
        return part.clone();
    }
    let url = part["image_url"]["url"].as_str().unwrap_or_else(|| text(&part["image_url"]));
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let source = match inline {
        Some((media_type, data)) => json!({ "type": "base64", "media_type": media_type, "data": data }),
        None => json!({ "type": "url", "url": url }),
    };
    json!({ "type": "image", "source": source })
}

/// The content of chat completions that a user's or a tool's blocks make: a string where there is only text.
pub(super) fn to_content(blocks: &Value) -> Value {
    let Value::Array(blocks) = blocks else { return blocks.clone() };
    if blocks.iter().all(|block| block["type"] == "text") {
        let texts: Vec<&str> = blocks.iter().map(|block| text(&block["text"])).collect();
        return json!(texts.join("\n\n"));
    }
    blocks.iter().map(to_part).collect()
}

fn to_part(block: &Value) -> Value {
    let source = &block["source"];
    let url = match (text(&block["type"]), text(&source["type"])) {
        ("image", "base64") => {
            format!("data:{};base64,{}", text(&source["media_type"]), text(&source["data"]))
        }
        ("image", "url") => text(&source["url"]).to_owned(),
        _ => return block.clone(),
    };
    json!({ "type": "image_url", "image_url": { "url": url } })
}
