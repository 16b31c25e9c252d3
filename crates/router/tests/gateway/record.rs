//! What is recorded when things go well, and when they do not.

use std::time::Duration;

use serde_json::{Value, json};
use trajforge_router::budget::Purse;
use trajforge_router::gateway::{CaptureFile, Exchange, ExchangeEnd};
use trajforge_router::{
    Cassette, Gateway, GatewaySpec, ScriptedPart, ScriptedReply, SessionSpec, scripted_stream,
};
use trajforge_schema::{Caps, Dialect, FailureCode, MicroDollars};

use super::{Bench, DIALECTS, UPSTREAM_KEY, ask, budget, gateway_spec, got, hello, session_spec};

const CHAT: Dialect = Dialect::OpenaiChat;

#[tokio::test]
async fn what_an_endpoint_refuses_reaches_the_client_as_it_is_and_costs_nothing() {
    for (status, code) in [
        (400, FailureCode::ModelRefused),
        (402, FailureCode::ModelUnpaid),
        (429, FailureCode::ModelOverloaded),
        (500, FailureCode::ModelOverloaded),
        (529, FailureCode::ModelOverloaded),
    ] {
        let body = r#"{"error":{"message":"no","x":1}}"#;
        let reply = ScriptedReply::Status { code: status, body: body.to_owned(), retry_after: Some(9) };
        for client in [CHAT, Dialect::AnthropicMessages] {
            let reply = reply.clone();
            let bench = Bench::start(CHAT, move |_, _| reply.clone()).await;
            let got = bench.post(client, &ask(client, true)).await;
            assert_eq!((got.status, got.headers["retry-after"].to_str().unwrap()), (status, "9"));
            assert_eq!(got.text == body, client == CHAT, "{}", got.text);
            let (exchanges, report) = bench.end().await;
            assert_eq!((exchanges[0].end, exchanges[0].status), (ExchangeEnd::Failed, status));
            assert_eq!(exchanges[0].failure.as_ref().unwrap().code, code);
            assert_eq!(exchanges[0].response.as_text(), Some(body));
            assert_eq!((report.cost, report.steps), (MicroDollars(0), 0));
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_cuts_its_client_off_and_is_charged_at_the_worst() {
    let stream = scripted_stream(CHAT, &hello());
    let cut = stream[..stream.len() / 2].to_vec();
    for client in DIALECTS {
        let parts = [ScriptedPart::Bytes(cut.clone()), ScriptedPart::Reset];
        let bench = Bench::start(CHAT, move |_, _| ScriptedReply::stream(parts.clone())).await;
        let response = bench.request(client, ask(client, true).to_string()).send().await.unwrap();
        assert!(response.bytes().await.is_err(), "half a reply looks whole to {client:?}");
        let (exchanges, report) = bench.end().await;
        assert_eq!(exchanges[0].end, ExchangeEnd::Failed);
        assert_eq!(exchanges[0].failure.as_ref().unwrap().code, FailureCode::ModelUnreachable);
        assert_eq!(exchanges[0].response.0, cut);
        assert!(report.cost > MicroDollars(100), "{}", report.cost);
    }
}

#[tokio::test]
async fn an_endpoint_that_can_not_be_reached_or_says_nothing_is_named() {
    let change = |spec: &mut SessionSpec| spec.models[0].entry.base_url = "http://127.0.0.1:9/v1".to_owned();
    let silent = |_: &Value, _: usize| ScriptedReply::Stall(Duration::from_secs(30));
    let bench = Bench::with(CHAT, Caps::default(), change, silent).await;
    let got = bench.post(CHAT, &ask(CHAT, false)).await;
    assert_eq!(got.status, 502);
    assert!(got.json()["error"]["message"].as_str().unwrap().contains("can't be reached"), "{}", got.text);
    assert_eq!(bench.end().await.1.cost, MicroDollars(0));

    let change = |spec: &mut SessionSpec| spec.models[0].entry.request_seconds = 1;
    let bench = Bench::with(CHAT, Caps::default(), change, silent).await;
    assert_eq!(bench.post(CHAT, &ask(CHAT, true)).await.status, 504);
    let (exchanges, report) = bench.end().await;
    assert_eq!(exchanges[0].failure.as_ref().unwrap().code, FailureCode::ModelTimeout);
    assert!(report.cost > MicroDollars(100));
}

/// Waits for something that another task is about to do.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_request_and_pays_the_worst_case() {
    let stream = scripted_stream(CHAT, &hello());
    let half = ScriptedPart::Bytes(stream[..stream.len() / 2].to_vec());
    let silence = ScriptedPart::Pause(Duration::from_mins(1));
    let within = ScriptedReply::stream([half, silence]);
    let before = ScriptedReply::Stall(Duration::from_mins(1));
    for (reply, has_begun) in [(within, true), (before, false)] {
        let change = |spec: &mut SessionSpec| spec.models[0].entry.request_seconds = 60;
        let bench = Bench::with(CHAT, Caps::default(), change, move |_, _| reply.clone()).await;
        let request = bench.request(CHAT, ask(CHAT, true).to_string()).send();
        if has_begun {
            let mut response = request.await.unwrap();
            response.chunk().await.unwrap();
            drop(response);
        } else {
            let request = tokio::spawn(request);
            until(|| bench.upstream.requests().len() == 1).await;
            request.abort();
        }
        until(|| bench.upstream.hang_ups() == 1).await;
        until(|| bench.exchanges().len() == 1).await;
        let exchange = bench.exchanges().remove(0);
        assert_eq!(exchange.end, ExchangeEnd::Cancelled);
        assert!(exchange.cost.unwrap() > MicroDollars(100), "{:?}", exchange.cost);
        let purse = Purse::Rollout("rollout-1".parse().unwrap());
        let balance = bench.budget.balance(&purse);
        assert_eq!((Some(balance.spent), balance.reserved), (exchange.cost, MicroDollars(0)));
        assert_eq!(bench.end().await.1.steps, 0);
    }
}

#[tokio::test]
async fn closing_a_session_cuts_off_what_is_under_way_and_records_it() {
    let reply =
        ScriptedReply::stream([ScriptedPart::text(": on\n\n"), ScriptedPart::Pause(Duration::from_mins(1))]);
    let change = |spec: &mut SessionSpec| spec.models[0].entry.request_seconds = 60;
    let bench = Bench::with(CHAT, Caps::default(), change, move |_, _| reply.clone()).await;
    let mut response = bench.request(CHAT, ask(CHAT, true).to_string()).send().await.unwrap();
    response.chunk().await.unwrap();
    let reading = tokio::spawn(async move { response.chunk().await.is_err() });
    let (exchanges, _) = bench.end().await;
    assert_eq!(exchanges[0].end, ExchangeEnd::Cancelled);
    assert!(reading.await.unwrap());
}

#[tokio::test]
async fn no_key_is_in_any_record() {
    for stream in [false, true] {
        let bench = Bench::start(CHAT, move |request, _| {
            let said = format!("{} {UPSTREAM_KEY}", request["messages"][1]["content"]);
            ScriptedReply::Message(json!({ "role": "assistant", "content": said }))
        })
        .await;
        let mut body = ask(CHAT, stream);
        let key = bench.session.key().to_owned();
        body["messages"][1]["content"] = json!(format!("my key is {key}"));
        bench.post(CHAT, &body).await;
        assert!(
            bench.upstream.received()[0]
                .headers
                .contains(&("authorization".to_owned(), format!("Bearer {UPSTREAM_KEY}")))
        );
        let (exchanges, _) = bench.end().await;
        let record = serde_json::to_string(&exchanges[0]).unwrap();
        assert!(
            !record.contains(&key) && !record.contains("upstream-secret") && record.contains("******"),
            "{record}"
        );
    }
}

#[tokio::test]
async fn a_key_that_a_stream_spells_in_pieces_is_in_no_record() {
    let pieces: Vec<Value> = ["it is ", &UPSTREAM_KEY[..4], &UPSTREAM_KEY[4..], "."]
        .iter()
        .map(|piece| json!({ "id": "r", "choices": [{ "index": 0, "delta": { "content": piece } }] }))
        .chain([json!({ "id": "r", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] })])
        .collect();
    let events: Vec<String> = pieces.iter().map(|piece| format!("data: {piece}\n\n")).collect();
    let stream = format!("{}data: [DONE]\n\n", events.concat()).into_bytes();
    let bench =
        Bench::start(CHAT, move |_, _| ScriptedReply::stream([ScriptedPart::Bytes(stream.clone())])).await;
    let got = bench.post(CHAT, &ask(CHAT, true)).await;
    assert!(got.text.contains(&UPSTREAM_KEY[4..]), "the client gets what the endpoint says: {}", got.text);
    let (exchanges, _) = bench.end().await;
    let record = serde_json::to_string(&exchanges[0]).unwrap();
    assert!(!record.contains(&UPSTREAM_KEY[4..]), "{record}");
    assert_eq!(exchanges[0].view.reply["content"], "it is ******.");
    assert!(exchanges[0].response.as_text().unwrap().contains("withheld"));
}

#[tokio::test]
async fn a_repeat_is_marked_and_log_probabilities_are_kept() {
    let choice = json!({
        "index": 0, "message": hello(), "finish_reason": "stop", "token_ids": [5],
        "logprobs": { "content": [{ "token": "hi", "logprob": -0.5 }] },
    });
    let response = json!({ "id": "r", "model": "m", "choices": [choice], "usage": { "prompt_tokens": 3, "completion_tokens": 1 } });
    let bench = Bench::start(CHAT, move |_, _| ScriptedReply::Response(response.clone())).await;
    let request = bench.request(CHAT, ask(CHAT, true).to_string());
    let request = request.header("x-stainless-retry-count", "2").header("user-agent", "OpenAI/Python");
    got(request.send().await.unwrap()).await;
    let (exchanges, _) = bench.end().await;
    let exchange = &exchanges[0];
    assert_eq!((exchange.repeated, exchange.user_agent.as_deref()), (2, Some("OpenAI/Python")));
    assert_eq!(exchange.view.logprobs["content"][0]["logprob"], -0.5);
    assert_eq!((&exchange.view.token_ids, exchange.view.response_id.as_deref()), (&json!([5]), Some("r")));
    assert!(exchange.first_byte_seconds.unwrap() <= exchange.seconds);
}

#[tokio::test]
async fn records_in_a_file_are_read_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.jsonl");
    let capture = CaptureFile::open(&path).unwrap().capture();
    let change = |spec: &mut SessionSpec| spec.capture = capture;
    let script = |_: &Value, _: usize| ScriptedReply::Message(hello());
    let bench = Bench::with(CHAT, Caps::default(), change, script).await;
    for _ in 0..3 {
        bench.post(CHAT, &ask(CHAT, true)).await;
    }
    bench.end().await;
    let text = std::fs::read_to_string(path).unwrap();
    let exchanges: Vec<Exchange> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exchanges.iter().map(|exchange| exchange.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(exchanges.iter().all(|exchange| exchange.end == ExchangeEnd::Whole));
}

#[tokio::test]
async fn a_recorded_session_is_replayed_without_its_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tape.jsonl");
    let script = |_: &Value, count: usize| {
        ScriptedReply::Message(json!({ "role": "assistant", "content": format!("reply {count}") }))
    };
    let mut heard = Vec::new();
    for is_replay in [false, true] {
        let cassette = if is_replay { Cassette::replay(&path) } else { Cassette::record(&path) };
        let mut bench = Bench::start(Dialect::AnthropicMessages, script).await;
        let money = budget(Caps::default());
        let spec = GatewaySpec { cassette: Some(cassette.unwrap()), ..gateway_spec(&money) };
        let gateway = Gateway::start(spec).await.unwrap();
        let session = session_spec(&bench.upstream, Dialect::AnthropicMessages, bench.exchanges.clone());
        bench.session = gateway.open(session).unwrap();
        let mut texts = Vec::new();
        for client in [CHAT, Dialect::AnthropicMessages, CHAT] {
            texts.push(bench.post(client, &ask(client, true)).await.text);
        }
        assert_eq!(bench.upstream.requests().len(), if is_replay { 0 } else { 3 });
        if is_replay {
            let mut other = ask(CHAT, true);
            other["messages"][1]["content"] = json!("good-bye");
            let missing = bench.post(CHAT, &other).await;
            assert_eq!(missing.status, 502);
            assert!(missing.text.contains("differs first at messages[0].content"), "{}", missing.text);
        }
        heard.push(texts);
    }
    assert_eq!(heard[0], heard[1]);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_endpoint_back() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 48;
    let mut piece = vec![b'x'; PIECE];
    piece[0] = b':';
    piece[PIECE - 1] = b'\n';
    let parts: Vec<ScriptedPart> = (0..PIECES).map(|_| ScriptedPart::Bytes(piece.clone())).collect();
    let bench = Bench::start(CHAT, move |_, _| ScriptedReply::stream(parts.clone())).await;
    let mut body = ask(CHAT, true);
    body["stream_options"] = json!({ "include_usage": true });
    let mut response = bench.request(CHAT, body.to_string()).send().await.unwrap();
    response.chunk().await.unwrap();
    // Long enough for an endpoint that nobody holds back to send everything.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(response);
    until(|| bench.exchanges().len() == 1).await;
    let taken = bench.exchanges()[0].response.0.len();
    assert!(taken < PIECE * PIECES / 2, "{taken} bytes were taken for a client that read none of them");
}
