//! What waiting and money do to a rollout: the loop over a scripted sandbox, and models over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod ground;

use std::time::Duration;

use ground::{call, roll, terms};
use serde_json::json;
use trajforge_router::budget::Purse;
use trajforge_router::{Scripted, ScriptedReply, Terms};
use trajforge_schema::sample::Sample;
use trajforge_schema::{Caps, Ending, Limit, Limits, MicroDollars, Outcome, Record, Summary};

/// A rollout of the tools scaffold against a server, with so many seconds for the task.
async fn rolled(server: &Scripted, terms: &Terms, rollout_seconds: u64) -> (Summary, Vec<Record>) {
    let limits = Limits { rollout_seconds, ..Limits::default() };
    let rolled = roll("tools", (server, None), terms, limits, &[]).await;
    (rolled.summary, rolled.records)
}

#[tokio::test]
async fn waiting_for_a_provider_does_not_use_up_the_tasks_time() {
    let server = Scripted::start(|_, count| match count {
        0 => ScriptedReply::Status { code: 429, body: String::new(), retry_after: Some(2) },
        _ => ScriptedReply::Message(call("submit", &json!({}))),
    })
    .await
    .unwrap();
    let (summary, records) = rolled(&server, &terms(Caps::default()), 1).await;
    assert_eq!(summary.ending, Ending::Submitted);
    let parked = records.iter().find_map(|record| match record {
        Record::Turn(turn) => Some(turn.parked_seconds),
        _ => None,
    });
    assert!(parked.unwrap() >= 2.0);
}

#[tokio::test]
async fn a_model_that_is_slow_by_itself_does_use_it_up() {
    let server = Scripted::start(|_, _| ScriptedReply::Stall(Duration::from_mins(1))).await.unwrap();
    let terms = terms(Caps::default());
    let (summary, _) = rolled(&server, &terms, 1).await;
    assert_eq!(summary.ending, Ending::LimitReached { limit: Limit::Time });
    // The request was cut off, and may be billed.
    let spent = terms.budget.balance(&Purse::Rollout(Sample::default().rollout().id)).spent;
    assert!(spent > MicroDollars(0));
    assert_eq!(summary.cost, Some(spent));
}

#[tokio::test]
async fn a_cap_ends_a_rollout_with_what_it_has_done_and_that_is_judged() {
    let server = Scripted::start(|_, count| {
        ScriptedReply::Message(call("list", &json!({ "path": format!("{count}") })))
    })
    .await
    .unwrap();
    let caps = Caps { rollout: Some(MicroDollars(40_000)), ..Caps::default() };
    let terms = terms(caps);
    let (summary, records) = rolled(&server, &terms, 60).await;
    assert_eq!(summary.ending, Ending::LimitReached { limit: Limit::Cost });
    assert_eq!(summary.outcome, Outcome::Success);
    let turns = records.iter().filter_map(|record| match record {
        Record::Turn(turn) => turn.cost,
        _ => None,
    });
    let (count, sum) = (turns.clone().count(), turns.sum::<MicroDollars>());
    assert_eq!((count, Some(sum)), (server.requests().len(), summary.cost));
    assert!(count > 2 && sum <= MicroDollars(40_000), "{count} turns for {sum}");
}

#[tokio::test]
async fn requests_that_gave_no_reply_are_in_the_rollouts_cost() {
    let server = Scripted::start(|_, count| match count {
        0 => ScriptedReply::Message(call("list", &json!({ "path": format!("{count}") }))),
        _ => ScriptedReply::Raw("<html>".to_owned()),
    })
    .await
    .unwrap();
    let terms = terms(Caps::default());
    let (summary, records) = rolled(&server, &terms, 60).await;
    assert!(matches!(summary.ending, Ending::Failed { .. }), "{:?}", summary.ending);
    let in_turns: MicroDollars = records
        .iter()
        .filter_map(|record| if let Record::Turn(turn) = record { turn.cost } else { None })
        .sum();
    let spent = terms.budget.balance(&Purse::Rollout(Sample::default().rollout().id)).spent;
    assert_eq!(summary.cost, Some(spent));
    assert!(spent > in_turns, "{spent} against {in_turns}");
}
