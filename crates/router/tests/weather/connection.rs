//! Connections that break, stall, or carry more than expected.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use trajforge_router::{Charge, ScriptedPart, ScriptedReply, scripted_stream};
use trajforge_schema::{Dialect, FailureCode, ModelEntry};

use super::{DIALECTS, chat, endpoint, hello, lost, once, request, server, verdict};

const SILENCE: ScriptedPart = ScriptedPart::Pause(Duration::from_secs(30));
const UNREACHABLE: FailureCode = FailureCode::ModelUnreachable;
const TIMEOUT: FailureCode = FailureCode::ModelTimeout;

fn bytes(bytes: &[u8]) -> ScriptedPart {
    ScriptedPart::Bytes(bytes.to_vec())
}

/// The stream of a greeting, up to a mark and without it.
fn until(dialect: Dialect, mark: &str) -> Vec<u8> {
    let stream = String::from_utf8(scripted_stream(dialect, &hello())).unwrap();
    let at = stream.find(mark).unwrap_or_else(|| panic!("no {mark} in {stream}"));
    stream.as_bytes()[..at].to_vec()
}

/// What the last event of each dialect's stream says of itself.
fn last_mark(dialect: Dialect) -> &'static str {
    match dialect {
        // The finish reason says that the reply is whole, too.
        Dialect::OpenaiChat => {
            "data: {\"id\":\"scripted-0\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"scripted\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\""
        }
        Dialect::OpenaiResponses => "event: response.completed",
        Dialect::AnthropicMessages => "event: message_delta",
    }
}

#[tokio::test]
async fn a_refused_connection_bills_nothing_and_is_tried_again() {
    let (_server, entry) = server(Dialect::OpenaiChat, ScriptedReply::Message(hello())).await;
    let entry = ModelEntry { base_url: "http://127.0.0.1:9/v1".to_owned(), ..entry };
    let lost = endpoint(entry).ask(&request()).await.unwrap_err();
    assert_eq!(verdict(&lost), (UNREACHABLE, true, false), "{}", lost.message);
}

#[tokio::test]
async fn a_connection_that_is_reset_may_have_been_billed() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":";
    let replies = [
        ScriptedReply::Parts(vec![ScriptedPart::Reset]),
        ScriptedReply::Parts(vec![]),
        ScriptedReply::Parts(vec![ScriptedPart::text(head)]),
        ScriptedReply::Parts(vec![ScriptedPart::text(head), ScriptedPart::Reset]),
        ScriptedReply::stream([bytes(&until(Dialect::OpenaiChat, "hi")), ScriptedPart::Reset]),
    ];
    for reply in replies {
        let case = format!("{reply:?}");
        let lost = lost(reply).await;
        assert_eq!(verdict(&lost), (UNREACHABLE, true, true), "{case}: {}", lost.message);
    }
}

#[tokio::test]
async fn a_half_open_connection_and_each_stall_are_timeouts() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n";
    let cases = [
        ("sent nothing", ScriptedReply::Stall(Duration::from_secs(30))),
        ("no byte", ScriptedReply::Parts(vec![ScriptedPart::text(head), SILENCE])),
        ("no byte", ScriptedReply::stream([SILENCE])),
        ("silent", ScriptedReply::Parts(vec![ScriptedPart::text(format!("{head}{{")), SILENCE])),
        ("silent", ScriptedReply::stream([bytes(&until(Dialect::OpenaiChat, "hi")), SILENCE])),
    ];
    for (words, reply) in cases {
        let lost = lost(reply).await;
        assert_eq!(verdict(&lost), (TIMEOUT, true, true), "{}", lost.message);
        assert!(lost.message.contains(words), "{}", lost.message);
    }
}

#[tokio::test]
async fn a_reply_that_never_ends_meets_the_time_for_all_its_tokens() {
    let piece = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"on and \"}}]}\n\n";
    let parts =
        (0..200).flat_map(|_| [ScriptedPart::text(piece), ScriptedPart::Pause(Duration::from_millis(200))]);
    let (_server, entry) = server(Dialect::OpenaiChat, ScriptedReply::stream(parts)).await;
    let entry = ModelEntry { output_tokens: 10, ..entry };
    let lost = endpoint(entry).ask(&request()).await.unwrap_err();
    assert_eq!(verdict(&lost), (TIMEOUT, true, true));
    assert!(lost.message.contains("the time for all its tokens"), "{}", lost.message);
}

#[tokio::test]
async fn a_reply_that_takes_longer_than_any_of_its_parts_may_is_whole() {
    for dialect in DIALECTS {
        let stream = scripted_stream(dialect, &hello());
        let pieces = stream.chunks(stream.len() / 3 + 1);
        let parts = pieces.flat_map(|piece| [bytes(piece), ScriptedPart::Pause(Duration::from_millis(600))]);
        let reply = once(dialect, ScriptedReply::stream(parts)).await.unwrap();
        assert_eq!(reply.message["content"], "hi");
    }
}

#[tokio::test]
async fn a_stall_after_the_last_event_costs_no_reply() {
    for dialect in DIALECTS {
        let stream = scripted_stream(dialect, &hello());
        let reply = once(dialect, ScriptedReply::stream([bytes(&stream), SILENCE])).await.unwrap();
        assert_eq!(reply.message["content"], "hi");
        let reply =
            once(dialect, ScriptedReply::stream([bytes(&stream), ScriptedPart::Reset])).await.unwrap();
        assert!(!reply.usage.estimated);
    }
    // A finish reason says that the reply is whole, even where `[DONE]` never comes.
    let stream = until(Dialect::OpenaiChat, "data: [DONE]");
    assert_eq!(chat(ScriptedReply::stream([bytes(&stream), SILENCE])).await.message["content"], "hi");
}

#[tokio::test]
async fn a_stream_that_is_cut_anywhere_is_no_reply() {
    for dialect in DIALECTS {
        let whole = until(dialect, last_mark(dialect));
        for end in (0..whole.len()).step_by(whole.len() / 7) {
            let reply = ScriptedReply::stream([bytes(&whole[..end])]);
            let lost = once(dialect, reply).await.unwrap_err();
            let code = if end == 0 { FailureCode::ModelMalformed } else { UNREACHABLE };
            assert_eq!(verdict(&lost), (code, true, true), "{dialect:?} cut at {end}: {}", lost.message);
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_within_a_character_is_no_reply() {
    let stream = scripted_stream(Dialect::OpenaiChat, &json!({ "role": "assistant", "content": "né" }));
    let at = stream.windows(2).position(|pair| pair == "é".as_bytes()).unwrap();
    let reply = ScriptedReply::stream([bytes(&stream[..=at])]);
    assert_eq!(verdict(&lost(reply).await), (UNREACHABLE, true, true));
    let pieces =
        [bytes(&stream[..=at]), ScriptedPart::Pause(Duration::from_millis(20)), bytes(&stream[at + 1..])];
    assert_eq!(chat(ScriptedReply::stream(pieces)).await.message["content"], "né");
}

#[tokio::test]
async fn keep_alive_comments_keep_a_slow_reply_alive_and_are_no_part_of_it() {
    for dialect in DIALECTS {
        let comment =
            [ScriptedPart::text(": keep-alive\n\n"), ScriptedPart::Pause(Duration::from_millis(500))];
        let mut parts: Vec<ScriptedPart> = comment.iter().cycle().take(6).cloned().collect();
        parts.push(bytes(&scripted_stream(dialect, &hello())));
        let reply = once(dialect, ScriptedReply::stream(parts)).await.unwrap();
        assert_eq!(reply.message["content"], "hi");
    }
}

#[tokio::test]
async fn replies_of_ten_megabytes_are_read_and_endless_ones_are_not() {
    let text = "x".repeat(10 << 20);
    let message = json!({ "role": "assistant", "content": text });
    let whole =
        json!({ "id": "1", "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] });
    let chunk = json!({ "id": "1", "choices": [{ "index": 0, "delta": message, "finish_reason": "stop" }] });
    let stream = [ScriptedPart::text(format!("data: {chunk}\n\ndata: [DONE]\n\n"))];
    for reply in [ScriptedReply::Raw(whole.to_string()), ScriptedReply::stream(stream)] {
        assert_eq!(chat(reply).await.message, message);
    }
    let lost = lost(ScriptedReply::Raw(" ".repeat(33 << 20))).await;
    assert_eq!(verdict(&lost), (FailureCode::ModelMalformed, true, true));
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn compressed(kind: &str, body: &[u8]) -> ScriptedReply {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    ScriptedReply::Parts(vec![ScriptedPart::text(head), bytes(body)])
}

#[tokio::test]
async fn compressed_replies_are_read_whole_or_streamed() {
    let whole =
        json!({ "id": "1", "choices": [{ "index": 0, "message": hello(), "finish_reason": "stop" }] });
    let body = gzip(whole.to_string().as_bytes());
    assert_eq!(chat(compressed("application/json", &body)).await.message["content"], "hi");
    let stream = gzip(&scripted_stream(Dialect::OpenaiChat, &hello()));
    assert_eq!(chat(compressed("text/event-stream", &stream)).await.message["content"], "hi");
    let broken = lost(compressed("application/json", b"this is no gzip at all")).await;
    assert_eq!((broken.code, broken.charge), (FailureCode::ModelMalformed, Charge::Unknown));
    let cut = lost(compressed("application/json", &body[..body.len() - 9])).await;
    assert_eq!(cut.code, FailureCode::ModelMalformed);
}
