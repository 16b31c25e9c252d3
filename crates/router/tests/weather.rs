//! Good and bad weather over real HTTP: each failure is named rightly, and retried only where that can help.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::time::Duration;

use serde_json::json;
use trajforge_router::{ChatRequest, Error, Model, OpenaiChat, Reply, Scripted, ScriptedReply, Secret};
use trajforge_schema::{FailureCode, MicroDollars, ModelEntry};

fn request() -> ChatRequest {
    ChatRequest { messages: vec![json!({"role": "user", "content": "hello"})], tools: Vec::new() }
}

async fn ask(entry: ModelEntry) -> Result<Reply, Error> {
    let key = Some(Secret::new("sk-very-secret-key"));
    OpenaiChat::new(entry, key).unwrap().with_first_wait(Duration::from_millis(5)).complete(&request()).await
}

fn hello() -> ScriptedReply {
    ScriptedReply::Message(json!({"role": "assistant", "content": "hi", "x_unknown": {"kept": true}}))
}

async fn failure(reply: ScriptedReply) -> (FailureCode, u32, String) {
    let server = Scripted::start(move |_, _| reply.clone()).await.unwrap();
    let mut entry = server.entry("m");
    entry.request_seconds = 1;
    match ask(entry).await {
        Err(Error::Request { code, requests, message }) => (code, requests, message),
        other => panic!("{other:?}"),
    }
}

fn status(code: u16, body: &str) -> ScriptedReply {
    ScriptedReply::Status { code, body: body.to_owned(), retry_after: None }
}

#[tokio::test]
async fn a_reply_keeps_unknown_fields_and_is_priced() {
    let server = Scripted::start(|_, _| hello()).await.unwrap();
    let reply = ask(server.entry("m")).await.unwrap();
    assert_eq!(reply.message["x_unknown"]["kept"], true);
    assert_eq!(reply.requests, 1);
    let usage = reply.usage;
    assert!(usage.input.0 > 0 && usage.output.0 > 0);
    assert_eq!(reply.cost, Some(MicroDollars(usage.input.0 + 2 * usage.output.0)));
}

#[tokio::test]
async fn an_overloaded_endpoint_is_asked_again() {
    let server =
        Scripted::start(|_, count| if count < 2 { status(503, "busy") } else { hello() }).await.unwrap();
    let reply = ask(server.entry("m")).await.unwrap();
    assert_eq!(reply.requests, 3);
}

#[tokio::test]
async fn each_failure_has_its_code_and_is_retried_only_where_that_can_help() {
    let cases = [
        (status(400, "bad request"), FailureCode::ModelRefused, 1),
        (status(401, "no key"), FailureCode::ModelRefused, 1),
        (status(402, "pay"), FailureCode::ModelRefused, 1),
        (status(404, "no model"), FailureCode::ModelRefused, 1),
        (status(400, "maximum context length is 8192"), FailureCode::ContextOverflow, 1),
        (status(429, "slow down"), FailureCode::ModelOverloaded, 5),
        (status(500, "oops"), FailureCode::ModelOverloaded, 5),
        (ScriptedReply::Raw("<html>hello</html>".to_owned()), FailureCode::ModelMalformed, 5),
        (ScriptedReply::Raw(r#"{"choices": []}"#.to_owned()), FailureCode::ModelMalformed, 5),
        (ScriptedReply::Stall(Duration::from_secs(3)), FailureCode::ModelTimeout, 5),
    ];
    for (reply, code, requests) in cases {
        let case = format!("{reply:?}");
        let found = failure(reply).await;
        assert_eq!((found.0, found.1), (code, requests), "{case}: {}", found.2);
    }
}

#[tokio::test]
async fn a_refused_connection_is_the_models_failure() {
    let server = Scripted::start(|_, _| hello()).await.unwrap();
    let entry = ModelEntry { base_url: "http://127.0.0.1:9/v1".to_owned(), ..server.entry("m") };
    let error = ask(entry).await.unwrap_err();
    assert!(
        matches!(error, Error::Request { code: FailureCode::ModelUnreachable, requests: 5, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Scripted::start(|_, count| {
        if count == 0 {
            ScriptedReply::Status { code: 429, body: String::new(), retry_after: Some(1) }
        } else {
            hello()
        }
    })
    .await
    .unwrap();
    let reply = ask(server.entry("m")).await.unwrap();
    assert!(reply.seconds >= 1.0, "asked again after {} s", reply.seconds);
}

#[tokio::test]
async fn a_key_that_an_endpoint_echoes_never_reaches_the_message() {
    let (_, _, message) = failure(status(401, "bad key sk-very-secret-key")).await;
    assert!(!message.contains("very-secret"), "{message}");
    assert!(!format!("{:?}", Secret::new("sk-very-secret-key")).contains("very"));
}
