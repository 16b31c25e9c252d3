//! What passes through, and what is translated on the way.

use serde_json::{Value, json};
use trajforge_router::gateway::ExchangeEnd;
use trajforge_router::{ScriptedPart, ScriptedReply, scripted_stream};
use trajforge_schema::Dialect;

use super::{Bench, DIALECTS, ask, hello};

fn whole(body: &str) -> ScriptedReply {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: r-7\r\nx-ratelimit-remaining: 3\r\n";
    let length = body.len();
    ScriptedReply::Parts(vec![ScriptedPart::text(format!("{head}content-length: {length}\r\n\r\n{body}"))])
}

#[tokio::test]
async fn bytes_of_one_dialect_pass_through_untouched_in_both_directions() {
    let bodies = [
        (
            Dialect::OpenaiChat,
            r#"{ "id":"1", "choices":[{"index":0,"message":{"role":"assistant","content":"hi" , "x":[1.10]},"finish_reason":"stop"}] }"#,
        ),
        (
            Dialect::OpenaiResponses,
            r#"{ "id":"1", "status":"completed", "output":[{"type":"message", "role":"assistant","content":[{"type":"output_text","text":"hi"}],"x":1e3}] }"#,
        ),
        (
            Dialect::AnthropicMessages,
            r#"{ "id":"1", "type":"message","content":[{"type":"text","text":"hi" ,"x":null}], "stop_reason":"end_turn" }"#,
        ),
    ];
    for (dialect, reply) in bodies {
        let bench = Bench::start(dialect, move |_, _| whole(reply)).await;
        let mut body = ask(dialect, false);
        body["x_unknown"] = json!({ "b": 1, "a": 2.50 });
        let text = format!(" {} ", serde_json::to_string_pretty(&body).unwrap());
        let got = bench.post_bytes(dialect, text.clone()).await;
        assert_eq!((got.status, got.text.as_str()), (200, reply));
        assert_eq!(got.headers["x-ratelimit-remaining"], "3");
        assert_eq!(bench.upstream.received()[0].bytes, text.as_bytes());
        let (exchanges, _) = bench.end().await;
        let exchange = &exchanges[0];
        assert_eq!(
            (exchange.request.as_text(), exchange.response.as_text()),
            (Some(text.as_str()), Some(reply))
        );
        assert_eq!((exchange.sent.as_ref(), exchange.answered.as_ref()), (None, None));
        assert_eq!((exchange.end, exchange.request_id.as_deref()), (ExchangeEnd::Whole, Some("r-7")));
        assert_eq!(exchange.view.reply["content"], "hi");
    }
}

#[tokio::test]
async fn streams_of_one_dialect_pass_through_byte_for_byte() {
    for dialect in DIALECTS {
        let stream = format!(": ping\n\n{}", String::from_utf8(scripted_stream(dialect, &hello())).unwrap());
        let parts: Vec<ScriptedPart> =
            stream.as_bytes().chunks(97).map(|piece| ScriptedPart::Bytes(piece.to_vec())).collect();
        let bench = Bench::start(dialect, move |_, _| ScriptedReply::stream(parts.clone())).await;
        let mut body = ask(dialect, true);
        if dialect == Dialect::OpenaiChat {
            body["stream_options"] = json!({ "include_usage": true });
        }
        let got = bench.post(dialect, &body).await;
        assert_eq!((got.status, got.text.as_str()), (200, stream.as_str()));
        let (exchanges, _) = bench.end().await;
        assert_eq!(exchanges[0].response.as_text(), Some(stream.as_str()));
        assert_eq!(
            (exchanges[0].end, &exchanges[0].view.reply["content"]),
            (ExchangeEnd::Whole, &json!("hi"))
        );
    }
}

#[tokio::test]
async fn usage_is_asked_for_and_hidden_from_a_client_that_did_not_ask() {
    let bench = Bench::start(Dialect::OpenaiChat, |_, _| ScriptedReply::Message(hello())).await;
    let got = bench.post(Dialect::OpenaiChat, &ask(Dialect::OpenaiChat, true)).await;
    assert!(
        got.text.contains("\"hi\"") && got.text.contains("[DONE]") && !got.text.contains("prompt_tokens")
    );
    assert_eq!(bench.upstream.requests()[0]["stream_options"]["include_usage"], true);
    let (exchanges, report) = bench.end().await;
    assert!(exchanges[0].response.as_text().unwrap().contains("prompt_tokens"));
    assert!(exchanges[0].usage.output.0 > 0 && !exchanges[0].usage.estimated);
    assert_eq!(Some(report.cost), exchanges[0].cost);
}

/// What a client of a dialect was told: text, the calls' names and arguments, and the tokens.
fn told(dialect: Dialect, got: &str, stream: bool) -> (String, Vec<(String, Value)>, u64) {
    let response = if stream { joined(dialect, got) } else { serde_json::from_str(got).unwrap() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let arguments = |value: &Value| serde_json::from_str(value.as_str().unwrap()).unwrap();
    let items = |value: &Value| value.as_array().unwrap().clone();
    match dialect {
        Dialect::OpenaiChat => {
            let message = &response["choices"][0]["message"];
            let calls = items(&message["tool_calls"]).into_iter();
            let calls = calls
                .map(|call| (text(&call["function"]["name"]), arguments(&call["function"]["arguments"])));
            (
                text(&message["content"]),
                calls.collect(),
                response["usage"]["completion_tokens"].as_u64().unwrap(),
            )
        }
        Dialect::OpenaiResponses => {
            let output = items(&response["output"]);
            let said = output.iter().find(|item| item["type"] == "message").unwrap();
            let calls = output.iter().filter(|item| item["type"] == "function_call");
            let calls = calls.map(|call| (text(&call["name"]), arguments(&call["arguments"])));
            (
                text(&said["content"][0]["text"]),
                calls.collect(),
                response["usage"]["output_tokens"].as_u64().unwrap(),
            )
        }
        Dialect::AnthropicMessages => {
            let content = items(&response["content"]);
            let said = content.iter().find(|block| block["type"] == "text").unwrap();
            let calls = content.iter().filter(|block| block["type"] == "tool_use");
            let calls = calls.map(|call| (text(&call["name"]), call["input"].clone()));
            (text(&said["text"]), calls.collect(), response["usage"]["output_tokens"].as_u64().unwrap())
        }
    }
}

/// A stream put together by the simplest of readers, which is not the gateway's own.
fn joined(dialect: Dialect, stream: &str) -> Value {
    let events =
        stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let events: Vec<Value> = events.map(|data| serde_json::from_str(data).unwrap()).collect();
    match dialect {
        Dialect::OpenaiResponses => events.last().unwrap()["response"].clone(),
        Dialect::OpenaiChat => joined_chat(&events),
        Dialect::AnthropicMessages => joined_blocks(&events),
    }
}

fn joined_chat(events: &[Value]) -> Value {
    let (mut content, mut calls, mut usage) = (String::new(), Vec::<Value>::new(), Value::Null);
    for event in events {
        let delta = &event["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        for part in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                calls.push(json!({ "function": { "name": part["function"]["name"], "arguments": "" } }));
            }
            let more = part["function"]["arguments"].as_str().unwrap_or_default();
            let so_far = calls[index]["function"]["arguments"].as_str().unwrap().to_owned();
            calls[index]["function"]["arguments"] = json!(so_far + more);
        }
        if event["usage"].is_object() {
            usage = event["usage"].clone();
        }
    }
    json!({ "choices": [{ "message": { "content": content, "tool_calls": calls } }], "usage": usage })
}

fn joined_blocks(events: &[Value]) -> Value {
    let (mut blocks, mut usage) = (Vec::<Value>::new(), Value::Null);
    for event in events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => blocks.push(event["content_block"].clone()),
            "content_block_delta" => {
                let (block, delta) = (blocks.last_mut().unwrap(), &event["delta"]);
                for (from, to) in [("text", "text"), ("partial_json", "json")] {
                    if let Some(more) = delta[from].as_str() {
                        let so_far = block[to].as_str().unwrap_or_default().to_owned();
                        block[to] = json!(so_far + more);
                    }
                }
            }
            "message_delta" => usage = event["usage"].clone(),
            _ => {}
        }
    }
    for block in &mut blocks {
        if let Some(input) = block["json"].as_str() {
            block["input"] = serde_json::from_str(input).unwrap();
        }
    }
    json!({ "content": blocks, "usage": usage })
}

fn with_calls() -> Value {
    let call = |id: &str, command: &str| {
        let arguments = json!({ "command": command }).to_string();
        json!({ "id": id, "type": "function", "function": { "name": "bash", "arguments": arguments } })
    };
    json!({ "role": "assistant", "content": "I look around: é 😀.", "tool_calls": [call("c1", "ls -la"), call("c2", "pwd")] })
}

#[tokio::test]
async fn every_dialect_is_served_from_every_other_whole_and_streamed() {
    for upstream in DIALECTS {
        for client in DIALECTS {
            for stream in [false, true] {
                let case = format!("{client:?} from {upstream:?}, stream {stream}");
                let bench = Bench::start(upstream, |_, _| ScriptedReply::Message(with_calls())).await;
                let mut body = ask(client, stream);
                if client == Dialect::OpenaiChat && stream {
                    body["stream_options"] = json!({ "include_usage": true });
                }
                let got = bench.post(client, &body).await;
                assert_eq!(got.status, 200, "{case}: {}", got.text);
                let (text, calls, output) = told(client, &got.text, stream);
                assert_eq!(text, "I look around: é 😀.", "{case}");
                let bash = |command: &str| ("bash".to_owned(), json!({ "command": command }));
                assert_eq!(calls, [bash("ls -la"), bash("pwd")], "{case}");
                let sent = bench.upstream.requests().remove(0);
                assert_eq!(sent["tools"].as_array().unwrap().len(), 1, "{case}");
                let (exchanges, report) = bench.end().await;
                let exchange = &exchanges[0];
                assert_eq!((exchange.client_dialect, exchange.dialect), (client, upstream));
                assert_eq!(exchange.end, ExchangeEnd::Whole, "{case}");
                assert_eq!(exchange.usage.output.0, output, "{case}");
                assert_eq!(exchange.view.messages.as_array().unwrap().len(), 2, "{case}");
                assert_eq!(exchange.view.reply["tool_calls"].as_array().unwrap().len(), 2, "{case}");
                let given = exchange.answered.as_ref().unwrap_or(&exchange.response);
                assert_eq!(given.as_text(), Some(got.text.as_str()), "{case}");
                assert_eq!(report.steps, 1);
            }
        }
    }
}

#[tokio::test]
async fn signed_reasoning_comes_back_to_its_provider_though_the_client_left_it_out() {
    let content = json!([
        { "type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk" },
        { "type": "tool_use", "id": "t1", "name": "bash", "input": { "command": "ls" } },
    ]);
    let response = json!({
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "tool_use", "stop_sequence": null, "usage": { "input_tokens": 9, "output_tokens": 4 },
    });
    for stream in [false, true] {
        let response = response.clone();
        let bench =
            Bench::start(Dialect::AnthropicMessages, move |_, _| ScriptedReply::Response(response.clone()))
                .await;
        let mut body = ask(Dialect::OpenaiChat, stream);
        let got = bench.post(Dialect::OpenaiChat, &body).await;
        assert!(!got.text.contains("c2lnbmVk"), "a client that can't use it is not given it");
        let call = json!({ "id": "t1", "type": "function", "function": { "name": "bash", "arguments": "{\"command\":\"ls\"}" } });
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": "t1", "content": "a.txt" }));
        bench.post(Dialect::OpenaiChat, &body).await;
        assert_eq!(bench.upstream.requests()[1]["messages"][1]["content"], content);
    }
}

#[tokio::test]
async fn an_endpoint_that_streams_nothing_still_serves_a_client_that_wants_a_stream() {
    let body = r#"{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let bench = Bench::start(Dialect::OpenaiChat, move |_, _| whole(body)).await;
    let got = bench.post(Dialect::AnthropicMessages, &ask(Dialect::AnthropicMessages, true)).await;
    assert_eq!(got.headers["content-type"], "text/event-stream");
    assert!(got.text.contains("event: message_stop") && got.text.contains("hi"), "{}", got.text);
}

#[tokio::test]
async fn a_conversation_that_another_server_keeps_is_refused_and_not_lost() {
    let bench = Bench::start(Dialect::OpenaiChat, |_, _| ScriptedReply::Message(hello())).await;
    let mut body = ask(Dialect::OpenaiResponses, false);
    body["previous_response_id"] = json!("resp_1");
    let got = bench.post(Dialect::OpenaiResponses, &body).await;
    assert_eq!(got.status, 400);
    assert!(got.text.contains("send the whole conversation"), "{}", got.text);
    assert!(bench.upstream.requests().is_empty());
    assert_eq!(bench.end().await.1.steps, 0);
}
