//! Retries and bills over real HTTP: asked again only where that helps, and charged for whatever may have been billed.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trajforge_router::budget::{Bound, Listener, Purse};
use trajforge_router::{
    Account, Budget, ChatRequest, Endpoint, Error, Metered, Model as _, Reply, Scripted, ScriptedPart,
    ScriptedReply, Terms,
};
use trajforge_schema::{Caps, Clock, FailureCode, MicroDollars, ModelEntry, Timestamp, Unpriced};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp(1_767_312_000_000)
    }
}

fn terms(caps: Caps) -> Terms {
    let quiet: Listener = Arc::new(|_| {});
    let budget = Budget::new(caps, Arc::new(Noon), quiet);
    Terms { first_wait: Duration::from_millis(5), ..Terms::new(budget, 1) }
}

fn run_cap(cap: u64) -> Caps {
    Caps { run: Some(MicroDollars(cap)), ..Caps::default() }
}

fn account(rollout: usize) -> Account {
    let rollout = format!("r-{rollout}").parse().unwrap();
    Account { rollout: Some(rollout), run: Some("run".parse().unwrap()), key: None }
}

fn spent(terms: &Terms) -> u64 {
    let balance = terms.budget.balance(&Purse::Run("run".parse().unwrap()));
    assert_eq!(balance.reserved, MicroDollars(0), "something is still held");
    balance.spent.0
}

fn request() -> ChatRequest {
    ChatRequest { messages: vec![json!({"role": "user", "content": "hello"})], tools: Vec::new() }
}

fn model(entry: ModelEntry, terms: &Terms, rollout: usize) -> Metered {
    Metered::new(Arc::new(Endpoint::new(entry, None).unwrap()), terms, account(rollout))
}

fn entry(server: &Scripted) -> ModelEntry {
    ModelEntry { request_seconds: 1, output_tokens: 1_000, ..server.entry("m") }
}

/// The worst case of the request above.
fn worst(entry: &ModelEntry) -> u64 {
    let body = Endpoint::new(entry.clone(), None).unwrap().body(&request());
    Bound::of(entry, &body).worst_case(entry).unwrap().0
}

fn hello() -> ScriptedReply {
    ScriptedReply::Message(json!({"role": "assistant", "content": "hi"}))
}

/// A whole completion that says "hi", with this usage.
fn completion(usage: &Value) -> ScriptedReply {
    let message = json!({ "role": "assistant", "content": "hi" });
    let mut whole = json!({
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
    });
    if !usage.is_null() {
        whole["usage"] = usage.clone();
    }
    ScriptedReply::Raw(whole.to_string())
}

/// What one call to a server that always answers so comes to, and how many worst cases were charged.
async fn call(reply: ScriptedReply) -> (Result<Reply, Error>, u64) {
    let server = Scripted::start(move |_, _| reply.clone()).await.unwrap();
    let (entry, terms) = (entry(&server), terms(Caps::default()));
    let result = model(entry.clone(), &terms, 1).complete(&request()).await;
    let (spent, worst) = (spent(&terms), worst(&entry));
    assert_eq!(spent % worst, 0, "{spent} is no multiple of {worst}");
    (result, spent / worst)
}

#[tokio::test]
async fn each_failure_is_asked_again_or_not_and_charged_or_not() {
    let status = ScriptedReply::status;
    let cut = ScriptedReply::Parts(vec![ScriptedPart::Bytes(
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec(),
    )]);
    for (reply, code, requests, charged) in [
        (status(400, "bad request"), FailureCode::ModelRefused, 1, 0),
        (status(401, "no key"), FailureCode::ModelRefused, 1, 0),
        (status(402, "pay"), FailureCode::ModelUnpaid, 1, 0),
        (status(403, "not you"), FailureCode::ModelRefused, 1, 0),
        (status(404, "no model"), FailureCode::ModelRefused, 1, 0),
        (status(429, "slow down"), FailureCode::ModelOverloaded, 5, 0),
        (status(429, "insufficient_quota"), FailureCode::ModelUnpaid, 1, 0),
        (status(500, "oops"), FailureCode::ModelOverloaded, 5, 0),
        (status(503, "busy"), FailureCode::ModelOverloaded, 5, 0),
        (status(529, "overloaded"), FailureCode::ModelOverloaded, 5, 0),
        (ScriptedReply::Raw("<html>hello</html>".to_owned()), FailureCode::ModelMalformed, 5, 5),
        (ScriptedReply::Raw(r#"{"choices": []}"#.to_owned()), FailureCode::ModelMalformed, 5, 5),
        (cut, FailureCode::ModelUnreachable, 5, 5),
        (ScriptedReply::Stall(Duration::from_secs(3)), FailureCode::ModelTimeout, 5, 5),
    ] {
        let case = format!("{reply:?}");
        match call(reply).await {
            (Err(Error::Request { code: found, requests: made, .. }), cases) => {
                assert_eq!((found, made, cases), (code, requests, charged), "{case}");
            }
            (other, _) => panic!("{case}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_can_not_be_reached_costs_nothing() {
    let server = Scripted::start(|_, _| hello()).await.unwrap();
    let terms = terms(Caps::default());
    let nowhere = ModelEntry { base_url: "http://127.0.0.1:9/v1".to_owned(), ..entry(&server) };
    let error = model(nowhere, &terms, 1).complete(&request()).await.unwrap_err();
    assert!(matches!(error, Error::Request { code: FailureCode::ModelUnreachable, requests: 5, .. }));
    assert_eq!(spent(&terms), 0);
}

#[tokio::test]
async fn usage_that_is_missing_or_zero_is_charged_at_the_worst_case_and_marked() {
    let zero = json!({ "prompt_tokens": 0, "completion_tokens": 0 });
    let absurd = json!({ "prompt_tokens": 9_000_000, "completion_tokens": 9_000_000 });
    for usage in [Value::Null, json!({}), json!({ "prompt_tokens": "many" }), zero, absurd] {
        let (reply, charged) = call(completion(&usage)).await;
        let reply = reply.unwrap();
        assert!(reply.usage.estimated, "{usage}");
        assert_eq!(charged, 1, "{usage}");
        assert_eq!(reply.message["content"], "hi");
    }
}

#[tokio::test]
async fn usage_that_can_be_is_charged_as_it_is() {
    let usage = json!({
        "prompt_tokens": 100, "completion_tokens": 10,
        "prompt_tokens_details": { "cached_tokens": 40 },
    });
    let server = Scripted::start(move |_, _| completion(&usage)).await.unwrap();
    let terms = terms(Caps::default());
    let reply = model(entry(&server), &terms, 1).complete(&request()).await.unwrap();
    assert!(!reply.usage.estimated);
    assert_eq!((reply.cost, spent(&terms)), (Some(MicroDollars(120)), 120));
}

#[tokio::test]
async fn a_reply_pays_for_the_requests_that_were_lost_before_it() {
    let server = Scripted::start(|_, count| match count {
        0 => ScriptedReply::status(503, "busy"),
        1 => ScriptedReply::Raw("<html>".to_owned()),
        _ => completion(&json!({ "prompt_tokens": 100, "completion_tokens": 10 })),
    })
    .await
    .unwrap();
    let (entry, terms) = (entry(&server), terms(Caps::default()));
    let model = model(entry.clone(), &terms, 1);
    let reply = model.complete(&request()).await.unwrap();
    assert_eq!(reply.requests, 3);
    let due = MicroDollars(worst(&entry) + 120);
    assert_eq!((reply.cost, model.meter().unwrap().cost()), (Some(due), Some(due)));
}

#[tokio::test]
async fn retry_after_is_honoured_and_the_clock_stands_still_meanwhile() {
    let server = Scripted::start(|_, count| match count {
        0 => ScriptedReply::Status { code: 429, body: String::new(), retry_after: Some(1) },
        _ => hello(),
    })
    .await
    .unwrap();
    let terms = terms(Caps::default());
    let model = model(entry(&server), &terms, 1);
    let reply = model.complete(&request()).await.unwrap();
    assert!(reply.parked_seconds >= 1.0, "asked again after {} s", reply.parked_seconds);
    assert!(model.meter().unwrap().parking().time().as_secs_f64() >= 1.0);
}

#[tokio::test]
async fn a_retry_after_that_is_a_date_is_read_by_the_providers_own_clock() {
    let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                retry-after: Sun, 06 Nov 1994 08:49:38 GMT\r\n\r\n";
    let server = Scripted::start(move |_, count| match count {
        0 => ScriptedReply::Parts(vec![ScriptedPart::Bytes(head.as_bytes().to_vec())]),
        _ => hello(),
    })
    .await
    .unwrap();
    let reply = model(entry(&server), &terms(Caps::default()), 1).complete(&request()).await.unwrap();
    assert_eq!(reply.requests, 2);
    assert!(reply.parked_seconds >= 1.0, "asked again after {} s", reply.parked_seconds);
}

#[tokio::test]
async fn a_request_that_could_break_a_cap_never_leaves() {
    let server = Scripted::start(|_, _| hello()).await.unwrap();
    let entry = entry(&server);
    let terms = terms(run_cap(worst(&entry) - 1));
    let error = model(entry, &terms, 1).complete(&request()).await.unwrap_err();
    assert!(matches!(error, Error::CapReached(_)), "{error}");
    assert_eq!((server.requests().len(), spent(&terms)), (0, 0));
}

#[tokio::test]
async fn a_request_that_is_cancelled_half_way_is_charged_at_its_worst_case() {
    let server = Scripted::start(|_, _| ScriptedReply::Stall(Duration::from_mins(1))).await.unwrap();
    let (entry, terms) = (ModelEntry { request_seconds: 60, ..entry(&server) }, terms(Caps::default()));
    let model = Arc::new(model(entry.clone(), &terms, 1));
    let asking = tokio::spawn({
        let model = Arc::clone(&model);
        async move { model.complete(&request()).await }
    });
    while server.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    assert_eq!(spent(&terms), worst(&entry));
    assert_eq!(model.meter().unwrap().cost(), Some(MicroDollars(worst(&entry))));
}

#[tokio::test]
async fn an_unknown_price_is_refused_unless_it_is_allowed() {
    let server = Scripted::start(|_, _| hello()).await.unwrap();
    let entry = ModelEntry { price: None, ..entry(&server) };
    let mut terms = terms(run_cap(1));
    let refused = model(entry.clone(), &terms, 1).complete(&request()).await.unwrap_err();
    assert!(matches!(refused, Error::Unpriced { .. }), "{refused}");
    assert!(server.requests().is_empty());
    terms.unpriced = Unpriced::Allow;
    let model = model(entry, &terms, 1);
    assert_eq!(model.complete(&request()).await.unwrap().cost, None);
    assert_eq!((spent(&terms), model.meter().unwrap().cost()), (0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_rollouts_over_http_stay_under_the_cap_and_every_bill_is_counted() {
    // Every fourth request fails in a way of its own.
    let server = Scripted::start(|_, count| match count % 12 {
        3 => ScriptedReply::status(500, "oops"),
        7 => ScriptedReply::Raw("<html>".to_owned()),
        11 => completion(&Value::Null),
        _ => completion(&json!({ "prompt_tokens": 700, "completion_tokens": 150 })),
    })
    .await
    .unwrap();
    let entry = entry(&server);
    let cap = worst(&entry) * 60;
    let terms = terms(run_cap(cap));
    let rollouts = (0..100).map(|number| {
        let (model, terms) = (model(entry.clone(), &terms, number), terms.clone());
        tokio::spawn(async move {
            let mut ended = false;
            for _ in 0..8 {
                let result = model.complete(&request()).await;
                let balance = terms.budget.balance(&Purse::Run("run".parse().unwrap()));
                assert!(balance.spent.0 + balance.reserved.0 <= cap, "{balance:?} of {cap}");
                ended |= matches!(result, Err(Error::CapReached(_)));
            }
            (ended, model.meter().unwrap().cost().unwrap().0)
        })
    });
    let (mut refused, mut charged) = (0, 0);
    for rollout in rollouts.collect::<Vec<_>>() {
        let (ended, cost) = rollout.await.unwrap();
        refused += u32::from(ended);
        charged += cost;
    }
    assert!(refused > 0, "the cap was never reached, so nothing was tried");
    assert_eq!(spent(&terms), charged);
    // What is left would not have paid for one more request.
    assert!(charged <= cap && charged + worst(&entry) > cap, "{charged} of {cap}");
}
