//! What waiting and money do to a rollout: the loop over a scripted sandbox, and models over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::Tools;
use trajforge_rollout::{Attempt, Error, Recorder, Rollout};
use trajforge_router::budget::{Listener, Purse};
use trajforge_router::{Account, Budget, Endpoint, Metered, Scripted, ScriptedReply, Terms};
use trajforge_sandbox::{Reply, Scripted as Sandboxes};
use trajforge_schema::sample::{STARTED, Sample};
use trajforge_schema::{
    Caps, Check, CheckKind, Clock, Difficulty, Digest, Ending, Environment, Limit, Limits, MicroDollars,
    Outcome, Record, RolloutSpec, Summary, Task, Timestamp, Verification,
};

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        STARTED
    }
}

#[derive(Default)]
struct Records(Vec<Record>);

impl Recorder for Records {
    fn record(&mut self, record: &Record) -> Result<(), Error> {
        self.0.push(record.clone());
        Ok(())
    }
}

fn task(spec: &RolloutSpec, rollout_seconds: u64) -> Task {
    let check = Check {
        name: "works".to_owned(),
        kind: CheckKind::Goal,
        weight: 1.0,
        run: Some("check".to_owned()),
        timeout_seconds: 5,
    };
    Task {
        id: spec.task.clone(),
        digest: Digest::of(b"task"),
        template: spec.template.clone(),
        version: 1,
        seed: spec.seed,
        cluster: "c".to_owned(),
        instruction: "Do it.".to_owned(),
        category: "debugging".to_owned(),
        difficulty: Difficulty::Easy,
        languages: Vec::new(),
        skills: Vec::new(),
        expected_steps: 1,
        parameters: BTreeMap::new(),
        environment: Environment {
            image: "none".to_owned(),
            user: "agent".to_owned(),
            workspace: "/workspace".to_owned(),
            setup: Vec::new(),
            services: Vec::new(),
            carry: Vec::new(),
            variables: BTreeMap::new(),
            limits: Limits { rollout_seconds, ..Limits::default() },
        },
        files: Vec::new(),
        setup_files: Vec::new(),
        verification: Verification { files: Vec::new(), checks: vec![check] },
        milestones: Vec::new(),
        solution: Vec::new(),
        traps: Vec::new(),
    }
}

fn call(tool: &str) -> Value {
    let function = json!({ "name": tool, "arguments": "{}" });
    json!({ "role": "assistant", "content": "", "tool_calls": [{ "id": "c", "type": "function", "function": function }] })
}

fn terms(caps: Caps) -> Terms {
    let quiet: Listener = Arc::new(|_| {});
    let budget = Budget::new(caps, Arc::new(Standing), quiet);
    Terms { first_wait: Duration::from_millis(5), ..Terms::new(budget, 1) }
}

/// A rollout of the tools scaffold against a server, with so many seconds for the task.
async fn roll(server: &Scripted, terms: &Terms, seconds: u64) -> (Summary, Vec<Record>) {
    let spec = Sample::default().rollout();
    let task = task(&spec, seconds);
    let account = Account { rollout: Some(spec.id.clone()), ..Account::default() };
    let endpoint = Arc::new(Endpoint::new(server.entry("m"), None).unwrap());
    let mut scaffold = Tools::new(Arc::new(Metered::new(endpoint, terms, account)), &task);
    let passes = Reply { output: String::new(), exit_code: 0, writes: BTreeMap::new() };
    let sandboxes = Sandboxes::new([("check".to_owned(), passes)]);
    let (cancel, run) = (CancellationToken::new(), "run".parse().unwrap());
    let rollout = Rollout { sandboxes: &sandboxes, clock: &Standing, cancel: &cancel };
    let attempt = Attempt { task: &task, rollout: &spec, run: &run, image: "none", choice: None };
    let mut records = Records::default();
    let finished = rollout.run(&attempt, &mut scaffold, &mut records).await.unwrap();
    (finished.summary, records.0)
}

#[tokio::test]
async fn waiting_for_a_provider_does_not_use_up_the_tasks_time() {
    let server = Scripted::start(|_, count| match count {
        0 => ScriptedReply::Status { code: 429, body: String::new(), retry_after: Some(2) },
        _ => ScriptedReply::Message(call("submit")),
    })
    .await
    .unwrap();
    let (summary, records) = roll(&server, &terms(Caps::default()), 1).await;
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
    let (summary, _) = roll(&server, &terms, 1).await;
    assert_eq!(summary.ending, Ending::LimitReached { limit: Limit::Time });
    // The request was cut off, and may be billed.
    let spent = terms.budget.balance(&Purse::Rollout(Sample::default().rollout().id)).spent;
    assert!(spent > MicroDollars(0));
    assert_eq!(summary.cost, Some(spent));
}

#[tokio::test]
async fn a_cap_ends_a_rollout_with_what_it_has_done_and_that_is_judged() {
    let server = Scripted::start(|_, _| ScriptedReply::Message(call("list"))).await.unwrap();
    let caps = Caps { rollout: Some(MicroDollars(40_000)), ..Caps::default() };
    let terms = terms(caps);
    let (summary, records) = roll(&server, &terms, 60).await;
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
        0 => ScriptedReply::Message(call("list")),
        _ => ScriptedReply::Raw("<html>".to_owned()),
    })
    .await
    .unwrap();
    let terms = terms(Caps::default());
    let (summary, records) = roll(&server, &terms, 60).await;
    assert!(matches!(summary.ending, Ending::Failed { .. }), "{:?}", summary.ending);
    let in_turns: MicroDollars = records
        .iter()
        .filter_map(|record| if let Record::Turn(turn) = record { turn.cost } else { None })
        .sum();
    let spent = terms.budget.balance(&Purse::Rollout(Sample::default().rollout().id)).spent;
    assert_eq!(summary.cost, Some(spent));
    assert!(spent > in_turns, "{spent} against {in_turns}");
}
