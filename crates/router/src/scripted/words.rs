//! What a scripted model says, in the words of each dialect.

use serde_json::{Value, json};
use trajforge_schema::Dialect;

use super::ScriptedReply;
use crate::dialect::protocol;
use crate::sse::SseEvent;

/// The dialect that a path belongs to.
pub(super) fn dialect(path: &str) -> Option<Dialect> {
    let all = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];
    all.into_iter().find(|dialect| path.ends_with(dialect.path()))
}

/// The head and the body of an answer that needs no tricks of the connection.
pub(super) fn answer(dialect: Dialect, request: &Value, reply: &ScriptedReply, count: usize) -> Vec<u8> {
    let response = match reply {
        ScriptedReply::Message(message) => response(dialect, request, message, count),
        ScriptedReply::Response(response) => response.clone(),
        ScriptedReply::Status { code, body, retry_after } => {
            let header = retry_after.map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
            return whole(*code, "application/json", &header, body.as_bytes());
        }
        ScriptedReply::Raw(text) => return whole(200, "application/json", "", text.as_bytes()),
        ScriptedReply::Stall(_) | ScriptedReply::After(..) | ScriptedReply::Parts(_) => return Vec::new(),
    };
    if request["stream"] != true {
        return whole(200, "application/json", "", response.to_string().as_bytes());
    }
    let mut events = protocol(dialect).events(&response);
    let asked = request["stream_options"]["include_usage"] == true;
    if dialect == Dialect::OpenaiChat && !asked {
        events.retain(|event| !event.data.contains("\"usage\""));
    }
    let text: String = events.iter().map(SseEvent::encode).collect();
    whole(200, "text/event-stream", "", text.as_bytes())
}

/// An answer with a length.
pub(super) fn whole(code: u16, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} Scripted\r\ncontent-type: {kind}\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A response around a message; tokens are counted as a quarter of the characters, and marked as estimated.
pub(super) fn response(dialect: Dialect, request: &Value, message: &Value, count: usize) -> Value {
    let tokens = |value: &Value| (value.to_string().len() / 4).max(1);
    let reason = if message["tool_calls"].is_array() { "tool_calls" } else { "stop" };
    let turns = if request["input"].is_null() { &request["messages"] } else { &request["input"] };
    protocol(dialect).response(&json!({
        "id": format!("scripted-{count}"),
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
        "usage": { "prompt_tokens": tokens(turns), "completion_tokens": tokens(message), "estimated": true },
    }))
}
