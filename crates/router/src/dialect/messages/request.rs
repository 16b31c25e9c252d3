//! A request for messages, to and from one for a chat completion.

use serde_json::{Map, Value, json};

use super::super::{all_text, copied, list, text};
use super::blocks;

/// Tokens of a reply where the client sets no limit: the provider insists on one.
const MOST_TOKENS: u64 = 8_192;

/// Fields of chat completions that have another form here, or none.
const OF_CHAT: [&str; 26] = [
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "stream_options",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "response_format",
    "reasoning_effort",
    "user",
    "store",
    "functions",
    "function_call",
    "modalities",
    "prediction",
    "verbosity",
    "prompt_cache_key",
    "safety_identifier",
];

/// Fields of messages that have another form in chat completions, or none.
const OF_MESSAGES: [&str; 8] =
    ["messages", "system", "tools", "tool_choice", "stop_sequences", "metadata", "thinking", "stream"];

/// From chat.
pub(super) fn from_chat(chat: &Value) -> Value {
    let mut body = copied(chat, &OF_CHAT);
    let limit = [&chat["max_tokens"], &chat["max_completion_tokens"]].into_iter().find_map(Value::as_u64);
    body.insert("max_tokens".to_owned(), json!(limit.unwrap_or(MOST_TOKENS)));
    let (system, messages) = turns(list(&chat["messages"]));
    if !system.is_empty() {
        body.insert("system".to_owned(), json!(system));
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    if !list(&chat["tools"]).is_empty() {
        body.insert("tools".to_owned(), list(&chat["tools"]).iter().map(tool).collect());
        if let Some(choice) = tool_choice(chat) {
            body.insert("tool_choice".to_owned(), choice);
        }
    }
    match &chat["stop"] {
        Value::Null => {}
        Value::String(stop) => drop(body.insert("stop_sequences".to_owned(), json!([stop]))),
        several => drop(body.insert("stop_sequences".to_owned(), several.clone())),
    }
    Value::Object(body)
}

/// The system prompt, and the turns after it: neighbours of one role become one, for roles have to alternate.
fn turns(messages: &[Value]) -> (String, Vec<Value>) {
    let mut system = Vec::new();
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match text(&message["role"]) {
            "system" | "developer" if turns.is_empty() => {
                system.push(all_text(&message["content"]));
                continue;
            }
            "assistant" => ("assistant", blocks::of_message(message)),
            "tool" => ("user", vec![tool_result(message)]),
            _ => ("user", blocks::of_content(&message["content"])),
        };
        match turns.last_mut() {
            Some((last, own)) if *last == role => own.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns.retain(|(_, blocks)| !blocks.is_empty());
    let message = |(role, content)| json!({ "role": role, "content": content });
    (system.join("\n\n"), turns.into_iter().map(message).collect())
}

fn tool_result(message: &Value) -> Value {
    let content = match &message["content"] {
        Value::Array(_) => Value::Array(blocks::of_content(&message["content"])),
        Value::Null => json!(""),
        other => other.clone(),
    };
    json!({ "type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content })
}

fn tool(tool: &Value) -> Value {
    let function = &tool["function"];
    if !function.is_object() {
        return tool.clone();
    }
    let schema = match &function["parameters"] {
        Value::Null => json!({ "type": "object", "properties": {} }),
        schema => schema.clone(),
    };
    let mut own = Map::new();
    own.insert("name".to_owned(), function["name"].clone());
    if !function["description"].is_null() {
        own.insert("description".to_owned(), function["description"].clone());
    }
    own.insert("input_schema".to_owned(), schema);
    Value::Object(own)
}

fn tool_choice(chat: &Value) -> Option<Value> {
    let one_at_a_time = chat["parallel_tool_calls"] == false;
    let mut choice = match &chat["tool_choice"] {
        Value::Null if one_at_a_time => json!({ "type": "auto" }),
        Value::Null => return None,
        Value::String(word) if word == "required" => json!({ "type": "any" }),
        Value::String(word) => json!({ "type": word }),
        named => json!({ "type": "tool", "name": named["function"]["name"] }),
    };
    if one_at_a_time && choice["type"] != "none" {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    Some(choice)
}

/// To chat.
pub(super) fn to_chat(body: &Value) -> Value {
    let mut chat = copied(body, &OF_MESSAGES);
    let mut messages = Vec::new();
    let system = all_text(&body["system"]);
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system }));
    }
    for message in list(&body["messages"]) {
        add_turn(&mut messages, message);
    }
    chat.insert("messages".to_owned(), Value::Array(messages));
    if !list(&body["tools"]).is_empty() {
        chat.insert("tools".to_owned(), list(&body["tools"]).iter().map(chat_tool).collect());
    }
    add_tool_choice(&mut chat, &body["tool_choice"]);
    if !body["stop_sequences"].is_null() {
        chat.insert("stop".to_owned(), body["stop_sequences"].clone());
    }
    if !body["stream"].is_null() {
        chat.insert("stream".to_owned(), body["stream"].clone());
    }
    Value::Object(chat)
}

fn add_turn(messages: &mut Vec<Value>, message: &Value) {
    let content = &message["content"];
    if message["role"] == "assistant" {
        let blocks = match content {
            Value::String(text) => vec![json!({ "type": "text", "text": text })],
            other => list(other).to_vec(),
        };
        messages.push(blocks::to_message(&blocks));
        return;
    }
    if !content.is_array() {
        messages.push(json!({ "role": message["role"], "content": content }));
        return;
    }
    let (results, others): (Vec<&Value>, Vec<&Value>) =
        list(content).iter().partition(|block| block["type"] == "tool_result");
    for result in results {
        messages.push(json!({
            "role": "tool",
            "tool_call_id": result["tool_use_id"],
            "content": blocks::to_content(&result["content"]),
        }));
    }
    if !others.is_empty() {
        let content = blocks::to_content(&others.into_iter().cloned().collect());
        messages.push(json!({ "role": message["role"], "content": content }));
    }
}

fn chat_tool(tool: &Value) -> Value {
    if tool["input_schema"].is_null() {
        return tool.clone();
    }
    let mut function = Map::new();
    function.insert("name".to_owned(), tool["name"].clone());
    if !tool["description"].is_null() {
        function.insert("description".to_owned(), tool["description"].clone());
    }
    function.insert("parameters".to_owned(), tool["input_schema"].clone());
    json!({ "type": "function", "function": function })
}

fn add_tool_choice(chat: &mut Map<String, Value>, choice: &Value) {
    if choice["disable_parallel_tool_use"] == true {
        chat.insert("parallel_tool_calls".to_owned(), json!(false));
    }
    let word = match text(&choice["type"]) {
        "" => return,
        "any" => json!("required"),
        "tool" => json!({ "type": "function", "function": { "name": choice["name"] } }),
        word => json!(word),
    };
    chat.insert("tool_choice".to_owned(), word);
}
