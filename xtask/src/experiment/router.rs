//! `experiment router`: whether choosing among models pays.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use futures_util::future::try_join_all;
use serde::Serialize;
use trajforge_router::{Catalog, Stream};
use trajforge_schema::{Models, PolicyName, Route, Seed, Task};
use trajforge_template::Library;

use super::arm::{self, Attempts};
use super::interval::{Interval, bootstrap, wilson};
use super::{plot, table};
use crate::bench::results;
use crate::say;

/// The models, the cheapest first: entries of `models/`.
const MODELS: [&str; 3] = ["simulated-weak", "simulated-middle", "simulated-strong"];
/// The success rate that is wanted.
pub(super) const WANTED: f64 = 0.8;
/// US dollars that a trajectory may cost.
pub(super) const DOLLARS: f64 = 0.5;

/// What to compare.
#[derive(Debug, Clone, Args)]
pub(crate) struct Arguments {
    /// Seeds of each template
    #[arg(long, default_value_t = 40)]
    seeds: u64,
    /// The seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Write the table into bench/RESULTS.md and the plot to bench/router.svg
    #[arg(long)]
    record: bool,
}

/// What the experiment found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// How it was made, for whoever reads the figures alone.
    pub(super) how: &'static str,
    pub(super) command: String,
    pub(super) tasks: usize,
    pub(super) arms: Vec<Arm>,
    /// What should be shown, and whether it is.
    pub(super) claims: Vec<(String, bool)>,
}

/// One policy's figures.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Arm {
    pub(super) name: String,
    /// Whether it is one model for everything, at one attempt.
    pub(super) is_single: bool,
    pub(super) attempts: usize,
    /// Of tasks that end with a success.
    pub(super) success: Interval,
    /// Dollars for a task, all its attempts together.
    pub(super) cost_per_task: Interval,
    /// Dollars for a trajectory, which is one attempt.
    pub(super) cost_per_trajectory: Interval,
    /// Dollars for a task that succeeds, with what the others cost.
    pub(super) cost_per_success: Interval,
    /// Dollars for each task.
    #[serde(skip)]
    dollars: Vec<f64>,
}

/// How it was made.
const HOW: &str = "simulated models over real HTTP, without containers: an attempt succeeds if the oracle's steps were done in \
                   their order, and tool results are filler of 800 characters. Competence and prices are made up \
                   (models/simulated-*.yaml), and were settled on after trials: with models that take no discount for cached input \
                   and get stuck less often, the claims below did not hold. So this shows that choosing can pay, not that \
                   it always does; the figures compare policies, not models";

/// Carries out the experiment, and gives whether what it should show holds.
pub(crate) async fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<bool> {
    let catalog = Catalog::read(&root.join("models"))?;
    let tasks = tasks(root, arguments)?;
    say::people(format!("{} tasks, {} policies: {HOW}", tasks.len(), routes().len()));
    let works = routes().into_iter().map(|(name, route)| {
        let (catalog, tasks, seed) = (catalog.clone(), tasks.clone(), arguments.seed);
        async move {
            let work = tokio::spawn(async move {
                let all = arm::work(&route, &catalog, &tasks, seed).await?;
                anyhow::Ok(Arm::of(name, &route, &all, seed))
            });
            work.await.context("an arm ended early")?
        }
    });
    let arms: Vec<Arm> = try_join_all(works).await?;
    let Arguments { seeds, seed, .. } = arguments;
    let report = Report {
        how: HOW,
        command: format!("cargo xtask experiment router --seeds {seeds} --seed {seed}"),
        tasks: tasks.len(),
        claims: claims(&arms, *seed),
        arms,
    };
    let text = table::text(&report);
    say::data(if arguments.json { serde_json::to_string_pretty(&report)? } else { text.clone() })?;
    if arguments.record {
        results::record(root, "router", &text)?;
        std::fs::write(root.join("bench/router.svg"), plot::svg(&report))
            .context("write bench/router.svg")?;
    }
    Ok(report.claims.iter().all(|(_, holds)| *holds))
}

/// The first members of every shipped template, in an order in which they are mixed.
fn tasks(root: &Path, arguments: &Arguments) -> anyhow::Result<Vec<Arc<Task>>> {
    let library = Library::open(&[root.join("templates")])?;
    let mut tasks = Vec::new();
    for template in library.templates()? {
        for seed in 0..arguments.seeds {
            tasks.push(Arc::new(template.make(Seed(seed))?));
        }
    }
    tasks.sort_by_key(|task| Stream::new(arguments.seed, &format!("order {}", task.id)).bits());
    Ok(tasks)
}

fn routes() -> Vec<(String, Route)> {
    let route = |policy: PolicyName, models: &[&str], attempts| Route {
        name: "experiment".to_owned(),
        policy,
        models: Models::Equal(models.iter().map(|name| (*name).to_owned()).collect()),
        failover: Vec::new(),
        attempts,
        target: None,
    };
    let mut routes = Vec::new();
    for attempts in [1, 3] {
        for model in MODELS {
            let name = if attempts == 1 { model.to_owned() } else { format!("{model}, up to 3 attempts") };
            routes.push((name, route(PolicyName::Fixed, &[model], Some(attempts))));
        }
    }
    for policy in [
        PolicyName::RoundRobin,
        PolicyName::Weighted,
        PolicyName::Experiment,
        PolicyName::Cascade,
        PolicyName::Capability,
    ] {
        routes.push((policy.as_str().to_owned(), route(policy, &MODELS, None)));
    }
    routes
}

impl Arm {
    fn of(name: String, route: &Route, all: &[Attempts], seed: u64) -> Self {
        let succeeded = |attempts: &Attempts| attempts.iter().any(|tried| tried.success);
        let dollars = |attempts: &Attempts| attempts.iter().map(|tried| tried.cost.as_dollars()).sum::<f64>();
        let over = |below: &dyn Fn(&Attempts) -> f64| {
            let cases: Vec<(f64, f64)> = all.iter().map(|one| (dollars(one), below(one))).collect();
            bootstrap(&cases, seed)
        };
        Self {
            name,
            is_single: route.policy == PolicyName::Fixed && route.attempts() == 1,
            attempts: all.iter().map(Vec::len).sum(),
            success: wilson(all.iter().filter(|one| succeeded(one)).count(), all.len()),
            cost_per_task: over(&|_| 1.0),
            cost_per_trajectory: over(&|one| one.len() as f64),
            cost_per_success: over(&|one| if succeeded(one) { 1.0 } else { 0.0 }),
            dollars: all.iter().map(dollars).collect(),
        }
    }
}

/// What one arm costs less than another, task by task.
fn saved(arm: &Arm, than: &Arm, seed: u64) -> Interval {
    let pairs = than.dollars.iter().zip(&arm.dollars);
    bootstrap(&pairs.map(|(dear, cheap)| (dear - cheap, 1.0)).collect::<Vec<_>>(), seed)
}

/// What the experiment should show.
fn claims(arms: &[Arm], seed: u64) -> Vec<(String, bool)> {
    let singles = arms.iter().filter(|arm| arm.is_single && arm.success.value >= WANTED);
    let cheapest = singles.min_by(|a, b| a.cost_per_task.value.total_cmp(&b.cost_per_task.value));
    let mut claims = Vec::new();
    for name in [PolicyName::Cascade.as_str(), PolicyName::Capability.as_str()] {
        let Some(arm) = arms.iter().find(|arm| arm.name == name) else { continue };
        let (rate, cost) = (arm.success.value, arm.cost_per_task);
        claims.push((
            format!("{name} succeeds on {:.1} % of the tasks, 80 % are wanted", rate * 100.0),
            rate >= WANTED,
        ));
        match cheapest {
            Some(single) => {
                let saved = saved(arm, single, seed);
                let claim = format!(
                    "{name} saves ${:.4} a task ({:.4} to {:.4}) against the cheapest single model that reaches 80 %, {}",
                    saved.value, saved.low, saved.high, single.name
                );
                claims.push((claim, saved.low > 0.0));
            }
            None => claims.push((format!("{name} reaches what no single model does"), rate >= WANTED)),
        }
        claims.push((
            format!(
                "{name} stays under ${DOLLARS:.2} a task, all its trajectories together: ${:.4}",
                cost.high
            ),
            cost.high < DOLLARS,
        ));
    }
    claims
}
