//! What every dialect has to hold.

use proptest::prelude::*;

use super::*;
use crate::sse::SseDecoder;

const ALL: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];

/// An assistant's turn, from which each dialect makes a response of its own.
#[derive(Debug, Clone)]
struct Turn {
    said: String,
    thought: String,
    calls: Vec<(String, String)>,
    unknown: String,
    input: u64,
    cached: u64,
    output: u64,
}

fn turn() -> impl Strategy<Value = Turn> {
    let word = || "[a-zA-Z é😀\"\\\\\n]{0,40}";
    let calls = proptest::collection::vec(("[a-z_]{1,8}", word()), 0..4);
    (word(), word(), calls, word(), 1..100_000_u64, 0..100_u64, 1..10_000_u64).prop_map(
        |(said, thought, calls, unknown, input, part, output)| {
            let cached = input * part / 100;
            Turn { said, thought, calls, unknown, input, cached, output }
        },
    )
}

fn response(dialect: Dialect, turn: &Turn) -> Value {
    match dialect {
        Dialect::OpenaiChat => chat_completion(turn),
        Dialect::OpenaiResponses => openai_response(turn),
        Dialect::AnthropicMessages => anthropic_message(turn),
    }
}

fn arguments(value: &str) -> String {
    json!({ "value": value }).to_string()
}

fn chat_completion(turn: &Turn) -> Value {
    let mut message =
        json!({ "role": "assistant", "content": turn.said, "x_unknown": { "kept": turn.unknown } });
    if !turn.thought.is_empty() {
        message["reasoning_content"] = json!(turn.thought);
    }
    let calls = turn.calls.iter().enumerate().map(|(number, (name, value))| {
        let function = json!({ "name": name, "arguments": arguments(value) });
        json!({ "id": format!("call-{number}"), "type": "function", "function": function })
    });
    let calls: Value = calls.collect();
    if !turn.calls.is_empty() {
        message["tool_calls"] = calls;
    }
    let logprobs = json!({ "content": [{ "token": "a", "logprob": -0.5, "top_logprobs": [] }] });
    json!({
        "id": "r-1", "object": "chat.completion", "created": 5, "model": "m", "x_top": turn.unknown,
        "choices": [{
            "index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs, "token_ids": [1, 2, 3],
        }],
        "usage": {
            "prompt_tokens": turn.input, "completion_tokens": turn.output, "total_tokens": turn.input + turn.output,
            "prompt_tokens_details": { "cached_tokens": turn.cached },
        },
    })
}

fn openai_response(turn: &Turn) -> Value {
    let summary = json!([{ "type": "summary_text", "text": turn.thought }]);
    let mut output = vec![json!({
        "type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": turn.unknown, "status": "completed",
    })];
    let part = json!({ "type": "output_text", "text": turn.said, "annotations": [], "logprobs": [] });
    output.push(json!({
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part],
    }));
    output.extend(turn.calls.iter().enumerate().map(|(number, (name, value))| {
        json!({
            "type": "function_call", "id": format!("fc_{number}"), "call_id": format!("call-{number}"),
            "name": name, "arguments": arguments(value), "status": "completed",
        })
    }));
    json!({
        "id": "r-1", "object": "response", "created_at": 5, "status": "completed", "model": "m", "output": output,
        "error": null, "incomplete_details": null, "x_top": turn.unknown,
        "usage": {
            "input_tokens": turn.input, "input_tokens_details": { "cached_tokens": turn.cached },
            "output_tokens": turn.output, "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": turn.input + turn.output,
        },
    })
}

fn anthropic_message(turn: &Turn) -> Value {
    let mut content = vec![
        json!({ "type": "thinking", "thinking": turn.thought, "signature": format!("s{}", turn.unknown) }),
        json!({ "type": "redacted_thinking", "data": turn.unknown }),
        json!({ "type": "text", "text": turn.said }),
    ];
    content.extend(turn.calls.iter().enumerate().map(|(number, (name, value))| {
        let input = json!({ "value": value });
        json!({ "type": "tool_use", "id": format!("call-{number}"), "name": name, "input": input })
    }));
    json!({
        "id": "r-1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": if turn.calls.is_empty() { "end_turn" } else { "tool_use" }, "stop_sequence": null,
        "x_top": turn.unknown,
        "usage": {
            "input_tokens": turn.input - turn.cached, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": turn.cached, "output_tokens": turn.output,
        },
    })
}

fn bytes(events: &[SseEvent]) -> Vec<u8> {
    events.iter().map(SseEvent::encode).collect::<String>().into_bytes()
}

/// A response as far as every dialect can say it.
fn said(chat: &Value) -> Value {
    let message = &chat["choices"][0]["message"];
    let calls: Vec<&Value> = list(&message["tool_calls"]).iter().collect();
    json!({
        "content": text(&message["content"]), "reasoning": text(&message["reasoning_content"]), "calls": calls,
        "input": chat["usage"]["prompt_tokens"], "output": chat["usage"]["completion_tokens"],
        "cached": chat["usage"]["prompt_tokens_details"]["cached_tokens"],
    })
}

fn chat_of_chunks(chunks: &[Value]) -> Value {
    let events: Vec<SseEvent> = chunks.iter().map(|chunk| SseEvent::unnamed(chunk.to_string())).collect();
    accumulate(Dialect::OpenaiChat, &events).response
}

proptest! {
    #[test]
    fn a_response_made_into_a_stream_and_accumulated_is_the_same_response(turn in turn()) {
        for dialect in ALL {
            let response = response(dialect, &turn);
            let stream = bytes(&protocol(dialect).events(&response));
            let streamed = accumulate(dialect, &SseDecoder::decode(&stream));
            prop_assert!(streamed.complete, "{dialect:?}");
            prop_assert_eq!(streamed.response, response);
        }
    }

    #[test]
    fn a_stream_that_is_cut_never_looks_whole(turn in turn(), cut in any::<prop::sample::Index>()) {
        for dialect in ALL {
            let events = protocol(dialect).events(&response(dialect, &turn));
            // The first event that says that the response is whole, and what comes after it, is left out.
            let whole = (0..=events.len()).find(|end| accumulate(dialect, &events[..*end]).complete).unwrap();
            let stream = bytes(&events[..whole]);
            let cut = cut.index(stream.len().saturating_sub(4).max(1));
            prop_assert!(!accumulate(dialect, &SseDecoder::decode(&stream[..cut])).complete, "{dialect:?}");
        }
    }

    #[test]
    fn a_response_survives_chat_and_comes_back_word_for_word(turn in turn()) {
        for dialect in ALL {
            let response = response(dialect, &turn);
            let chat = protocol(dialect).chat_response(&response);
            let message = &chat["choices"][0]["message"];
            let next = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }, message] });
            let body = protocol(dialect).request(&next);
            let (sent, own) = match dialect {
                Dialect::OpenaiChat => (vec![body["messages"][1].clone()], vec![message.clone()]),
                Dialect::OpenaiResponses => (list(&body["input"])[1..].to_vec(), list(&response["output"]).to_vec()),
                Dialect::AnthropicMessages => {
                    (list(&body["messages"][1]["content"]).to_vec(), list(&response["content"]).to_vec())
                }
            };
            prop_assert_eq!(sent, own);
        }
    }

    #[test]
    fn a_stream_read_chunk_by_chunk_says_what_the_response_says(turn in turn()) {
        for dialect in ALL {
            let response = response(dialect, &turn);
            let mut reader = protocol(dialect).reader();
            let events = protocol(dialect).events(&response);
            let chunks: Vec<Value> = events.iter().flat_map(|event| reader.read(event)).collect();
            prop_assert_eq!(said(&chat_of_chunks(&chunks)), said(&protocol(dialect).chat_response(&response)));
        }
    }

    #[test]
    fn chunks_written_as_a_stream_say_what_the_completion_says(turn in turn()) {
        let chat = chat_completion(&turn);
        let events = protocol(Dialect::OpenaiChat).events(&chat);
        let chunks: Vec<Value> = events.iter().flat_map(|event| serde_json::from_str(&event.data)).collect();
        for dialect in ALL {
            let mut writer = protocol(dialect).writer();
            let mut stream: Vec<SseEvent> = chunks.iter().flat_map(|chunk| writer.write(chunk)).collect();
            stream.extend(writer.end());
            let streamed = accumulate(dialect, &stream);
            prop_assert!(streamed.complete, "{dialect:?}");
            prop_assert_eq!(said(&protocol(dialect).chat_response(&streamed.response)), said(&chat));
        }
    }

    #[test]
    fn a_completion_put_into_a_dialect_says_the_same(turn in turn()) {
        let chat = chat_completion(&turn);
        for dialect in ALL {
            let own = protocol(dialect).response(&chat);
            let mut back = said(&protocol(dialect).chat_response(&own));
            if dialect == Dialect::AnthropicMessages {
                // Reasoning without the provider's signature has no place in a message.
                back["reasoning"] = said(&chat)["reasoning"].clone();
            }
            prop_assert_eq!(back, said(&chat));
            let usage = protocol(dialect).usage(&own).unwrap();
            prop_assert_eq!((usage.input.0, usage.cached_input.0, usage.output.0), (turn.input, turn.cached, turn.output));
        }
    }
}

#[test]
fn a_request_goes_to_each_dialect_and_back() {
    let function = json!({ "name": "bash", "description": "Runs.", "parameters": { "type": "object" } });
    let call =
        json!({ "id": "c1", "type": "function", "function": { "name": "bash", "arguments": "{\"a\":1}" } });
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
    let chat = json!({
        "model": "m", "max_tokens": 100, "temperature": 0.5,
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "Look." }, image] },
            { "role": "assistant", "content": "I run it.", "tool_calls": [call] },
            { "role": "tool", "tool_call_id": "c1", "content": "done" },
        ],
        "tools": [{ "type": "function", "function": function }],
        "tool_choice": { "type": "function", "function": { "name": "bash" } },
        "parallel_tool_calls": false,
    });
    for dialect in ALL {
        let body = protocol(dialect).request(&chat);
        assert_eq!(protocol(dialect).chat_request(&body), chat, "{dialect:?}: {body:#}");
    }
}

#[test]
fn parallel_results_are_one_turn_for_anthropic() {
    let tool = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "x" });
    let body = protocol(Dialect::AnthropicMessages).request(&json!({ "messages": [tool("a"), tool("b")] }));
    assert_eq!(list(&body["messages"]).len(), 1);
    assert_eq!(list(&body["messages"][0]["content"]).len(), 2);
}

fn of_chunks(data: &[&str]) -> Streamed {
    let events: Vec<SseEvent> = data.iter().map(|data| SseEvent::unnamed(*data)).collect();
    accumulate(Dialect::OpenaiChat, &events)
}

#[test]
fn calls_without_numbers_or_with_one_number_for_all_stay_apart() {
    for index in [r#""index":0,"#, ""] {
        let first = format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{{index}"id":"a","function":{{"name":"f","arguments":"{{}}"}}}}]}}}}]}}"#
        );
        let second = first.replace(r#""id":"a""#, r#""id":"b""#);
        let streamed = of_chunks(&[&first, &second, "[DONE]"]);
        let calls = list(&streamed.response["choices"][0]["message"]["tool_calls"]);
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert_eq!((&calls[0]["id"], &calls[1]["id"]), (&json!("a"), &json!("b")));
    }
}

#[test]
fn late_usage_counts_and_an_error_within_a_stream_is_no_end() {
    let text = r#"{"id":"1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let usage = r#"{"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    let late = of_chunks(&[text, "[DONE]", usage]);
    assert_eq!(late.response["usage"]["prompt_tokens"], 3);
    let error = of_chunks(&[r#"{"error":{"message":"overloaded","code":503}}"#, "[DONE]"]);
    assert!(!error.complete && error.error.is_some());
}

#[test]
fn repeated_and_disordered_events_of_a_response_make_the_same_response() {
    let turn = Turn {
        said: "one two three four five".to_owned(),
        thought: "hm".to_owned(),
        calls: vec![("f".to_owned(), "x".to_owned())],
        unknown: "u".to_owned(),
        input: 5,
        cached: 0,
        output: 7,
    };
    let response = openai_response(&turn);
    let mut events = protocol(Dialect::OpenaiResponses).events(&response);
    let doubled = events.clone();
    events.reverse();
    events.extend(doubled);
    // The last event, which repeats all of them, is left out: the parts have to do.
    events.retain(|event| event.name != "response.completed");
    let streamed = accumulate(Dialect::OpenaiResponses, &events);
    assert_eq!(streamed.response["output"], response["output"]);
    assert!(!streamed.complete);
}

#[test]
fn usage_that_can_not_be_true_is_none() {
    let chat = |usage: &Value| protocol(Dialect::OpenaiChat).usage(&json!({ "usage": usage }));
    assert!(chat(&Value::Null).is_none());
    assert!(chat(&json!({ "prompt_tokens": 0, "completion_tokens": 0 })).is_none());
    assert!(chat(&json!({ "prompt_tokens": -4, "completion_tokens": 2 })).is_none());
    assert!(chat(&json!({ "prompt_tokens": "9", "completion_tokens": 2 })).is_none());
    let more_cached = json!({ "prompt_tokens": 4, "completion_tokens": 2, "prompt_tokens_details": { "cached_tokens": 5 } });
    assert!(chat(&more_cached).is_none());
    assert_eq!(chat(&json!({ "prompt_tokens": 4, "completion_tokens": 2 })).unwrap().total(), Tokens(6));
}
