//! Anthropic's messages, to and from chat completions.

mod accumulate;
mod blocks;
mod chunks;
mod request;

use serde_json::{Value, json};
use trajforge_schema::{Dialect, Tokens, Usage};

use super::{Accumulate, ErrorKind, Protocol, ReadChunks, WriteChunks, list, text};
use crate::sse::SseEvent;

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// The dialect.
pub(super) struct Messages;

impl Protocol for Messages {
    fn request(&self, chat: &Value) -> Value {
        request::from_chat(chat)
    }

    fn chat_request(&self, body: &Value) -> Value {
        request::to_chat(body)
    }

    fn response(&self, chat: &Value) -> Value {
        let choice = &chat["choices"][0];
        json!({
            "id": chat["id"],
            "type": "message",
            "role": "assistant",
            "model": chat["model"],
            "content": blocks::of_message(&choice["message"]),
            "stop_reason": stop_reason(text(&choice["finish_reason"])),
            "stop_sequence": null,
            "usage": own_usage(&chat["usage"]),
        })
    }

    fn chat_response(&self, response: &Value) -> Value {
        let choice = json!({
            "index": 0,
            "message": blocks::to_message(list(&response["content"])),
            "finish_reason": response["stop_reason"].as_str().map(finish_reason),
        });
        json!({
            "id": response["id"],
            "object": "chat.completion",
            "created": 0,
            "model": response["model"],
            "choices": [choice],
            "usage": chat_usage(&response["usage"]),
        })
    }

    fn events(&self, response: &Value) -> Vec<SseEvent> {
        chunks::of_response(response)
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
        let cached = usage["cache_read_input_tokens"].as_u64().unwrap_or(0);
        let written = usage["cache_creation_input_tokens"].as_u64().unwrap_or(0);
        let (fresh, output) = (usage["input_tokens"].as_u64()?, usage["output_tokens"].as_u64()?);
        let input = fresh + cached + written;
        (input > 0).then(|| Usage {
            input: Tokens(input),
            cached_input: Tokens(cached),
            cache_write: Tokens(written),
            output: Tokens(output),
            ..Usage::default()
        })
    }

    fn is_last(&self, event: &SseEvent) -> bool {
        event.data.contains("\"message_stop\"") && event.name != "content_block_delta"
    }

    fn is_response(&self, response: &Value) -> bool {
        response["content"].is_array()
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Value {
        let kind = match kind {
            ErrorKind::Invalid => "invalid_request_error",
            ErrorKind::Key => "authentication_error",
            ErrorKind::NotFound => "not_found_error",
            ErrorKind::Upstream => "api_error",
        };
        json!({ "type": "error", "error": { "type": kind, "message": message } })
    }
}

fn finish_reason(stop_reason: &str) -> &str {
    match stop_reason {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => other,
    }
}

fn stop_reason(finish_reason: &str) -> &str {
    match finish_reason {
        "stop" | "" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        other => other,
    }
}

/// Anthropic counts what comes from its cache, and what goes into it, apart from the input; chat completions within it.
fn chat_usage(usage: &Value) -> Value {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let cached = count("cache_read_input_tokens");
    let input = count("input_tokens") + cached + count("cache_creation_input_tokens");
    let output = count("output_tokens");
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": { "cached_tokens": cached },
    })
}

fn own_usage(usage: &Value) -> Value {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]);
    json!({
        "input_tokens": count(&usage["prompt_tokens"]).saturating_sub(cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": count(&usage["completion_tokens"]),
    })
}
