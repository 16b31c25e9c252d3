//! One policy at work on all tasks, one after the other: its models are asked over real HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use trajforge_router::budget::Listener;
use trajforge_router::policy::{Measured, Need, Tried};
use trajforge_router::simulated::Play;
use trajforge_router::{
    Account, Budget, Catalog, ChatRequest, Endpoint, Metered, Model as _, Router, Simulated, Stream, Terms,
};
use trajforge_schema::{Action, Caps, Clock, MicroDollars, RolloutSpec, Route, Task, Timestamp};

/// Characters of each tool's result: a screen of output, in the place of what a container would say.
const RESULT: usize = 800;
/// The system prompt and the tools of the `tools` scaffold: what each request begins with.
const SYSTEM: &str = include_str!("../../../crates/rollout/src/scaffold/tools/system.md");
const TOOLS: &str = include_str!("../../../crates/rollout/src/scaffold/tools/tools.json");
/// Replies in a row without a tool call, after which the scaffold gives up.
const MOST_SILENT: u32 = 3;

/// What came of a task: its attempts.
pub(super) type Attempts = Vec<Tried>;

/// A clock that stands: nothing here waits for a date.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

/// Lets a route work on every task until it succeeds or the route gives up.
pub(super) async fn work(
    route: &Route,
    catalog: &Catalog,
    tasks: &[Arc<Task>],
    seed: u64,
) -> anyhow::Result<Vec<Attempts>> {
    let mut models = BTreeMap::new();
    for name in route.everyone() {
        models.insert(name.clone(), started(catalog, &name, tasks, seed).await?);
    }
    let quiet: Listener = Arc::new(|_| {});
    let terms = Terms::new(Budget::new(Caps::default(), Arc::new(Standing), quiet), seed);
    let mut router = Router::new(route.clone(), catalog, seed)?;
    let mut all = Vec::new();
    for (place, task) in (0..).zip(tasks) {
        let mut history: Attempts = Vec::new();
        while router.goes_on(&history) {
            let attempt = u32::try_from(history.len())? + 1;
            let (category, difficulty) = (task.category.as_str(), task.difficulty);
            let need = Need { task: &task.id, category, difficulty, attempt, place, history: &history };
            let choice = router.choose(&need, &|_| true);
            let (_, endpoint) = models.get(&choice.model).context("a policy chose a stranger")?;
            let (success, cost) = attempted(task, Arc::clone(endpoint), &terms, attempt).await?;
            let tried = Tried { model: choice.model, success, cost };
            router.learn(&Measured { category, difficulty, tried: &tried });
            history.push(tried);
        }
        all.push(history);
    }
    Ok(all)
}

/// A simulated model and the way to ask it.
async fn started(
    catalog: &Catalog,
    name: &str,
    tasks: &[Arc<Task>],
    seed: u64,
) -> anyhow::Result<(Simulated, Arc<Endpoint>)> {
    let entry = catalog.entry(name)?.clone();
    let skill = entry.simulated.clone().with_context(|| format!("{name} is no simulated model"))?;
    // What one model gets right by chance says nothing of another.
    let own = Stream::new(seed, name).bits();
    let model = Simulated::start(entry, skill, tasks.iter().cloned(), own).await?;
    let endpoint = Arc::new(Endpoint::new(model.entry().clone(), None)?);
    Ok((model, endpoint))
}

/// One attempt as the `tools` scaffold would make it, without a container: whether the oracle's steps were done, and
/// what it cost.
async fn attempted(
    task: &Task,
    endpoint: Arc<Endpoint>,
    terms: &Terms,
    attempt: u32,
) -> anyhow::Result<(bool, MicroDollars)> {
    let name = endpoint.entry().name.clone();
    let rollout = RolloutSpec::id_for(&task.id, "tools", Some(&name), attempt);
    let model = Metered::new(endpoint, terms, Account { rollout: Some(rollout), ..Account::default() });
    let system = SYSTEM.replace("{workspace}", &task.environment.workspace);
    let mut request = ChatRequest {
        messages: vec![
            json!({ "role": "system", "content": system }),
            json!({ "role": "user", "content": task.instruction }),
        ],
        tools: serde_json::from_str(TOOLS)?,
    };
    let mut done = Vec::new();
    let mut silent = 0;
    let result = "output ".repeat(RESULT / 7);
    while done.len() < task.environment.limits.steps as usize && silent < MOST_SILENT {
        let reply = model.complete(&request).await?;
        request.messages.push(reply.message.clone());
        let Some(action) = action(&reply.message["tool_calls"][0]["function"]) else {
            silent += 1;
            request.messages.push(json!({ "role": "user", "content": "Go on, or submit." }));
            continue;
        };
        silent = 0;
        let id = &reply.message["tool_calls"][0]["id"];
        request.messages.push(json!({ "role": "tool", "tool_call_id": id, "content": result }));
        let submits = matches!(action, Action::Submit { .. });
        done.push(action);
        if submits {
            break;
        }
    }
    let cost = model.meter().and_then(|meter| meter.cost()).context("a simulated model has a price")?;
    Ok((Play::does_the_oracles_steps(task, &done), cost))
}

fn action(function: &Value) -> Option<Action> {
    let mut fields: Value = serde_json::from_str(function["arguments"].as_str()?).ok()?;
    fields["type"] = function["name"].clone();
    serde_json::from_value(fields).ok()
}
