//! Whether a scaffold keeps to the rules.
//!
//! Its manifest is read; one on the host works on a small task, with a model that is a script, in a sandbox of files alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::stdio::Leavings;
use trajforge_rollout::scaffold::{Access, MANIFEST, Manifest, Runs, Stdio, native};
use trajforge_rollout::{Attempt, Recorder, Rollout};
use trajforge_router::gateway::Served;
use trajforge_router::{Account, Budget, Gateway, GatewaySpec, Meter, Scripted, ScriptedReply, Terms};
use trajforge_sandbox::{Reply, Scripted as Sandboxes};
use trajforge_schema::{
    Action, Caps, Clock, Ending, Failure, FailureCode, ModelEntry, Record, RolloutSpec, Step, Summary, Task,
    Unpriced,
};

use crate::error::Error;
use crate::world::Home;

/// The small task.
const TASK: &str = include_str!("check/task.json");
/// What the task's folder holds, by the commands that would show it.
const LISTING: &str = "notes.txt\n";

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The scaffold.
    pub name: String,
    /// Whether every rule that was looked at holds.
    pub passed: bool,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Its name.
    pub rule: &'static str,
    /// Whether it holds; absent where it could not be looked at.
    pub holds: Option<bool>,
    /// What was seen, and what to do about it.
    pub detail: String,
}

/// What is known after the small task.
struct Played {
    steps: Vec<Step>,
    summary: Summary,
    requests: usize,
    killed: bool,
    processes: usize,
    grace_seconds: u64,
}

/// Checks a scaffold by its name.
pub async fn check(
    home: &Home,
    name: &str,
    clock: Arc<dyn Clock>,
    secret: [u8; 32],
) -> Result<Report, Error> {
    if native(name).is_some() || ["oracle", "nop"].contains(&name) {
        let rule = holds("manifest", "it is part of this program, and needs none".to_owned());
        return Ok(report(name, vec![rule]));
    }
    let Some(folder) = home.scaffold(name) else {
        let external = super::names(home);
        return Err(Error::UnknownScaffold { name: name.to_owned(), external });
    };
    let manifest = match Manifest::read(&folder.join(MANIFEST)) {
        Ok(manifest) => manifest,
        Err(invalid) => return Ok(report(name, vec![broken("manifest", invalid.message)])),
    };
    let mut rules = vec![holds("manifest", format!("{} {}", manifest.name, manifest.version))];
    match manifest.runs {
        Runs::Container => rules.push(Rule {
            rule: "program",
            holds: None,
            detail: "it runs in a task's container: `trajforge run` tries it there".to_owned(),
        }),
        Runs::Swerex => rules.push(Rule {
            rule: "program",
            holds: None,
            detail: "it works in a task's container from outside: `trajforge run` tries it there".to_owned(),
        }),
        Runs::Host => rules.extend(judge(&play(manifest, &folder, clock, secret).await?)),
    }
    Ok(report(name, rules))
}

fn report(name: &str, rules: Vec<Rule>) -> Report {
    let passed = rules.iter().all(|rule| rule.holds != Some(false));
    Report { name: name.to_owned(), passed, rules }
}

fn holds(rule: &'static str, detail: String) -> Rule {
    Rule { rule, holds: Some(true), detail }
}

fn broken(rule: &'static str, detail: String) -> Rule {
    Rule { rule, holds: Some(false), detail }
}

/// What the small task shows.
fn judge(played: &Played) -> Vec<Rule> {
    let mut rules = Vec::new();
    let Played { steps, summary, requests, .. } = played;
    let spoke = match &summary.ending {
        Ending::Failed { failure } => broken("protocol", failure.message.clone()),
        _ => holds("protocol", format!("{} actions, {requests} requests to its model", steps.len())),
    };
    let failed = spoke.holds == Some(false);
    rules.push(spoke);
    let invalid = steps.iter().find_map(|step| match &step.action {
        Action::Invalid { tool, problem, .. } => Some(format!("{tool:?}: {problem}")),
        _ => None,
    });
    rules.push(match (invalid, steps.is_empty()) {
        (Some(problem), _) => broken("actions", problem),
        (None, false) => holds("actions", "every action is one".to_owned()),
        (None, true) if failed => Rule { rule: "actions", holds: None, detail: "it did not get so far".to_owned() },
        (None, true) => broken(
            "actions",
            format!(
                "it sent none; its model, asked {requests} times, called `bash` and then `submit`, or wrote them in a \
                 fenced block where it was offered no tools"
            ),
        ),
    });
    rules.push(match &summary.ending {
        Ending::Submitted => holds("ending", "it submitted".to_owned()),
        Ending::Stopped => holds("ending", "it ended without submitting".to_owned()),
        Ending::Failed { .. } => Rule { rule: "ending", holds: None, detail: "it failed before".to_owned() },
        other => broken("ending", format!("it was ended by {}: {other:?}", other.as_str())),
    });
    let grace = played.grace_seconds;
    rules.push(if played.killed && !failed {
        broken("stop", format!("it did not end within {grace} s of being told to stop, and was killed"))
    } else {
        holds("stop", format!("it was gone within {grace} s"))
    });
    rules.push(match played.processes {
        0 => holds("processes", "it left none behind".to_owned()),
        count => broken("processes", format!("it left {count} behind, which were killed")),
    });
    rules
}

/// Has a scaffold on the host work on the small task.
async fn play(
    manifest: Manifest,
    folder: &Path,
    clock: Arc<dyn Clock>,
    secret: [u8; 32],
) -> Result<Played, Error> {
    let server = Scripted::start(|request, count| ScriptedReply::Message(reply(request, count))).await;
    let server = server.map_err(|source| {
        let address = "the loopback interface".to_owned();
        trajforge_router::Error::Listen { address, source }
    })?;
    let task: Task = serde_json::from_str(TASK).expect("the file beside this one is a task");
    let rollout = rollout(&task, &manifest.name);
    let access = access(server.entry("scripted"), &rollout, Arc::clone(&clock), secret).await?;
    let grace_seconds = manifest.limits.grace_seconds;
    let mut scaffold = Stdio::new(Arc::new(manifest), folder.to_owned(), access, &task);
    let (sandboxes, cancel) = (sandboxes(), CancellationToken::new());
    let run = "check".parse().expect("a plain word is a name");
    let attempt = Attempt { task: &task, rollout: &rollout, run: &run, image: "none", choice: None };
    let mut steps = Steps::default();
    let world = Rollout { sandboxes: &sandboxes, clock: &*clock, cancel: &cancel, alike: None };
    let finished = world.run(&attempt, &mut scaffold, &mut steps).await;
    let finished =
        finished.map_err(|error| Error::Stopped(Failure::new(FailureCode::Internal, error.to_string())))?;
    let Leavings { killed, processes } = scaffold.left_behind();
    let requests = server.requests().len();
    Ok(Played { steps: steps.0, summary: finished.summary, requests, killed, processes, grace_seconds })
}

/// A gateway of the check's own, with a model behind it that costs nothing.
async fn access(
    entry: ModelEntry,
    rollout: &RolloutSpec,
    clock: Arc<dyn Clock>,
    secret: [u8; 32],
) -> Result<Access, Error> {
    let terms = Terms::new(Budget::new(Caps::default(), clock, Arc::new(|_| {})), 0);
    let gateway = Gateway::start(GatewaySpec {
        address: ([127, 0, 0, 1], 0).into(),
        seed: secret,
        budget: Arc::clone(&terms.budget),
        pressures: Arc::clone(&terms.pressures),
        cassette: None,
    });
    let account = Account { rollout: Some(rollout.id.clone()), ..Account::default() };
    Ok(Access {
        gateway: Arc::new(gateway.await?),
        meter: Meter::new(&terms.budget, &account, &entry),
        served: Served { entry, key: None },
        account,
        unpriced: Unpriced::Refuse,
        capture: Arc::new(|_| {}),
        keep: Box::new(|_| {}),
    })
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Recorder for Steps {
    fn record(&mut self, record: &Record) -> Result<(), trajforge_rollout::Error> {
        if let Record::Step(step) = record {
            self.0.push(step.clone());
        }
        Ok(())
    }
}

fn rollout(task: &Task, name: &str) -> RolloutSpec {
    RolloutSpec {
        id: RolloutSpec::id_for(&task.id, name, None, 1),
        template: task.template.clone(),
        version: task.version,
        seed: task.seed,
        task: task.id.clone(),
        model: None,
        scaffold: name.to_owned(),
        attempt: 1,
    }
}

fn sandboxes() -> Sandboxes {
    let prints = |output: &str| Reply { output: output.to_owned(), exit_code: 0, writes: BTreeMap::new() };
    Sandboxes::new([("true".to_owned(), prints("")), ("ls".to_owned(), prints(LISTING))])
}

/// What the model says: it looks once, and then submits.
fn reply(request: &Value, count: usize) -> Value {
    let offers_tools = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    if !offers_tools {
        let block = if count == 0 { "```bash\nls\n```" } else { "```submit\nDone.\n```" };
        return json!({ "role": "assistant", "content": format!("A look first.\n\n{block}") });
    }
    let (name, arguments) = if count == 0 {
        ("bash", json!({ "command": "ls" }))
    } else {
        ("submit", json!({ "message": "Done." }))
    };
    let function = json!({ "name": name, "arguments": arguments.to_string() });
    let call = json!({ "id": format!("call-{count}"), "type": "function", "function": function });
    json!({ "role": "assistant", "content": "A look first.", "tool_calls": [call] })
}
