//! Steps and money run out.

use serde_json::{Value, json};
use trajforge_router::budget::Purse;
use trajforge_router::gateway::{AtCap, ExchangeEnd, SideCalls, SideRule};
use trajforge_router::{ScriptedReply, SessionSpec};
use trajforge_schema::{Caps, Dialect, MicroDollars};

use super::{Bench, ask, hello};

const CHAT: Dialect = Dialect::OpenaiChat;

fn message(_: &Value, _: usize) -> ScriptedReply {
    ScriptedReply::Message(hello())
}

#[tokio::test]
async fn after_the_last_step_each_request_gets_the_status_that_stops_a_scaffold() {
    for (at_cap, status) in [(AtCap::Unauthorized, 401), (AtCap::NotFound, 404)] {
        let change = move |spec: &mut SessionSpec| {
            spec.max_steps = Some(2);
            spec.at_cap = at_cap;
        };
        let bench = Bench::with(CHAT, Caps::default(), change, message).await;
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(bench.post(CHAT, &ask(CHAT, false)).await.status);
        }
        assert_eq!(statuses, [200, 200, status, status]);
        assert_eq!(bench.upstream.requests().len(), 2);
        let (exchanges, report) = bench.end().await;
        assert_eq!((exchanges.len(), exchanges[3].end), (4, ExchangeEnd::Refused));
        assert!(report.capped.unwrap().contains("cap of 2 steps"));
    }
}

#[tokio::test]
async fn what_brings_no_reply_and_what_is_no_step_takes_no_step() {
    let rules =
        vec![SideRule { name: "title".to_owned(), system: Some("title".to_owned()), without_tools: true }];
    let change = |spec: &mut SessionSpec| {
        spec.max_steps = Some(1);
        spec.side_calls = SideCalls::new(rules).unwrap();
    };
    let script = |_: &Value, count: usize| {
        if count == 0 { ScriptedReply::status(503, "busy") } else { message(&Value::Null, 0) }
    };
    let bench = Bench::with(CHAT, Caps::default(), change, script).await;
    assert_eq!(bench.post(CHAT, &ask(CHAT, false)).await.status, 503);
    let title = json!({ "model": "m", "messages": [{ "role": "system", "content": "Find a title." }] });
    assert_eq!(bench.post(CHAT, &title).await.status, 200);
    assert_eq!(bench.post(CHAT, &ask(CHAT, false)).await.status, 200);
    assert_eq!(bench.post(CHAT, &ask(CHAT, false)).await.status, 401);
    let (exchanges, report) = bench.end().await;
    let side: Vec<Option<&str>> = exchanges.iter().map(|exchange| exchange.side_call.as_deref()).collect();
    assert_eq!(side, [None, Some("title"), None, None]);
    assert_eq!(report.steps, 1);
    assert!(exchanges[1].cost.unwrap() > MicroDollars(0), "a side call costs as much as any other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_at_once_never_pass_the_cap_by_a_micro_dollar() {
    let cap = MicroDollars(6_000);
    let bench = Bench::with(CHAT, Caps { rollout: Some(cap), ..Caps::default() }, |_| {}, message).await;
    let requests = (0..100).map(|number| {
        let request = bench.request(CHAT, ask(CHAT, number % 2 == 0).to_string());
        tokio::spawn(async move { super::got(request.send().await.unwrap()).await.status })
    });
    let mut statuses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        statuses.push(request.await.unwrap());
    }
    assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&401), "{statuses:?}");
    let spent = bench.budget.balance(&Purse::Rollout("rollout-1".parse().unwrap()));
    assert!(spent.spent <= cap && spent.reserved == MicroDollars(0), "{spent:?}");
    let (exchanges, report) = bench.end().await;
    assert_eq!(exchanges.len(), 100);
    let sum: MicroDollars = exchanges.iter().filter_map(|exchange| exchange.cost).sum();
    assert_eq!((sum, report.cost), (spent.spent, spent.spent));
    assert!(report.capped.unwrap().contains("for each rollout is reached"));
}

#[tokio::test]
async fn a_request_without_a_limit_is_given_the_entrys() {
    let bench = Bench::start(CHAT, message).await;
    let mut body = ask(CHAT, false);
    body.as_object_mut().unwrap().remove("max_tokens");
    bench.post(CHAT, &body).await;
    assert_eq!(bench.upstream.requests()[0]["max_tokens"], 8_192);
    assert!(bench.exchanges()[0].sent.is_some());
}
