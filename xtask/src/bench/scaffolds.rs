//! What each scaffold takes beyond the commands themselves, on one task whose actions cost nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use trajforge_pipeline::run::PlanOrder;
use trajforge_pipeline::{RunOrder, Selection, World, recorded, run, run_status};
use trajforge_schema::{Caps, ModelEntry, Outcome, Seed, Skill, Trajectory, Unpriced};

use super::bed::{Bed, Place, TEMPLATE};
use super::figures::median;
use super::{Common, Report};
use crate::say;

/// The model: it plays the oracle without a mistake, and answers at once.
const MODEL: &str = "oracle-over-http";

/// Arguments of `bench scaffolds`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Rollouts of each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rollouts: u64,
    /// Which; `oracle` asks no model
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = ["oracle", "tools", "bash", "mini-swe-agent", "opencode", "openhands", "aider"].map(str::to_owned)
    )]
    scaffolds: Vec<String>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    command: String,
    place: Place,
    rollouts: u64,
    scaffolds: Vec<Row>,
}

/// One scaffold; medians over its rollouts.
#[derive(Debug, Serialize)]
struct Row {
    scaffold: String,
    /// From the sandbox being ready to the first request.
    start_seconds: f64,
    /// From there to the end, for each step.
    step_seconds: f64,
    /// From the sandbox being ready to the end.
    whole_seconds: f64,
    steps: f64,
    requests: f64,
}

/// One rollout.
struct Sample {
    start: f64,
    whole: f64,
    steps: f64,
    requests: f64,
}

/// Runs each scaffold in turn, one rollout after the other.
pub(super) async fn measure(bed: &Bed, arguments: &Arguments) -> anyhow::Result<Figures> {
    let mut world = bed.world(Arc::new(|_| {})).await?;
    let price = serde_json::from_str(r#"{"input": 0, "output": 0}"#)?;
    let skill: Skill = serde_json::from_str(
        r#"{"competence": {"easy": 1, "medium": 1, "hard": 1, "expert": 1}, "recovers": 0, "stubborn": 1}"#,
    )?;
    let entry = ModelEntry::at(MODEL, "http://127.0.0.1:0/v1");
    world.catalog.add(ModelEntry { price: Some(price), simulated: Some(skill), ..entry });
    let mut scaffolds = Vec::new();
    for scaffold in &arguments.scaffolds {
        say::people(format!("{scaffold}: {} rollouts", arguments.rollouts));
        let folder = tempfile::tempdir_in(&bed.folder)?;
        let samples = samples(&world, scaffold, arguments.rollouts, &folder.path().join("run")).await?;
        scaffolds.push(row(scaffold, &samples));
    }
    let mut command = format!("cargo xtask bench scaffolds --rollouts {}", arguments.rollouts);
    if arguments.common.debug_build {
        command.push_str(" --debug-build");
    }
    Ok(Figures { command, place: bed.place.clone(), rollouts: arguments.rollouts, scaffolds })
}

async fn samples(world: &World, scaffold: &str, count: u64, folder: &Path) -> anyhow::Result<Vec<Sample>> {
    let models = if scaffold == "oracle" { Vec::new() } else { vec![MODEL.to_owned()] };
    let order = RunOrder {
        folder: folder.to_owned(),
        name: "bench".parse()?,
        plan: Some(PlanOrder {
            templates: Selection(vec![TEMPLATE.to_owned()]),
            // The first one pays for what is made once: the layer, and the pages of its files in memory.
            seeds: (0..=count).map(Seed).collect(),
            models,
            route: None,
            scaffolds: vec![scaffold.to_owned()],
            attempts: 1,
        }),
        workers: 1,
        max_tries: 1,
        caps: Caps::default(),
        ledger: None,
        unpriced: Unpriced::Refuse,
    };
    run(world, &order, &CancellationToken::new()).await?;
    let (plan, ..) = run_status(folder, &*world.clock).await?;
    let ids = plan.rollouts.iter().skip(1).map(|spec| spec.id.as_str());
    ids.map(|id| sample(folder, id)).collect()
}

fn sample(folder: &Path, id: &str) -> anyhow::Result<Sample> {
    let Trajectory { header, steps, turns, summary, .. } = recorded(folder, id)?;
    let summary = summary.context("it did not finish")?;
    ensure!(
        summary.outcome == Outcome::Success,
        "{id} ended with {:?}: {:?}",
        summary.outcome,
        summary.ending
    );
    let exchanges = folder.join("rollouts").join(format!("{id}.scaffold/exchanges.jsonl.zst"));
    let exchanges = match std::fs::File::open(exchanges) {
        Ok(packed) => String::from_utf8(zstd::decode_all(packed)?)?,
        // A native scaffold has none.
        Err(_) => String::new(),
    };
    let first = exchanges.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let first = first.and_then(|exchange| exchange["started"].as_u64());
    let start = first.map_or(0.0, |first| first.saturating_sub(header.started.0) as f64 / 1000.0);
    let requests = if exchanges.is_empty() { turns.len() } else { exchanges.lines().count() };
    Ok(Sample {
        start,
        whole: summary.execution_seconds,
        steps: steps.len() as f64,
        requests: requests as f64,
    })
}

fn row(scaffold: &str, samples: &[Sample]) -> Row {
    let of = |value: fn(&Sample) -> f64| median(&samples.iter().map(value).collect::<Vec<_>>());
    Row {
        scaffold: scaffold.to_owned(),
        start_seconds: of(|sample| sample.start),
        step_seconds: of(|sample| (sample.whole - sample.start) / sample.steps.max(1.0)),
        whole_seconds: of(|sample| sample.whole),
        steps: of(|sample| sample.steps),
        requests: of(|sample| sample.requests),
    }
}

impl Report for Figures {
    fn text(&self) -> String {
        let slowest = self.scaffolds.iter().map(|row| row.step_seconds).fold(0.0, f64::max);
        let mut text = format!("**an action costs {:.0} ms at most**\n\n", slowest * 1000.0);
        let _ = writeln!(text, "`{}`\n\n{}.\n", self.command, self.place);
        let _ = writeln!(
            text,
            "{} rollouts of `{TEMPLATE}` by each scaffold, one after the other, against a model that plays the oracle over HTTP and\n\
             answers at once. Start: from the sandbox being ready to the first request. Action: the rest, for each step; the\n\
             commands themselves take next to nothing. Medians.\n",
            self.rollouts
        );
        text.push_str(
            "| scaffold | start | action | whole | steps | requests |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.scaffolds {
            let Row { scaffold, start_seconds, step_seconds, whole_seconds, steps, requests } = row;
            let _ = writeln!(
                text,
                "| {scaffold} | {start_seconds:.2} s | {:.0} ms | {whole_seconds:.2} s | {steps} | {requests} |",
                step_seconds * 1000.0
            );
        }
        text
    }
}
