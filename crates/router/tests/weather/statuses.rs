//! Statuses that are no success.

use std::time::Duration;

use trajforge_router::{Charge, Scripted, ScriptedPart, ScriptedReply};
use trajforge_schema::{Boundary, Dialect, FailureCode, MicroDollars, ModelEntry};

use super::{DIALECTS, KEY, chat, endpoint, hello, lost, once, request, verdict};

#[tokio::test]
async fn each_status_has_its_code_and_is_asked_again_only_where_that_can_help() {
    use FailureCode::{
        ContentRefused, ContextOverflow, ModelOverloaded, ModelRefused, ModelTimeout, ModelUnpaid,
    };
    let cases = [
        (400, "bad request", ModelRefused, false, false),
        (401, "no key", ModelRefused, false, false),
        (402, "pay", ModelUnpaid, false, false),
        (403, "forbidden", ModelRefused, false, false),
        (403, "flagged by moderation", ContentRefused, false, false),
        (404, "no model", ModelRefused, false, false),
        (408, "too slow", ModelTimeout, true, true),
        (413, "too large", ModelRefused, false, false),
        (413, "prompt is too long: 9 tokens > 8 maximum", ContextOverflow, false, false),
        (400, "maximum context length is 8192", ContextOverflow, false, false),
        (400, r#"{"error": {"code": "context_length_exceeded"}}"#, ContextOverflow, false, false),
        (400, r#"{"error": {"code": "content_policy_violation"}}"#, ContentRefused, false, false),
        (400, "Your credit balance is too low", ModelUnpaid, false, false),
        (429, "slow down", ModelOverloaded, true, false),
        (429, r#"{"error": {"code": "insufficient_quota"}}"#, ModelUnpaid, false, false),
        (500, "oops", ModelOverloaded, true, false),
        (502, "bad gateway", ModelOverloaded, true, false),
        (503, "busy", ModelOverloaded, true, false),
        (504, "gateway timeout", ModelTimeout, true, true),
        (529, r#"{"type": "error", "error": {"type": "overloaded_error"}}"#, ModelOverloaded, true, false),
    ];
    for dialect in DIALECTS {
        for (status, body, code, retry, billed) in cases {
            let lost = once(dialect, ScriptedReply::status(status, body)).await.unwrap_err();
            assert_eq!(verdict(&lost), (code, retry, billed), "{status} {body}: {}", lost.message);
            assert_eq!(lost.code.boundary(), Boundary::Model);
        }
    }
}

#[tokio::test]
async fn the_time_that_a_provider_asks_for_is_handed_on() {
    let reply = ScriptedReply::Status { code: 429, body: String::new(), retry_after: Some(7) };
    assert_eq!(lost(reply).await.wait, Some(Duration::from_secs(7)));
    assert_eq!(lost(ScriptedReply::status(429, "")).await.wait, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_does_not_travel() {
    let elsewhere = Scripted::start(|_, _| ScriptedReply::Message(hello())).await.unwrap();
    for status in [301, 302, 307, 308] {
        let head = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {}/chat/completions\r\ncontent-length: 0\r\n\r\n",
            elsewhere.base_url()
        );
        let lost = lost(ScriptedReply::Parts(vec![ScriptedPart::text(head)])).await;
        assert_eq!(verdict(&lost), (FailureCode::ModelRefused, false, false));
        assert!(
            lost.message.contains("redirects are not followed")
                && lost.message.contains(&elsewhere.base_url())
        );
    }
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn a_key_that_an_endpoint_echoes_never_reaches_the_message() {
    let echoed = format!("bad key {KEY}");
    let stream = ScriptedPart::text(format!("data: {{\"error\": {{\"message\": \"bad {KEY}\"}}}}\n\n"));
    for reply in
        [ScriptedReply::status(401, &echoed), ScriptedReply::stream([stream]), ScriptedReply::Raw(echoed)]
    {
        let lost = lost(reply).await;
        assert!(!lost.message.contains("very-secret") && lost.message.contains("******"), "{}", lost.message);
    }
}

#[tokio::test]
async fn each_dialect_sends_the_key_as_its_provider_wants_it() {
    for (dialect, name, value) in [
        (Dialect::OpenaiChat, "authorization", format!("Bearer {KEY}")),
        (Dialect::OpenaiResponses, "authorization", format!("Bearer {KEY}")),
        (Dialect::AnthropicMessages, "x-api-key", KEY.to_owned()),
    ] {
        let server = Scripted::start(|_, _| ScriptedReply::Message(hello())).await.unwrap();
        endpoint(ModelEntry { dialect, ..server.entry("m") }).ask(&request()).await.unwrap();
        let received = server.received().remove(0);
        assert!(received.headers.contains(&(name.to_owned(), value)), "{:?}", received.headers);
    }
}

#[tokio::test]
async fn a_reply_is_priced_and_nothing_is_billed_for_a_refusal() {
    let reply = chat(ScriptedReply::Message(hello())).await;
    let usage = reply.usage;
    assert!(usage.input.0 > 0 && usage.output.0 > 0 && !usage.estimated);
    assert_eq!(reply.cost, Some(MicroDollars(usage.input.0 + 2 * usage.output.0)));
    assert_eq!(lost(ScriptedReply::status(500, "")).await.charge, Charge::Nothing);
}
