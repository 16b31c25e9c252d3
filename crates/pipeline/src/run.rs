//! A run, on one page: plan, queue, execute, record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::native;
use trajforge_router::budget::Purse;
use trajforge_router::{Budget, Endpoint, Simulated, Stream, Terms};
use trajforge_scheduler::{
    Counts, PlanRequest, Planned, PlannedTask, Queue, RetryPolicy, ScaffoldUse, SqliteQueue,
};
use trajforge_schema::{
    Caps, Event, MicroDollars, RolloutSpec, Route, RunName, RunPlan, Seed, TemplateId, Unpriced, WIRE_VERSION,
};
use trajforge_template::{Library, Template};
use trajforge_trajectory::RunStore;

use crate::error::Error;
use crate::externals::Externals;
use crate::keeper::Keeper;
use crate::kinds::Kinds;
use crate::models::Models;
use crate::routing::Routing;
use crate::tasks::Selection;
use crate::worker::Worker;
use crate::world::World;

/// What to run.
#[derive(Debug, Clone)]
pub struct RunOrder {
    /// The run's folder.
    pub folder: PathBuf,
    /// The run's name.
    pub name: RunName,
    /// What to plan; nothing when the run is to be resumed.
    pub plan: Option<PlanOrder>,
    /// Rollouts at the same time.
    pub workers: usize,
    /// Tries of a rollout that fails outside the agent's work.
    pub max_tries: u32,
    /// What may be spent; where nothing is said, what the plan says.
    pub caps: Caps,
    /// What to do with models whose price is unknown.
    pub unpriced: Unpriced,
    /// A file that several runs share: the caps for a key and for a day hold for all of them together.
    pub ledger: Option<PathBuf>,
}

/// What to plan.
#[derive(Debug, Clone)]
pub struct PlanOrder {
    /// The templates.
    pub templates: Selection,
    /// The seeds of each.
    pub seeds: Vec<Seed>,
    /// The models, for the scaffolds that need one.
    pub models: Vec<String>,
    /// A route that chooses among models; it stands beside them under its own name.
    pub route: Option<Route>,
    /// The scaffolds.
    pub scaffolds: Vec<String>,
    /// Attempts at each.
    pub attempts: u32,
}

/// How a run went.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The run's folder.
    pub folder: PathBuf,
    /// How far it is.
    pub counts: Counts,
    /// Whether every planned rollout is finished.
    pub complete: bool,
    /// What the run has spent, requests included that came to nothing.
    pub spent: MicroDollars,
    /// The cap that kept the rest from being done.
    pub cap_reached: Option<String>,
}

/// What the workers of a run share.
pub(crate) struct Running {
    pub(crate) world: World,
    pub(crate) templates: BTreeMap<TemplateId, Template>,
    pub(crate) store: RunStore,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) models: BTreeMap<String, Arc<Endpoint>>,
    pub(crate) externals: Externals,
    /// Programs that play models, for as long as the run is worked on.
    _simulated: Vec<Simulated>,
    pub(crate) terms: Terms,
    pub(crate) routing: Option<Routing>,
    pub(crate) keeper: Keeper,
    pub(crate) kinds: Kinds,
    pub(crate) retry: RetryPolicy,
    pub(crate) max_tries: u32,
    pub(crate) cancel: CancellationToken,
    /// What stops the whole run; the first one counts.
    pub(crate) fatal: OnceCell<Error>,
    /// Models that have answered at least once.
    pub(crate) answered: std::sync::Mutex<BTreeSet<String>>,
}

/// Plans a run, or goes on with one, and works on it until nothing is left or the token is cancelled.
pub async fn run(world: &World, order: &RunOrder, cancel: &CancellationToken) -> Result<RunReport, Error> {
    let library = world.library()?;
    let plan = match &order.plan {
        Some(plan) => run_plan(world, order, plan, &library)?,
        None => RunStore::open(&order.folder)?.plan().clone(),
    };
    // What can't be had is found out before anything is written.
    let templates = templates(&library, &plan)?;
    let images = images(world, &templates, cancel).await?;
    let unpriced = if order.unpriced == Unpriced::Allow { Unpriced::Allow } else { plan.unpriced };
    let mut externals = interruptible(cancel, Box::pin(Externals::of(world, &plan))).await?;
    let Models { endpoints, simulated } = Models::of(world, &library, &plan, unpriced).await?;
    let store = store(order, plan)?;
    let lock = store.lock(&format!("process {}", std::process::id()))?;
    let queue = queue(&store, order.max_tries).await?;
    let terms = terms(world, order, &store, unpriced)?;
    let routing = routing(world, &store, &*queue, terms.seed).await?;
    externals.serve(world, &terms).await?;
    let running = Running {
        terms,
        externals,
        routing,
        images,
        models: endpoints,
        _simulated: simulated,
        keeper: Keeper::default(),
        kinds: Kinds::left(&queue.rows().await?),
        retry: RetryPolicy::default(),
        max_tries: order.max_tries,
        cancel: cancel.child_token(),
        fatal: OnceCell::new(),
        answered: std::sync::Mutex::default(),
        world: world.clone(),
        templates,
        store,
        queue,
    };
    let (mut running, ended) = work(running, order.workers).await;
    running.externals.stop().await;
    world.sandboxes.drain().await;
    lock.release();
    if let Some(error) = running.fatal.take() {
        return Err(error);
    }
    ended?;
    if cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    report(&running).await
}

fn store(order: &RunOrder, plan: RunPlan) -> Result<RunStore, Error> {
    Ok(match &order.plan {
        Some(_) => RunStore::create(&order.folder, plan)?,
        None => RunStore::open(&order.folder)?,
    })
}

/// The queue of a run, with everything in it that is left to do.
async fn queue(store: &RunStore, max_tries: u32) -> Result<Arc<dyn Queue>, Error> {
    let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&store.queue_path(), max_tries)?);
    queue.reclaim().await?;
    queue.submit(store.rollouts().map(planned).collect()).await?;
    queue.reopen(&failed(&*queue).await?).await?;
    Ok(queue)
}

/// Lets as many workers work until nothing is left, or something stops them; gives back what they shared.
async fn work(running: Running, workers: usize) -> (Running, Result<(), Error>) {
    let running = Arc::new(running);
    let ended = work_together(&running, workers).await;
    (Arc::into_inner(running).expect("the workers have ended"), ended)
}

/// Each worker is a task of its own, so that what wakes a rollout wakes no other.
async fn work_together(running: &Arc<Running>, workers: usize) -> Result<(), Error> {
    let counts = running.queue.counts(running.world.clock.now()).await?;
    running.world.tell(Event::RunStarted { planned: counts.planned, finished: counts.finished() });
    let mut working = JoinSet::new();
    for number in 1..=workers.max(1) {
        working.spawn(Worker::new(Arc::clone(running), number).work());
    }
    let keeping = running.keeper.keep(&*running.world.sandboxes, &running.world.events);
    tokio::select! {
        ended = working.join_all() => ended.into_iter().collect(),
        () = keeping => Ok(()),
    }
}

async fn report(running: &Running) -> Result<RunReport, Error> {
    let Running { queue, store, terms, world, .. } = running;
    let counts = queue.counts(world.clock.now()).await?;
    let complete = counts.finished() == counts.planned;
    Ok(RunReport {
        folder: store.folder().to_owned(),
        complete,
        counts,
        spent: terms.budget.balance(&Purse::Run(store.plan().name.clone())).spent,
        cap_reached: terms.budget.exhausted().filter(|_| !complete).map(|reached| reached.to_string()),
    })
}

/// On which terms the run's models are asked: its caps over what it has spent before.
fn terms(world: &World, order: &RunOrder, store: &RunStore, unpriced: Unpriced) -> Result<Terms, Error> {
    let (plan, clock, events) = (store.plan(), Arc::clone(&world.clock), Arc::clone(&world.events));
    let (own, caps) = (store.spend_path(), order.caps.or(plan.caps));
    let budget = match order.ledger.as_ref().or(plan.ledger.as_ref()) {
        Some(joint) => Budget::open_jointly(&own, joint, caps, clock, events)?,
        None => Budget::open(&own, caps, clock, events)?,
    };
    let seed = Stream::new(0, &format!("run {}", plan.name)).bits();
    Ok(Terms { unpriced, ..Terms::new(budget, seed) })
}

/// The plan's router, with the attempts added that a killed process left out.
async fn routing(
    world: &World,
    store: &RunStore,
    queue: &dyn Queue,
    seed: u64,
) -> Result<Option<Routing>, Error> {
    let Some((routing, missing)) = Routing::of(store.plan(), &world.catalog, seed, &queue.rows().await?)?
    else {
        return Ok(None);
    };
    for spec in missing {
        store.follow(&spec)?;
        queue.submit(vec![planned(&spec)]).await?;
    }
    Ok(Some(routing))
}

/// What a run would plan, without writing anything.
pub fn dry_run(world: &World, plan: &PlanOrder) -> Result<Vec<Planned>, Error> {
    plan_rollouts(world, plan, &world.library()?)
}

fn run_plan(world: &World, order: &RunOrder, plan: &PlanOrder, library: &Library) -> Result<RunPlan, Error> {
    if order.folder.symlink_metadata().is_ok() {
        return Err(trajforge_trajectory::Error::RunExists { path: order.folder.clone() }.into());
    }
    Ok(RunPlan {
        wire_version: WIRE_VERSION,
        name: order.name.clone(),
        created: world.clock.now(),
        trajforge_version: env!("CARGO_PKG_VERSION").to_owned(),
        caps: order.caps,
        unpriced: order.unpriced,
        ledger: order.ledger.clone(),
        route: plan.route.clone(),
        rollouts: plan_rollouts(world, plan, library)?.into_iter().map(|planned| planned.spec).collect(),
    })
}

fn plan_rollouts(world: &World, plan: &PlanOrder, library: &Library) -> Result<Vec<Planned>, Error> {
    let scaffold = |name: &String| match name.as_str() {
        "oracle" | "nop" => Ok(ScaffoldUse { name: name.clone(), needs_model: false }),
        other if native(other).is_some() => Ok(ScaffoldUse { name: name.clone(), needs_model: true }),
        _ => match world.manifest(name)? {
            Some(_) => Ok(ScaffoldUse { name: name.clone(), needs_model: true }),
            None => Err(Error::UnknownScaffold { name: name.clone(), external: world.external_scaffolds() }),
        },
    };
    let scaffolds = plan.scaffolds.iter().map(scaffold).collect::<Result<_, _>>()?;
    let mut tasks = Vec::new();
    for template in plan.templates.templates(library)? {
        for seed in &plan.seeds {
            tasks.push(planned_task(&template, *seed)?);
        }
    }
    let mut models = plan.models.clone();
    models.extend(plan.route.as_ref().map(|route| route.name.clone()));
    let request = PlanRequest { tasks, models, scaffolds, attempts: plan.attempts };
    Ok(trajforge_scheduler::plan(&request)?)
}

fn planned_task(template: &Template, seed: Seed) -> Result<PlannedTask, Error> {
    let task = template.make(seed)?;
    Ok(PlannedTask {
        template: task.template,
        version: task.version,
        seed,
        task: task.id,
        category: task.category,
        difficulty: task.difficulty,
    })
}

/// Earlier attempts come first.
pub(crate) fn planned(spec: &RolloutSpec) -> Planned {
    Planned { spec: spec.clone(), priority: 1 - i64::from(spec.attempt) }
}

/// The rollouts that ended outside the agent's work: a resumed run tries them again.
async fn failed(queue: &dyn Queue) -> Result<Vec<trajforge_schema::RolloutId>, Error> {
    let is_error = |row: &trajforge_scheduler::Row| {
        row.completion().is_some_and(|completion| completion.outcome == trajforge_schema::Outcome::Error)
    };
    Ok(queue.rows().await?.into_iter().filter(is_error).map(|row| row.spec.id).collect())
}

/// Every template of the plan, read once.
fn templates(library: &Library, plan: &RunPlan) -> Result<BTreeMap<TemplateId, Template>, Error> {
    let ids: BTreeSet<&TemplateId> = plan.rollouts.iter().map(|spec| &spec.template).collect();
    ids.into_iter().map(|id| Ok((id.clone(), library.template(id.as_str())?))).collect()
}

/// The exact tag of every image that the plan needs, made where it is not there.
async fn images(
    world: &World,
    templates: &BTreeMap<TemplateId, Template>,
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, String>, Error> {
    let image = |template: &Template| template.definition.environment.image.clone();
    let names: BTreeSet<String> = templates.values().map(image).collect();
    interruptible(cancel, world.images(&names)).await
}

async fn interruptible<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(Error::Interrupted),
    }
}
