//! What the tests of rollouts stand on: a small task, a clock that stands, records that are kept.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::{Agent, native};
use trajforge_rollout::{Attempt, Error, Recorder, Rollout, Scaffold};
use trajforge_router::budget::Listener;
use trajforge_router::{Account, Budget, Endpoint, Metered, Scripted, Terms};
use trajforge_sandbox::{Reply, Scripted as Sandboxes};
use trajforge_schema::sample::{STARTED, Sample};
use trajforge_schema::{
    Caps, Check, CheckKind, Clock, Difficulty, Digest, Environment, Limits, ModelEntry, ModelTurn, Record,
    RolloutSpec, Step, Summary, Task, Timestamp, Verification,
};

/// A clock that stands.
pub(crate) struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        STARTED
    }
}

/// Records in memory.
#[derive(Default)]
pub(crate) struct Records(pub(crate) Vec<Record>);

impl Recorder for Records {
    fn record(&mut self, record: &Record) -> Result<(), Error> {
        self.0.push(record.clone());
        Ok(())
    }
}

/// A task with one check, `check`.
pub(crate) fn task(spec: &RolloutSpec, limits: Limits) -> Task {
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
            limits,
        },
        files: Vec::new(),
        setup_files: Vec::new(),
        verification: Verification { files: Vec::new(), checks: vec![check] },
        milestones: Vec::new(),
        solution: Vec::new(),
        traps: Vec::new(),
    }
}

/// An assistant's message with one call.
pub(crate) fn call(tool: &str, arguments: &Value) -> Value {
    let function = json!({ "name": tool, "arguments": arguments.to_string() });
    json!({ "role": "assistant", "content": "", "tool_calls": [{ "id": "c", "type": "function", "function": function }] })
}

/// An assistant's message without a call.
pub(crate) fn says(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}

pub(crate) fn terms(caps: Caps) -> Terms {
    let quiet: Listener = Arc::new(|_| {});
    let budget = Budget::new(caps, Arc::new(Standing), quiet);
    Terms { first_wait: Duration::from_millis(5), ..Terms::new(budget, 1) }
}

/// What became of a rollout.
pub(crate) struct Rolled {
    pub(crate) summary: Summary,
    pub(crate) records: Vec<Record>,
}

impl Rolled {
    pub(crate) fn turns(&self) -> Vec<&ModelTurn> {
        self.records
            .iter()
            .filter_map(|record| if let Record::Turn(turn) = record { Some(turn) } else { None })
            .collect()
    }

    pub(crate) fn steps(&self) -> Vec<&Step> {
        self.records
            .iter()
            .filter_map(|record| if let Record::Step(step) = record { Some(step) } else { None })
            .collect()
    }
}

/// A rollout of any scaffold in a scripted sandbox, where only `check` and these commands are there.
pub(crate) async fn roll_with(scaffold: &mut dyn Scaffold, task: &Task, commands: &[(&str, &str)]) -> Rolled {
    let spec = Sample::default().rollout();
    let prints = |output: &str| Reply { output: output.to_owned(), exit_code: 0, writes: BTreeMap::new() };
    let mut replies = vec![("check".to_owned(), prints(""))];
    replies.extend(commands.iter().map(|(command, output)| ((*command).to_owned(), prints(output))));
    let sandboxes = Sandboxes::new(replies);
    let (cancel, run) = (CancellationToken::new(), "run".parse().unwrap());
    let rollout = Rollout { sandboxes: &sandboxes, clock: &Standing, cancel: &cancel, alike: None };
    let attempt = Attempt { task, rollout: &spec, run: &run, image: "none", choice: None };
    let mut records = Records::default();
    let finished = rollout.run(&attempt, scaffold, &mut records).await.unwrap();
    Rolled { summary: finished.summary, records: records.0 }
}

/// A rollout of a native scaffold against a server.
pub(crate) async fn roll(
    name: &str,
    (server, entry): (&Scripted, Option<ModelEntry>),
    terms: &Terms,
    limits: Limits,
    commands: &[(&str, &str)],
) -> Rolled {
    let spec = Sample::default().rollout();
    let task = task(&spec, limits);
    let account = Account { rollout: Some(spec.id.clone()), ..Account::default() };
    let endpoint = Arc::new(Endpoint::new(entry.unwrap_or_else(|| server.entry("m")), None).unwrap());
    let model = Arc::new(Metered::new(endpoint, terms, account));
    roll_with(&mut Agent::new(native(name).unwrap(), model, &task), &task, commands).await
}
