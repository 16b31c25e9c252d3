//! Rollouts a second, beside the bare floor: create + start + remove of as many containers at the same concurrency.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::ensure;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use trajforge_pipeline::run::PlanOrder;
use trajforge_pipeline::{RunOrder, Selection, World, run};
use trajforge_schema::{Caps, Event, Outcome, RolloutId, Seed, Unpriced};

use super::bed::{Bed, Place, TEMPLATE};
use super::figures::{median, quantile};
use super::{Common, Report};
use crate::say;

/// Containers that a rollout takes: the agent's, and the one that it is verified in.
const CONTAINERS: usize = 2;

/// Arguments of `bench rollouts`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Rollouts in each round
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..))]
    rollouts: u64,
    /// Concurrencies to try
    #[arg(long, value_delimiter = ',', default_values_t = [2, 3, 4, 8])]
    workers: Vec<usize>,
    /// Rounds of floor and rollouts, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

impl Arguments {
    /// What is measured unless said otherwise.
    pub(super) fn of(common: Common) -> Self {
        Self { common, rollouts: 24, workers: vec![2, 3, 4, 8], rounds: 5 }
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    command: String,
    place: Place,
    task: &'static str,
    actions: usize,
    rollouts_per_round: u64,
    rounds: u32,
    /// Each concurrency, with the medians of its rounds.
    concurrencies: Vec<Concurrency>,
    /// The best concurrency of the rollouts.
    best_workers: usize,
    /// At that concurrency.
    rollouts_per_second: f64,
    /// At that concurrency.
    floor_pairs_per_second: f64,
    /// The first by the second.
    ratio: f64,
    /// The floor at its own best concurrency: the most that the engine can do.
    most_pairs_per_second: f64,
    /// The rollouts by that.
    ratio_to_most: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Concurrency {
    workers: usize,
    /// The median of the rounds.
    rollouts_per_second: f64,
    /// The median of the rounds.
    floor_pairs_per_second: f64,
    /// Over the rollouts of all rounds, from lease to commit.
    p50_seconds: f64,
    /// Over the rollouts of all rounds, from lease to commit.
    p99_seconds: f64,
}

/// The rounds at one concurrency.
struct Rounds {
    workers: usize,
    rollouts: Vec<f64>,
    floor: Vec<f64>,
    seconds: Vec<f64>,
}

/// Measures floor and rollouts in turn, so that a machine that gets slower slows both.
pub(super) async fn measure(bed: &Bed, arguments: &Arguments) -> anyhow::Result<Figures> {
    let new = |&workers: &usize| Rounds {
        workers: workers.max(1),
        rollouts: Vec::new(),
        floor: Vec::new(),
        seconds: Vec::new(),
    };
    let mut all: Vec<Rounds> = arguments.workers.iter().map(new).collect();
    ensure!(!all.is_empty(), "there is no concurrency to try");
    say::people("warming up");
    floor(bed, 1, 1).await?;
    rollouts(bed, 1, 1).await?;
    for round in 1..=arguments.rounds {
        for rounds in &mut all {
            let workers = rounds.workers;
            let pairs = floor(bed, arguments.rollouts, workers).await?;
            let (rate, seconds) = rollouts(bed, arguments.rollouts, workers).await?;
            say::people(format!(
                "round {round}, {workers} at once: floor {pairs:.2} pairs/s, rollouts {rate:.2}/s, ratio {:.2}",
                rate / pairs
            ));
            rounds.floor.push(pairs);
            rounds.rollouts.push(rate);
            rounds.seconds.extend(seconds);
        }
    }
    Ok(figures(bed, arguments, &all))
}

fn figures(bed: &Bed, arguments: &Arguments, all: &[Rounds]) -> Figures {
    let concurrencies: Vec<Concurrency> = all
        .iter()
        .map(|rounds| Concurrency {
            workers: rounds.workers,
            rollouts_per_second: median(&rounds.rollouts),
            floor_pairs_per_second: median(&rounds.floor),
            p50_seconds: quantile(&rounds.seconds, 0.5),
            p99_seconds: quantile(&rounds.seconds, 0.99),
        })
        .collect();
    let most_pairs_per_second =
        concurrencies.iter().map(|concurrency| concurrency.floor_pairs_per_second).fold(0.0, f64::max);
    let (best_workers, rollouts_per_second, floor_pairs_per_second) = concurrencies
        .iter()
        .map(|one| (one.workers, one.rollouts_per_second, one.floor_pairs_per_second))
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap_or_default();
    let workers: Vec<String> = arguments.workers.iter().map(ToString::to_string).collect();
    let mut command = format!(
        "cargo xtask bench rollouts --rollouts {} --workers {} --rounds {}",
        arguments.rollouts,
        workers.join(","),
        arguments.rounds
    );
    if arguments.common.debug_build {
        command.push_str(" --debug-build");
    }
    Figures {
        command,
        place: bed.place.clone(),
        task: TEMPLATE,
        actions: bed.steps,
        rollouts_per_round: arguments.rollouts,
        rounds: arguments.rounds,
        concurrencies,
        best_workers,
        rollouts_per_second,
        floor_pairs_per_second,
        ratio: rollouts_per_second / floor_pairs_per_second,
        most_pairs_per_second,
        ratio_to_most: rollouts_per_second / most_pairs_per_second,
    }
}

/// Pairs of containers a second: each is created, started and removed, and nothing else.
async fn floor(bed: &Bed, pairs: u64, workers: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut lanes = stream::iter(0..pairs)
        .map(|_| async {
            for _ in 0..CONTAINERS {
                bed.docker.bare(&bed.spec).await?.remove().await?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(workers);
    while let Some(pair) = lanes.next().await {
        pair?;
    }
    Ok(pairs as f64 / began.elapsed().as_secs_f64())
}

/// Rollouts a second of a whole run, from the plan until the last container is gone, and the seconds of each.
async fn rollouts(bed: &Bed, count: u64, workers: usize) -> anyhow::Result<(f64, Vec<f64>)> {
    let watch = Arc::new(Mutex::new(Watch::default()));
    let watching = Arc::clone(&watch);
    let hear = move |event| watching.lock().unwrap_or_else(PoisonError::into_inner).hear(&event);
    let world = bed.world(Arc::new(hear)).await?;
    let folder = tempfile::tempdir_in(&bed.folder)?;
    let order = RunOrder {
        folder: folder.path().join("run"),
        name: "bench".parse()?,
        plan: Some(PlanOrder {
            templates: Selection(vec![TEMPLATE.to_owned()]),
            seeds: (0..count).map(Seed).collect(),
            models: Vec::new(),
            route: None,
            scaffolds: vec!["oracle".to_owned()],
            attempts: 1,
        }),
        workers,
        max_tries: 1,
        caps: Caps::default(),
        unpriced: Unpriced::Refuse,
        ledger: None,
    };
    let seconds = timed(&world, &order).await?;
    let watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = usize::try_from(count)?;
    let (done, steps) = (watch.seconds.len(), watch.steps);
    ensure!(done == wanted, "{done} of {count} rollouts succeeded; {}", watch.problems.join("; "));
    ensure!(steps == wanted * bed.steps, "{steps} steps were recorded, {} are right", wanted * bed.steps);
    Ok((count as f64 / seconds, watch.seconds.clone()))
}

async fn timed(world: &World, order: &RunOrder) -> anyhow::Result<f64> {
    let began = Instant::now();
    run(world, order, &CancellationToken::new()).await?;
    Ok(began.elapsed().as_secs_f64())
}

/// What the events of a run tell.
#[derive(Default)]
struct Watch {
    under_way: HashMap<RolloutId, Instant>,
    seconds: Vec<f64>,
    steps: usize,
    problems: Vec<String>,
}

impl Watch {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::RolloutStarted { rollout } => {
                self.under_way.insert(rollout.clone(), Instant::now());
            }
            Event::StepRecorded { .. } => self.steps += 1,
            Event::RolloutFinished { rollout, outcome: Outcome::Success, .. } => {
                let began = self.under_way.remove(rollout);
                self.seconds.extend(began.map(|began| began.elapsed().as_secs_f64()));
            }
            Event::RolloutFinished { .. } | Event::RolloutRetried { .. } | Event::Warning { .. } => {
                self.problems.push(format!("{event:?}"));
            }
            _ => {}
        }
    }
}

impl Report for Figures {
    fn text(&self) -> String {
        let mut text = format!("**{}**\n\n", self.headline());
        let _ = writeln!(text, "`{}`\n\n{}.\n", self.command, self.place);
        text.push_str(&self.table());
        text
    }
}

impl Figures {
    /// What counts, in one line.
    pub(super) fn headline(&self) -> String {
        let Self { best_workers, rollouts_per_second, ratio, ratio_to_most, .. } = self;
        format!(
            "{rollouts_per_second:.2} rollouts/s ({:.0} an hour) at {best_workers} at once, {ratio:.2} of the floor there and {ratio_to_most:.2} of \
             the floor at its own best",
            rollouts_per_second * 3600.0
        )
    }

    /// Each concurrency in a row.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let actions = self.actions;
        let _ = writeln!(
            text,
            "{} rollouts of `{}` ({actions} actions, by the oracle, verified in a fresh container, journal on disk) in each of \
             {} rounds, in turn with\nthe floor: {CONTAINERS} containers with the same options created, started and removed for each \
             rollout. Medians of the rounds.\n",
            self.rollouts_per_round, self.task, self.rounds
        );
        text.push_str(
            "| at once | rollouts/s | floor pairs/s | ratio | p50 | p99 |\n|---|---|---|---|---|---|\n",
        );
        for concurrency in &self.concurrencies {
            let Concurrency {
                workers,
                rollouts_per_second,
                floor_pairs_per_second,
                p50_seconds,
                p99_seconds,
            } = concurrency;
            let _ = writeln!(
                text,
                "| {workers} | {rollouts_per_second:.2} | {floor_pairs_per_second:.2} | {:.2} | {p50_seconds:.2} s | {p99_seconds:.2} s |",
                rollouts_per_second / floor_pairs_per_second
            );
        }
        text
    }
}
