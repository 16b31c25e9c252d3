//! Cassettes under a model: recorded once, replayed without a network.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use trajforge_router::{Cassette, ChatRequest, Endpoint, Reply, Scripted, ScriptedReply, Secret};
use trajforge_schema::{Dialect, ModelEntry};

fn request(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![json!({ "role": "user", "content": text })], tools: Vec::new() }
}

fn endpoint(entry: ModelEntry) -> Endpoint {
    Endpoint::new(entry, Some(Secret::new("sk-very-secret-key"))).unwrap()
}

/// A server that first is busy, then counts, and repeats the key that it was sent.
async fn server() -> Scripted {
    Scripted::start(|_, count| match count {
        0 => ScriptedReply::status(503, "busy, sk-very-secret-key"),
        count => ScriptedReply::Message(
            json!({ "role": "assistant", "content": format!("{count} sk-very-secret-key") }),
        ),
    })
    .await
    .unwrap()
}

/// Three questions, each asked until there is a reply; each reply with the requests that it took.
async fn conversation(endpoint: &Endpoint) -> Vec<Reply> {
    let mut replies = Vec::new();
    for text in ["one", "two", "one"] {
        let mut requests = 1;
        let reply = loop {
            match endpoint.ask(&request(text)).await {
                Ok(reply) => break reply,
                Err(lost) => assert!(lost.retry && requests < 3, "{lost:?}"),
            }
            requests += 1;
        };
        replies.push(Reply { seconds: 0.0, requests, ..reply });
    }
    replies
}

async fn record(path: &Path, dialect: Dialect) -> (ModelEntry, Vec<Reply>) {
    let server = server().await;
    let entry = ModelEntry { dialect, ..server.entry("m") };
    let recording = endpoint(entry.clone()).with_cassette(Cassette::record(path).unwrap()).unwrap();
    (entry, conversation(&recording).await)
}

#[tokio::test]
async fn a_replayed_conversation_is_the_recorded_one_and_no_key_is_on_file() {
    let folder = tempfile::tempdir().unwrap();
    for dialect in [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages] {
        let path = folder.path().join(dialect.as_str());
        let (entry, recorded) = record(&path, dialect).await;
        assert!(!std::fs::read_to_string(&path).unwrap().contains("very-secret"));
        let replaying = endpoint(entry).with_cassette(Cassette::replay(&path).unwrap()).unwrap();
        let replayed = conversation(&replaying).await;
        assert_eq!((replayed[0].requests, recorded[0].requests), (2, 2));
        let said = |replies: &[Reply]| {
            let text = serde_json::to_string(&replies.iter().map(|reply| &reply.message).collect::<Vec<_>>())
                .unwrap();
            text.replace("sk-very-secret-key", "******")
        };
        assert_eq!(said(&replayed), said(&recorded));
        let usage =
            |replies: &[Reply]| replies.iter().map(|reply| (reply.usage, reply.cost)).collect::<Vec<_>>();
        assert_eq!(usage(&replayed), usage(&recorded));
    }
}

#[tokio::test]
async fn a_request_that_was_not_recorded_is_told_from_the_nearest_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tape");
    let (entry, _) = record(&path, Dialect::OpenaiChat).await;
    let replaying = endpoint(entry).with_cassette(Cassette::replay(&path).unwrap()).unwrap();
    let missing = replaying.ask(&request("ten")).await.unwrap_err();
    assert!(
        !missing.retry && missing.message.contains("differs first at messages[0].content"),
        "{missing:?}"
    );
    conversation(&replaying).await;
    let spent = replaying.ask(&request("one")).await.unwrap_err();
    assert!(spent.message.contains("no more answers"), "{}", spent.message);
}

#[tokio::test]
async fn a_cassette_is_added_to_and_a_torn_line_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tape");
    record(&path, Dialect::OpenaiChat).await;
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"key\": \"torn").unwrap();
    assert!(Cassette::replay(&path).is_ok());
    let (_, second) = record(&path, Dialect::OpenaiChat).await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&whole) && text.len() == 2 * whole.len() && second.len() == 3, "{text}");
    std::fs::write(&path, "no JSON\n").unwrap();
    assert!(Cassette::replay(&path).unwrap_err().to_string().contains("line 1"));
    assert!(Cassette::replay(&folder.path().join("absent")).is_err());
}
