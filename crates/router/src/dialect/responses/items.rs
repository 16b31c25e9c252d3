//! Items to and from the messages of chat completions.

use serde_json::{Map, Value, json};

use super::super::{list, native, text, with_native};
use super::DIALECT;

/// An assistant's message of the items of one turn.
pub(super) fn to_message(items: &[Value]) -> Value {
    let (mut said, mut reasoning, mut refusal) = (String::new(), Vec::new(), String::new());
    let mut calls = Vec::new();
    for item in items {
        match text(&item["type"]) {
            "reasoning" => {
                let parts = list(&item["summary"]).iter().chain(list(&item["content"]));
                reasoning.extend(parts.map(|part| text(&part["text"])).filter(|text| !text.is_empty()));
            }
            "function_call" => calls.push(json!({
                "id": item["call_id"],
                "type": "function",
                "function": { "name": item["name"], "arguments": item["arguments"] },
            })),
            _ => match &item["content"] {
                Value::String(text) => said.push_str(text),
                parts => {
                    for part in list(parts) {
                        said.push_str(text(&part["text"]));
                        refusal.push_str(text(&part["refusal"]));
                    }
                }
            },
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), if said.is_empty() { Value::Null } else { json!(said) });
    if !refusal.is_empty() {
        message.insert("refusal".to_owned(), json!(refusal));
    }
    if !reasoning.is_empty() {
        message.insert("reasoning_content".to_owned(), json!(reasoning.join("\n\n")));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    let same = as_input(&Value::Object(message.clone()));
    with_native(message, DIALECT, items, &same)
}

/// The items of an assistant's message as the input of the next turn: its own where it keeps them.
pub(super) fn as_input(message: &Value) -> Vec<Value> {
    if let Some(items) = native(message, DIALECT) {
        return items.clone();
    }
    let mut items = Vec::new();
    let said = super::super::all_text(&message["content"]);
    if !said.is_empty() {
        items.push(json!({ "role": "assistant", "content": said }));
    }
    items.extend(list(&message["tool_calls"]).iter().map(|call| {
        json!({
            "type": "function_call",
            "call_id": call["id"],
            "name": call["function"]["name"],
            "arguments": call["function"]["arguments"],
        })
    }));
    items
}

/// The items of an assistant's message as the output of a response.
pub(super) fn of_message(message: &Value, id: &str) -> Vec<Value> {
    if let Some(items) = native(message, DIALECT) {
        return items.clone();
    }
    let mut items = Vec::new();
    let reasoning = message["reasoning_content"].as_str().unwrap_or_else(|| text(&message["reasoning"]));
    if !reasoning.is_empty() {
        items.push(reasoning_item(id, reasoning));
    }
    let said = super::super::all_text(&message["content"]);
    let refusal = text(&message["refusal"]);
    if !said.is_empty() {
        items.push(message_item(id, json!([text_part(&said)])));
    } else if !refusal.is_empty() {
        items.push(message_item(id, json!([{ "type": "refusal", "refusal": refusal }])));
    }
    let calls = list(&message["tool_calls"]).iter().enumerate();
    items.extend(calls.map(|(number, call)| {
        let function = &call["function"];
        call_item(&format!("fc_{id}_{number}"), &call["id"], &function["name"], &function["arguments"])
    }));
    items
}

pub(super) fn reasoning_item(id: &str, text: &str) -> Value {
    let summary = if text.is_empty() { json!([]) } else { json!([{ "type": "summary_text", "text": text }]) };
    json!({ "type": "reasoning", "id": format!("rs_{id}"), "summary": summary })
}

pub(super) fn message_item(id: &str, content: Value) -> Value {
    let mut item =
        json!({ "type": "message", "id": format!("msg_{id}"), "status": "completed", "role": "assistant" });
    item["content"] = content;
    item
}

pub(super) fn text_part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

pub(super) fn call_item(id: &str, call_id: &Value, name: &Value, arguments: &Value) -> Value {
    json!({
        "type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": arguments,
        "status": "completed",
    })
}

/// A user's content as input, from chat.
pub(super) fn of_content(content: &Value) -> Value {
    let Value::Array(parts) = content else { return content.clone() };
    let part = |part: &Value| match text(&part["type"]) {
        "text" => json!({ "type": "input_text", "text": part["text"] }),
        "image_url" => {
            let image = &part["image_url"];
            let url = if image.is_string() { image } else { &image["url"] };
            let mut own = json!({ "type": "input_image", "image_url": url });
            if !image["detail"].is_null() {
                own["detail"] = image["detail"].clone();
            }
            own
        }
        _ => part.clone(),
    };
    parts.iter().map(part).collect()
}

/// Input content to chat: a string where it is one piece of text.
pub(super) fn to_content(content: &Value) -> Value {
    let Value::Array(parts) = content else { return content.clone() };
    if let [part] = parts.as_slice()
        && part["text"].is_string()
    {
        return part["text"].clone();
    }
    let part = |part: &Value| match text(&part["type"]) {
        "input_text" | "output_text" => json!({ "type": "text", "text": part["text"] }),
        "input_image" => {
            let mut image = json!({ "url": part["image_url"] });
            if !part["detail"].is_null() {
                image["detail"] = part["detail"].clone();
            }
            json!({ "type": "image_url", "image_url": image })
        }
        _ => part.clone(),
    };
    parts.iter().map(part).collect()
}
