//! OpenAI's responses, to and from chat completions.

mod accumulate;
mod chunks;
mod events;
mod items;
mod request;

use serde_json::{Value, json};
use trajforge_schema::{Dialect, Usage};

use super::{Accumulate, ErrorKind, Protocol, ReadChunks, WriteChunks, list, plausible, text};
use crate::sse::SseEvent;

const DIALECT: Dialect = Dialect::OpenaiResponses;

/// The dialect.
pub(super) struct Responses;

impl Protocol for Responses {
    fn request(&self, chat: &Value) -> Value {
        request::from_chat(chat)
    }

    fn chat_request(&self, body: &Value) -> Value {
        request::to_chat(body)
    }

    fn response(&self, chat: &Value) -> Value {
        let choice = &chat["choices"][0];
        let (id, reason) = (text(&chat["id"]), text(&choice["finish_reason"]));
        let output = items::of_message(&choice["message"], id);
        whole(chat, &output, reason)
    }

    fn chat_response(&self, response: &Value) -> Value {
        let output = list(&response["output"]);
        let choice = json!({
            "index": 0,
            "message": items::to_message(output),
            "finish_reason": finish_reason(response),
        });
        json!({
            "id": response["id"],
            "object": "chat.completion",
            "created": response["created_at"].as_u64().unwrap_or(0),
            "model": response["model"],
            "choices": [choice],
            "usage": chat_usage(&response["usage"]),
        })
    }

    fn events(&self, response: &Value) -> Vec<SseEvent> {
        events::of_response(response)
    }

    fn accumulator(&self) -> Box<dyn Accumulate> {
        Box::<accumulate::Whole>::default()
    }

    fn reader(&self) -> Box<dyn ReadChunks> {
        Box::<chunks::Reader>::default()
    }

    fn writer(&self) -> Box<dyn WriteChunks> {
        Box::<chunks::Writer>::default()
    }

    fn usage(&self, response: &Value) -> Option<Usage> {
        let usage = &response["usage"];
        let cached = &usage["input_tokens_details"]["cached_tokens"];
        let reasoning = &usage["output_tokens_details"]["reasoning_tokens"];
        plausible(&usage["input_tokens"], cached, &usage["output_tokens"], reasoning)
    }

    fn is_last(&self, event: &SseEvent) -> bool {
        matches!(event.name.as_str(), "response.completed" | "response.incomplete" | "response.failed")
    }

    fn is_response(&self, response: &Value) -> bool {
        response["output"].is_array()
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Value {
        super::chat::openai_error(kind, message)
    }
}

/// A whole response around its items.
fn whole(chat: &Value, output: &[Value], reason: &str) -> Value {
    let incomplete = match reason {
        "length" => json!({ "reason": "max_output_tokens" }),
        "content_filter" => json!({ "reason": "content_filter" }),
        _ => Value::Null,
    };
    json!({
        "id": chat["id"],
        "object": "response",
        "created_at": chat["created"].as_u64().unwrap_or(0),
        "status": if incomplete.is_null() { "completed" } else { "incomplete" },
        "error": null,
        "incomplete_details": incomplete,
        "instructions": null,
        "metadata": {},
        "model": chat["model"],
        "output": output,
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "tools": [],
        "temperature": null,
        "top_p": null,
        "usage": own_usage(&chat["usage"]),
    })
}

fn finish_reason(response: &Value) -> Value {
    let output = list(&response["output"]);
    match text(&response["incomplete_details"]["reason"]) {
        "max_output_tokens" => return json!("length"),
        "" => {}
        other => return json!(other),
    }
    let is_call = |item: &Value| text(&item["type"]).ends_with("_call");
    match text(&response["status"]) {
        "completed" if output.iter().any(is_call) => json!("tool_calls"),
        "completed" => json!("stop"),
        "" => Value::Null,
        other => json!(other),
    }
}

fn chat_usage(usage: &Value) -> Value {
    json!({
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": { "cached_tokens": usage["input_tokens_details"]["cached_tokens"] },
        "completion_tokens_details": { "reasoning_tokens": usage["output_tokens_details"]["reasoning_tokens"] },
    })
}

fn own_usage(usage: &Value) -> Value {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let (input, output) = (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]));
    let reasoning = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": count(&usage["prompt_tokens_details"]["cached_tokens"]) },
        "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": reasoning },
        "total_tokens": input + output,
    })
}
