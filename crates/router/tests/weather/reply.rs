//! Replies that are not quite what the protocol says.

use serde_json::{Value, json};
use trajforge_router::{Charge, ChatRequest, NATIVE, Scripted, ScriptedPart, ScriptedReply, scripted_stream};
use trajforge_schema::{Dialect, FailureCode, ModelEntry, Tokens};

use super::{DIALECTS, chat, endpoint, hello, lost, once, request, verdict};

const MALFORMED: FailureCode = FailureCode::ModelMalformed;

fn completion(message: &Value, finish_reason: &str, usage: &Value) -> Value {
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason });
    json!({ "id": "1", "model": "m", "choices": [choice], "usage": usage })
}

fn usage() -> Value {
    json!({ "prompt_tokens": 30, "completion_tokens": 5 })
}

/// As a whole, and as a stream.
async fn both(response: &Value) -> [trajforge_router::Reply; 2] {
    let whole = chat(ScriptedReply::Raw(response.to_string())).await;
    [whole, chat(ScriptedReply::Response(response.clone())).await]
}

#[tokio::test]
async fn every_field_that_the_provider_sends_is_kept() {
    let message = json!({
        "role": "assistant", "content": "hi", "reasoning_content": "a greeting", "x_unknown": { "kept": true },
    });
    let mut response = completion(&message, "stop", &usage());
    response["choices"][0]["logprobs"] = json!({ "content": [{ "token": "hi", "logprob": -0.25 }] });
    response["choices"][0]["token_ids"] = json!([17, 4]);
    response["system_fingerprint"] = json!("fp");
    for reply in both(&response).await {
        assert_eq!(reply.message, message);
        assert_eq!(reply.response["choices"], response["choices"]);
        assert_eq!(reply.response["system_fingerprint"], "fp");
        assert_eq!((reply.usage.input, reply.usage.output), (Tokens(30), Tokens(5)));
    }
}

#[tokio::test]
async fn usage_that_is_missing_zero_or_wrong_is_marked_and_late_usage_counts() {
    let wrong = [
        Value::Null,
        json!({}),
        json!({ "prompt_tokens": 0, "completion_tokens": 0 }),
        json!({ "prompt_tokens": -3, "completion_tokens": 5 }),
        json!({ "prompt_tokens": "30", "completion_tokens": 5 }),
        json!({ "prompt_tokens": 30, "completion_tokens": 5, "prompt_tokens_details": { "cached_tokens": 31 } }),
    ];
    for usage in wrong {
        for reply in both(&completion(&hello(), "stop", &usage)).await {
            assert!(reply.usage.estimated, "{usage} was taken for true");
            assert_eq!(reply.message["content"], "hi");
        }
    }
    let stream = String::from_utf8(scripted_stream(Dialect::OpenaiChat, &hello())).unwrap();
    let late = stream.replace("data: [DONE]\n\n", "");
    let (before, usage) = late.trim_end().rsplit_once("\n\n").unwrap();
    let parts = [before, "\n\ndata: [DONE]\n\n", usage, "\n\n"].map(ScriptedPart::text);
    assert!(!chat(ScriptedReply::stream(parts)).await.usage.estimated);
}

#[tokio::test]
async fn replies_without_a_message_are_malformed() {
    let cases = [
        ScriptedReply::Raw("<html>hello</html>".to_owned()),
        ScriptedReply::Raw(String::new()),
        ScriptedReply::Raw(r#"{"choices": []}"#.to_owned()),
        ScriptedReply::Raw(r#"{"choices": [{"index": 0}]}"#.to_owned()),
        ScriptedReply::Raw("[1, 2".to_owned()),
        ScriptedReply::stream([ScriptedPart::text("data: [DONE]\n\n")]),
    ];
    for reply in cases {
        let case = format!("{reply:?}");
        let lost = lost(reply).await;
        assert_eq!(verdict(&lost), (MALFORMED, true, true), "{case}: {}", lost.message);
    }
    let mut empty = completion(&hello(), "stop", &usage());
    empty["choices"] = json!([]);
    let billed = lost(ScriptedReply::Raw(empty.to_string())).await;
    assert!(matches!(billed.charge, Charge::Known(usage) if usage.input == Tokens(30)), "{billed:?}");
    for dialect in DIALECTS {
        let lost = once(dialect, ScriptedReply::Raw("{}".to_owned())).await.unwrap_err();
        assert_eq!(lost.code, MALFORMED);
    }
}

#[tokio::test]
async fn an_error_where_a_reply_is_due_has_the_code_of_what_it_says() {
    let cases = [
        (r#"{"message": "Overloaded", "type": "overloaded_error"}"#, FailureCode::ModelOverloaded, true),
        (r#"{"message": "busy", "code": 503}"#, FailureCode::ModelOverloaded, true),
        (r#"{"message": "context_length_exceeded"}"#, FailureCode::ContextOverflow, false),
        (r#"{"message": "insufficient_quota"}"#, FailureCode::ModelUnpaid, false),
        (r#"{"message": "no such thing", "code": 404}"#, FailureCode::ModelRefused, false),
    ];
    for (error, code, retry) in cases {
        for dialect in DIALECTS {
            let event = format!("event: error\ndata: {{\"type\": \"error\", \"error\": {error}}}\n\n");
            let stream = once(dialect, ScriptedReply::stream([ScriptedPart::text(event)])).await.unwrap_err();
            assert_eq!(verdict(&stream), (code, retry, true), "{dialect:?} {error}: {}", stream.message);
            let whole = ScriptedReply::Raw(format!("{{\"error\": {error}}}"));
            assert_eq!(verdict(&once(dialect, whole).await.unwrap_err()), (code, retry, true));
        }
    }
}

#[tokio::test]
async fn an_unknown_finish_reason_is_recorded_as_it_is() {
    for reply in both(&completion(&hello(), "tired", &usage())).await {
        assert_eq!(reply.finish_reason.as_deref(), Some("tired"));
        assert_eq!(reply.message["content"], "hi");
    }
}

#[tokio::test]
async fn calls_with_broken_arguments_unknown_tools_or_one_id_for_several_lose_no_call() {
    let call = |id: Value, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
    let calls = [
        call(json!("c"), "bash", "{\"command\": "),
        call(json!("c"), "fly", "{}"),
        call(json!("c"), "bash", "{}"),
        call(Value::Null, "bash", "{}"),
    ];
    let message = json!({ "role": "assistant", "content": null, "tool_calls": calls });
    for reply in both(&completion(&message, "tool_calls", &usage())).await {
        let calls = reply.message["tool_calls"].as_array().unwrap();
        let ids: Vec<&str> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!((calls.len(), unique.len()), (4, 4), "{ids:?}");
        assert_eq!(calls[0]["function"]["arguments"], "{\"command\": ");
        assert_eq!(calls[1]["function"]["name"], "fly");
    }
}

#[tokio::test]
async fn repeated_events_make_no_difference_where_they_can_be_told_apart() {
    for dialect in [Dialect::OpenaiResponses, Dialect::AnthropicMessages] {
        let stream = String::from_utf8(scripted_stream(dialect, &hello())).unwrap();
        let events: Vec<&str> = stream.split_inclusive("\n\n").collect();
        let pieces = ["text_delta", "output_text.delta"];
        let is_piece = |event: &str| pieces.iter().any(|piece| event.contains(piece));
        let doubled = events.iter().flat_map(|event| {
            // Anthropic's pieces have no number: one that comes twice is two pieces.
            let once = dialect == Dialect::AnthropicMessages && is_piece(event);
            std::iter::repeat_n(*event, if once { 1 } else { 2 })
        });
        let doubled: String = doubled.collect();
        let reply = once(dialect, ScriptedReply::stream([ScriptedPart::text(doubled)])).await.unwrap();
        assert_eq!(reply.message["content"], "hi");
    }
}

#[tokio::test]
async fn a_reply_that_the_policy_keeps_back_is_billed_and_one_that_says_no_is_a_reply() {
    let silent = json!({ "role": "assistant", "content": null });
    let withheld = lost(ScriptedReply::Response(completion(&silent, "content_filter", &usage()))).await;
    assert_eq!(verdict(&withheld), (FailureCode::ContentRefused, false, true));
    assert!(matches!(withheld.charge, Charge::Known(_)));
    let refusal = json!({ "role": "assistant", "content": null, "refusal": "I can't help with that." });
    for reply in both(&completion(&refusal, "content_filter", &usage())).await {
        assert_eq!(reply.finish_reason.as_deref(), Some("content_filter"));
        assert_eq!(reply.message["refusal"], "I can't help with that.");
    }
    let message = json!({
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "refusal",
        "stop_sequence": null, "usage": { "input_tokens": 9, "output_tokens": 0 },
    });
    let refused = once(Dialect::AnthropicMessages, ScriptedReply::Response(message)).await.unwrap_err();
    assert_eq!(verdict(&refused), (FailureCode::ContentRefused, false, true));
}

#[tokio::test]
async fn signed_reasoning_goes_back_to_the_provider_word_for_word() {
    let content = json!([
        { "type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk" },
        { "type": "redacted_thinking", "data": "ZGF0YQ" },
        { "type": "text", "text": "Looking." },
        { "type": "tool_use", "id": "t1", "name": "bash", "input": { "command": "ls" } },
    ]);
    let output = json!([
        { "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0" },
        { "type": "function_call", "id": "fc_1", "call_id": "t1", "name": "bash", "arguments": "{}", "status": "completed" },
    ]);
    let anthropic = json!({
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "tool_use", "stop_sequence": null, "usage": { "input_tokens": 9, "output_tokens": 4 },
    });
    let openai = json!({
        "id": "r1", "object": "response", "status": "completed", "model": "m", "output": output,
        "usage": { "input_tokens": 9, "output_tokens": 4 },
    });
    for (dialect, response, own) in
        [(Dialect::AnthropicMessages, anthropic, content), (Dialect::OpenaiResponses, openai, output)]
    {
        let server = Scripted::start(move |_, _| ScriptedReply::Response(response.clone())).await.unwrap();
        let endpoint = endpoint(ModelEntry { dialect, ..server.entry("m") });
        let mut conversation = request();
        let reply = endpoint.ask(&conversation).await.unwrap();
        assert!(reply.message[NATIVE].is_object());
        assert_eq!(reply.message["tool_calls"][0]["id"], "t1");
        conversation.messages.push(reply.message);
        conversation.messages.push(json!({ "role": "tool", "tool_call_id": "t1", "content": "a.txt" }));
        endpoint.ask(&conversation).await.unwrap();
        let body = server.requests().remove(1);
        let sent = match dialect {
            Dialect::AnthropicMessages => body["messages"][1]["content"].clone(),
            _ => body["input"].as_array().unwrap()[1..3].iter().cloned().collect(),
        };
        assert_eq!(sent, own);
    }
}

#[tokio::test]
async fn images_pass_through_in_each_dialects_form() {
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } });
    let content = json!([{ "type": "text", "text": "What is this?" }, image]);
    let conversation =
        ChatRequest { messages: vec![json!({ "role": "user", "content": content })], tools: Vec::new() };
    for (dialect, place, own) in [
        (Dialect::OpenaiChat, "/messages/0/content/1", image.clone()),
        (
            Dialect::OpenaiResponses,
            "/input/0/content/1",
            json!({ "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=" }),
        ),
        (
            Dialect::AnthropicMessages,
            "/messages/0/content/1",
            json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=" } }),
        ),
    ] {
        let server = Scripted::start(|_, _| ScriptedReply::Message(hello())).await.unwrap();
        endpoint(ModelEntry { dialect, ..server.entry("m") }).ask(&conversation).await.unwrap();
        assert_eq!(server.requests()[0].pointer(place), Some(&own));
    }
}
