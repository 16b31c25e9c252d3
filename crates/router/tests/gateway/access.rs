//! Who may ask for what.

use std::sync::Arc;

use serde_json::json;
use trajforge_router::gateway::OtherModels;
use trajforge_router::{Error, ScriptedReply};
use trajforge_schema::{Caps, Dialect};

use super::{Bench, DIALECTS, ask, got, hello, session_spec};

async fn bench() -> Bench {
    Bench::start(Dialect::OpenaiChat, |_, _| ScriptedReply::Message(hello())).await
}

#[tokio::test]
async fn url_and_key_open_a_session_each_by_itself() {
    let bench = bench().await;
    let body = ask(Dialect::OpenaiChat, false).to_string();
    let root = format!("http://{}/v1/chat/completions", bench.gateway.address());
    let by_key = bench.client.post(&root).bearer_auth(bench.session.key()).body(body.clone());
    let by_url =
        bench.client.post(format!("{}/chat/completions", bench.session.base_url())).body(body.clone());
    let bare =
        bench.client.post(format!("{}/chat/completions", bench.session.anthropic_base_url())).body(body);
    for request in [by_key, by_url, bare] {
        assert_eq!(got(request.send().await.unwrap()).await.status, 200);
    }
    assert_eq!(bench.session.report().steps, 3);
}

#[tokio::test]
async fn wrong_keys_are_refused_in_the_words_of_the_callers_dialect() {
    let bench = bench().await;
    for dialect in DIALECTS {
        let path = format!("/v1{}", dialect.path());
        let body = ask(dialect, false).to_string();
        let elsewhere = format!("http://{}{path}", bench.gateway.address());
        let unknown_url = format!("http://{}/s/unknown{path}", bench.gateway.address());
        let own_url = format!("{}{}", bench.session.base_url(), dialect.path());
        for (url, key) in
            [(&elsewhere, "sk-wrong"), (&unknown_url, bench.session.key()), (&own_url, "sk-wrong")]
        {
            let request = bench.client.post(url).header("x-api-key", key).body(body.clone());
            let got = got(request.send().await.unwrap()).await;
            assert_eq!(
                (got.status, got.json()["error"]["type"].as_str()),
                (401, Some("authentication_error"))
            );
            assert_eq!(got.json()["type"] == "error", dialect == Dialect::AnthropicMessages);
            assert!(!got.text.contains(bench.session.key()));
        }
    }
    assert!(bench.upstream.requests().is_empty());
}

#[tokio::test]
async fn unknown_models_paths_and_bodies_are_refused_clearly() {
    let bench = bench().await;
    for dialect in DIALECTS {
        let mut body = ask(dialect, false);
        body["model"] = json!("gpt-0");
        let got = bench.post(dialect, &body).await;
        let message = got.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            got.status == 404 && message.contains("gpt-0") && message.contains("there is m"),
            "{message}"
        );
        let broken = bench.post_bytes(dialect, "{\"model\": ".to_owned()).await;
        assert_eq!(
            (broken.status, broken.json()["error"]["type"].as_str()),
            (400, Some("invalid_request_error"))
        );
        assert_eq!(bench.post(dialect, &json!({ "messages": [] })).await.status, 400);
    }
    let url = format!("{}/files", bench.session.base_url());
    assert_eq!(got(bench.client.post(url).send().await.unwrap()).await.status, 404);
    assert!(bench.upstream.requests().is_empty());
    let (exchanges, report) = bench.end().await;
    assert_eq!((exchanges.len(), report.steps), (9, 0));
}

#[tokio::test]
async fn other_models_can_go_to_the_first_route() {
    let change = |spec: &mut trajforge_router::SessionSpec| spec.other_models = OtherModels::First;
    let script = |_: &serde_json::Value, _: usize| ScriptedReply::Message(hello());
    let bench = Bench::with(Dialect::OpenaiChat, Caps::default(), change, script).await;
    let mut body = ask(Dialect::OpenaiChat, false);
    body["model"] = json!("small-fast-model");
    assert_eq!(bench.post(Dialect::OpenaiChat, &body).await.status, 200);
    assert_eq!(bench.upstream.requests()[0]["model"], "m");
}

#[tokio::test]
async fn models_are_listed_tokens_are_counted_and_somebody_is_there() {
    let bench = bench().await;
    let root = bench.session.anthropic_base_url();
    let models = bench.client.get(format!("{root}/v1/models")).bearer_auth(bench.session.key());
    let models = got(models.send().await.unwrap()).await.json();
    assert_eq!((&models["data"][0]["id"], &models["data"][0]["type"]), (&json!("m"), &json!("model")));
    assert_eq!(got(bench.client.head(root).send().await.unwrap()).await.status, 200);
    let count = bench
        .client
        .post(format!("{root}/v1/messages/count_tokens"))
        .header("x-api-key", bench.session.key());
    let count = count.body(ask(Dialect::AnthropicMessages, false).to_string());
    assert!(got(count.send().await.unwrap()).await.json()["input_tokens"].as_u64().unwrap() > 10);

    let upstream = |_: &serde_json::Value, _: usize| ScriptedReply::Message(hello());
    let bench = Bench::start(Dialect::AnthropicMessages, upstream).await;
    let url = format!("{}/v1/messages/count_tokens", bench.session.anthropic_base_url());
    let count = bench.client.post(url).header("x-api-key", bench.session.key());
    let count = count.body(ask(Dialect::AnthropicMessages, false).to_string());
    assert_eq!(got(count.send().await.unwrap()).await.json(), json!({ "input_tokens": 42 }));
}

#[tokio::test]
async fn a_closed_session_opens_nothing_and_a_model_without_a_price_no_session() {
    let bench = bench().await;
    let mut spec = session_spec(&bench.upstream, Dialect::OpenaiChat, Arc::default());
    spec.models[0].entry.price = None;
    assert!(matches!(bench.gateway.open(spec), Err(Error::Unpriced { model }) if model == "m"));
    let second =
        bench.gateway.open(session_spec(&bench.upstream, Dialect::OpenaiChat, Arc::default())).unwrap();
    assert_ne!(second.key(), bench.session.key());
    let url = format!("{}/chat/completions", second.base_url());
    let key = second.key().to_owned();
    bench.gateway.close(second).await;
    let request = bench.client.post(url).bearer_auth(key).body(ask(Dialect::OpenaiChat, false).to_string());
    assert_eq!(got(request.send().await.unwrap()).await.status, 401);
}
