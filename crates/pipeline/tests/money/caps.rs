//! A run holds its caps, keeps what it has done, and goes on where a resume allows more.

use trajforge_pipeline::{Error, run_spending};
use trajforge_router::ScriptedReply;
use trajforge_schema::{Caps, Ending, Event, Limit, MicroDollars};

use super::bench::{Bench, Order, call, greets};

async fn bench() -> Bench {
    Bench::new().model("m", 1.0, |body, _| greets(body, true)).await
}

fn order(caps: Caps) -> Order {
    Order { seeds: "0..12", models: vec!["m".to_owned()], caps, ..Order::default() }
}

fn run_cap(cap: u64) -> Caps {
    Caps { run: Some(MicroDollars(cap)), ..Caps::default() }
}

/// What the rollouts were charged, by the events.
fn settled(bench: &Bench) -> u64 {
    let events = bench.events.lock().unwrap();
    let costs = events.iter().map(|event| match event {
        Event::BudgetSettled { cost, .. } => cost.0,
        _ => 0,
    });
    costs.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_meets_its_cap_stops_below_it_and_a_higher_one_lets_it_go_on() {
    let free = bench().await;
    let whole = free.run(&order(Caps::default())).await.unwrap();
    assert!(whole.complete && whole.cap_reached.is_none());
    assert_eq!((whole.counts.success, whole.spent.0), (12, settled(&free)));
    // What all of it costs, a third of that, and room for one request's worst case.
    let tight = whole.spent.0 / 3 + 9_000;
    let bench = bench().await;
    let report = bench.run(&order(run_cap(tight))).await.unwrap();
    assert!(!report.complete && report.cap_reached.as_ref().unwrap().contains("for each run"));
    assert!(report.spent.0 <= tight, "{} of {tight}", report.spent);
    assert_eq!(report.spent.0, settled(&bench));
    let (done, left) = (report.counts.finished(), report.counts.waiting);
    assert!(done > 0 && left > 0 && done + left == 12, "{:?}", report.counts);
    assert!(bench.events.lock().unwrap().iter().any(|event| matches!(event, Event::CapReached { .. })));

    // Nothing is gained by going on without more money, and nothing is spent.
    let again = bench.resume(&order(Caps::default())).await.unwrap();
    assert!(again.spent.0 <= tight && !again.complete);
    let higher = bench.resume(&order(run_cap(whole.spent.0 * 3))).await.unwrap();
    assert!(higher.complete, "{:?}", higher.counts);
    assert_eq!(higher.counts.planned, 12);
    assert_eq!(higher.spent.0, settled(&bench));
    let spending = run_spending(&bench.path()).unwrap();
    assert_eq!((spending.run, spending.caps), (higher.spent, run_cap(tight)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_meets_its_own_cap_ends_alone_with_what_it_has_done() {
    let loops = |body: &serde_json::Value, _| {
        let is_first = body["messages"][1]["content"].to_string().contains('!');
        if is_first {
            // Something else each time: whoever repeats himself is ended for that.
            let turn = body["messages"].as_array().unwrap().len();
            call("list", &serde_json::json!({ "path": format!("folder-{turn}") }))
        } else {
            greets(body, true)
        }
    };
    let bench = Bench::new().model("m", 1.0, loops).await;
    let caps = Caps { rollout: Some(MicroDollars(14_000)), ..Caps::default() };
    let report = bench.run(&order(caps)).await.unwrap();
    assert!(report.complete && report.cap_reached.is_none());
    let (_, _, rows) = trajforge_pipeline::run_status(&bench.path(), &Noon).await.unwrap();
    let mut limited = 0;
    for row in rows {
        let done = row.completion().unwrap().clone();
        assert!(done.cost.unwrap() <= MicroDollars(14_000));
        if done.ending == (Ending::LimitReached { limit: Limit::Cost }) {
            assert!(done.steps > 0);
            limited += 1;
        }
    }
    assert!(limited > 0 && limited < 12 && report.counts.success > 0, "{limited} were limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_credit_stops_the_run_even_after_it_has_answered() {
    let bench = Bench::new()
        .model("m", 1.0, |body, count| match count {
            0..4 => greets(body, true),
            _ => ScriptedReply::status(402, "insufficient balance"),
        })
        .await;
    let order = Order { workers: 1, ..order(Caps::default()) };
    let error = bench.run(&order).await.unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "{error}");
    // One rollout was done, the second one met the refusal, and nobody asked again.
    assert_eq!(bench.servers["m"].requests().len(), 5);
}

struct Noon;

impl trajforge_schema::Clock for Noon {
    fn now(&self) -> trajforge_schema::Timestamp {
        trajforge_schema::Timestamp(1_767_312_000_000)
    }
}
