//! `trajforge quickstart`: a dataset from nothing, without a model: every oracle, some controls, one dataset.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use trajforge_pipeline::dataset::{self, DatasetOrder, Filter, SplitPolicy};
use trajforge_pipeline::run::PlanOrder;
use trajforge_pipeline::{RunOrder, RunReport, Selection, World, parse_seeds, run};
use trajforge_schema::{Caps, Seed, Unpriced};

use crate::cli::{Global, Quickstart};
use crate::commands::dataset::print;
use crate::{output, progress, system};

pub(crate) async fn quickstart(global: &Global, order: Quickstart) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let seeds = parse_seeds(&order.seeds)?;
    let controls = order.run.with_file_name(format!("{}-controls", name_of(&order.run)));
    if order.fresh {
        remove(&order.run, "run.json")?;
        remove(&controls, "run.json")?;
        remove(&order.out, "metadata.json")?;
    }
    let world = system::world(global, progress::events()).await?;
    let cancel = system::cancelled_by_signals()?;
    let workers = system::workers(order.workers);
    output::say("1/3 every template's oracle at work in containers");
    let oracle = one_run(&world, &order.run, ("oracle", seeds.clone()), workers, &cancel).await?;
    output::say("2/3 controls: the same containers, and nobody acts");
    let control =
        one_run(&world, &controls, ("nop", seeds.into_iter().take(1).collect()), workers, &cancel).await?;
    world.sandboxes.drain().await;
    output::say("3/3 the dataset");
    let metadata = dataset::build(
        &DatasetOrder {
            runs: vec![order.run.clone(), controls.clone()],
            out: order.out.clone(),
            name: name_of(&order.out),
            license: "apache-2.0".to_owned(),
            split: SplitPolicy::Standard,
            filter: Filter::default(),
        },
        &|_, _| {},
    )?;
    let seconds = started.elapsed().as_secs_f64();
    let all_well =
        oracle.counts.success == oracle.counts.planned && control.counts.failure == control.counts.planned;
    if global.json {
        output::json(
            &json!({ "oracle": oracle, "controls": control, "dataset": metadata, "seconds": seconds }),
        )?;
    } else {
        print(global, &order.out, &metadata)?;
        words(&order, &controls, (&oracle, &control), seconds)?;
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Begins a run, or goes on with the one that is there.
async fn one_run(
    world: &World,
    folder: &Path,
    (scaffold, seeds): (&str, Vec<Seed>),
    workers: usize,
    cancel: &CancellationToken,
) -> anyhow::Result<RunReport> {
    let plan = PlanOrder {
        templates: Selection::default(),
        seeds,
        models: Vec::new(),
        route: None,
        scaffolds: vec![scaffold.to_owned()],
        attempts: 1,
    };
    let exists = folder.join("run.json").is_file();
    if exists {
        output::say(format!(
            "{} is there already: going on with it (--fresh begins again)",
            folder.display()
        ));
    }
    let order = RunOrder {
        folder: folder.to_owned(),
        name: name_of(folder).parse().context("the run's folder must be named like a run")?,
        plan: (!exists).then_some(plan),
        workers,
        max_tries: 3,
        caps: Caps::default(),
        unpriced: Unpriced::Refuse,
        ledger: None,
    };
    Ok(run(world, &order, cancel).await?)
}

fn words(
    order: &Quickstart,
    controls: &Path,
    (oracle, control): (&RunReport, &RunReport),
    seconds: f64,
) -> anyhow::Result<()> {
    let (run, out) = (order.run.display(), order.out.display());
    output::data(format!(
        "{} oracle rollouts, {} succeeded; {} controls, {} earned nothing; {} in all",
        oracle.counts.planned,
        oracle.counts.success,
        control.counts.planned,
        control.counts.failure,
        output::duration(seconds),
    ))?;
    output::say(format!(
        "\nwhere everything is\n  {run}  every step of every rollout\n  {}  the controls\n  {out}  the dataset: Parquet, metadata.json, README.md",
        controls.display()
    ));
    output::say(format!(
        "\nwhat to try next\n  trajforge status {run} --rollouts\n  trajforge show {run} ROLLOUT\n  \
         trajforge task make --template debugging/parcel-rates --seed 3 --out /tmp/task\n  \
         trajforge model list\n  \
         trajforge run --scaffold tools --model local-vllm --seeds 0..2 --out runs/first    (a real model)\n  \
         trajforge dataset build runs/first --out datasets/first"
    ));
    Ok(())
}

fn name_of(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "quickstart".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Removes what an earlier quickstart made: only a folder that holds what such a folder holds.
fn remove(folder: &PathBuf, sign: &str) -> anyhow::Result<()> {
    if folder.join(sign).is_file() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}
