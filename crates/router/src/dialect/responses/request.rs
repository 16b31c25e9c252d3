//! A request for a response, to and from one for a chat completion.

use serde_json::{Map, Value, json};

use super::super::{copied, list, text};
use super::items;

/// Fields of chat completions that have another form here, or none.
const OF_CHAT: [&str; 19] = [
    "messages",
    "tools",
    "tool_choice",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "reasoning_effort",
    "stream_options",
    "stop",
    "n",
    "logprobs",
    "logit_bias",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "functions",
    "function_call",
    "modalities",
    "prediction",
];

/// Fields of responses that have another form in chat completions, or none.
const OF_RESPONSES: [&str; 14] = [
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "text",
    "reasoning",
    "include",
    "store",
    "previous_response_id",
    "truncation",
    "background",
    "conversation",
    "client_metadata",
];

/// From chat.
pub(super) fn from_chat(chat: &Value) -> Value {
    let mut body = copied(chat, &OF_CHAT);
    let input = list(&chat["messages"]).iter().flat_map(input).collect();
    body.insert("input".to_owned(), input);
    for name in ["max_completion_tokens", "max_tokens"] {
        if chat[name].is_u64() {
            body.insert("max_output_tokens".to_owned(), chat[name].clone());
        }
    }
    if !list(&chat["tools"]).is_empty() {
        body.insert("tools".to_owned(), list(&chat["tools"]).iter().map(tool).collect());
    }
    match &chat["tool_choice"] {
        Value::Null => {}
        Value::Object(named) if named.contains_key("function") => {
            let choice = json!({ "type": "function", "name": named["function"]["name"] });
            body.insert("tool_choice".to_owned(), choice);
        }
        other => drop(body.insert("tool_choice".to_owned(), other.clone())),
    }
    if !chat["reasoning_effort"].is_null() {
        body.insert("reasoning".to_owned(), json!({ "effort": chat["reasoning_effort"] }));
    }
    if !chat["response_format"].is_null() {
        body.insert("text".to_owned(), json!({ "format": text_format(&chat["response_format"]) }));
    }
    Value::Object(body)
}

fn text_format(format: &Value) -> Value {
    if format["type"] != "json_schema" {
        return format.clone();
    }
    let mut own = copied(&format["json_schema"], &[]);
    own.insert("type".to_owned(), json!("json_schema"));
    Value::Object(own)
}

fn input(message: &Value) -> Vec<Value> {
    match text(&message["role"]) {
        "assistant" => items::as_input(message),
        "tool" => vec![json!({
            "type": "function_call_output",
            "call_id": message["tool_call_id"],
            "output": items::of_content(&message["content"]),
        })],
        role => vec![json!({ "role": role, "content": items::of_content(&message["content"]) })],
    }
}

fn tool(tool: &Value) -> Value {
    if !tool["function"].is_object() {
        return tool.clone();
    }
    let mut own = Map::new();
    own.insert("type".to_owned(), json!("function"));
    own.extend(copied(&tool["function"], &[]));
    Value::Object(own)
}

/// To chat.
pub(super) fn to_chat(body: &Value) -> Value {
    let mut chat = copied(body, &OF_RESPONSES);
    chat.insert("messages".to_owned(), Value::Array(messages(body)));
    if !body["max_output_tokens"].is_null() {
        chat.insert("max_tokens".to_owned(), body["max_output_tokens"].clone());
    }
    // Tools that only that provider's servers can run have no form in chat completions.
    let tools: Vec<Value> = list(&body["tools"]).iter().filter_map(chat_tool).collect();
    let has_tools = !tools.is_empty();
    if has_tools {
        chat.insert("tools".to_owned(), Value::Array(tools));
    } else {
        chat.shift_remove("parallel_tool_calls");
    }
    match &body["tool_choice"] {
        Value::Object(named) if has_tools && named["type"] == "function" => {
            let choice = json!({ "type": "function", "function": { "name": named["name"] } });
            chat.insert("tool_choice".to_owned(), choice);
        }
        Value::String(word) if has_tools => drop(chat.insert("tool_choice".to_owned(), json!(word))),
        _ => {}
    }
    if body["reasoning"]["effort"].is_string() {
        chat.insert("reasoning_effort".to_owned(), body["reasoning"]["effort"].clone());
    }
    let format = &body["text"]["format"];
    match text(&format["type"]) {
        "" | "text" => {}
        "json_schema" => {
            let schema = copied(format, &["type"]);
            chat.insert(
                "response_format".to_owned(),
                json!({ "type": "json_schema", "json_schema": schema }),
            );
        }
        _ => drop(chat.insert("response_format".to_owned(), format.clone())),
    }
    Value::Object(chat)
}

fn chat_tool(tool: &Value) -> Option<Value> {
    if tool["type"] != "function" {
        return None;
    }
    Some(json!({ "type": "function", "function": copied(tool, &["type"]) }))
}

fn messages(body: &Value) -> Vec<Value> {
    let mut messages = Vec::new();
    if let Some(instructions) = body["instructions"].as_str() {
        messages.push(json!({ "role": "system", "content": instructions }));
    }
    if let Value::String(text) = &body["input"] {
        messages.push(json!({ "role": "user", "content": text }));
    }
    // Neighbouring items of the assistant are one turn.
    let mut turn: Vec<Value> = Vec::new();
    for item in list(&body["input"]) {
        let role = text(&item["role"]);
        let message = match text(&item["type"]) {
            "function_call_output" => json!({
                "role": "tool",
                "tool_call_id": item["call_id"],
                "content": items::to_content(&item["output"]),
            }),
            "message" | "" if role != "assistant" => {
                json!({ "role": role, "content": items::to_content(&item["content"]) })
            }
            _ => {
                turn.push(item.clone());
                continue;
            }
        };
        if !turn.is_empty() {
            messages.push(items::to_message(&std::mem::take(&mut turn)));
        }
        messages.push(message);
    }
    if !turn.is_empty() {
        messages.push(items::to_message(&turn));
    }
    messages
}
