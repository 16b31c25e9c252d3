//! `trajforge run`: plan and execute here.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::json;
use trajforge_pipeline::run::{PlanOrder, dry_run};
use trajforge_pipeline::{RunOrder, RunReport, Selection, World, parse_seeds, run as run_all};
use trajforge_schema::{ModelEntry, RunName};

use crate::cli::{Global, Run};
use crate::{output, progress, system};

pub(crate) async fn run(global: &Global, order: Run) -> anyhow::Result<ExitCode> {
    let plan = PlanOrder {
        templates: Selection(order.template.clone()),
        seeds: parse_seeds(&order.seeds)?,
        models: order.models.clone(),
        scaffolds: order.scaffolds.clone(),
        attempts: order.attempts,
    };
    let (folder, name) = place(&order)?;
    let mut world = system::world(global, progress::events()).await?;
    add_endpoint(&mut world, &order)?;
    check_prices(&world, &order)?;
    if order.dry_run {
        return print_plan(global, &world, &plan);
    }
    let cancel = system::cancelled_by_signals()?;
    let run_order = RunOrder {
        folder,
        name,
        plan: (!order.resume).then_some(plan),
        workers: system::workers(order.workers),
        max_tries: order.max_tries,
    };
    let started = Instant::now();
    let report = run_all(&world, &run_order, &cancel).await;
    world.sandboxes.drain().await;
    let report = report?;
    print_report(global, &report, started.elapsed().as_secs_f64())?;
    let well = report.complete && report.counts.error == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The run's folder and name: each follows from the other where only one is given.
fn place(order: &Run) -> anyhow::Result<(PathBuf, RunName)> {
    let of_folder = || order.out.as_ref()?.file_name()?.to_str().map(str::to_owned);
    let name = order.name.clone().or_else(of_folder).unwrap_or_else(|| order.scaffolds.join("-"));
    let name: RunName = name.parse().context("the run needs a name: give --name or another --out")?;
    let folder = order.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(name.as_str()));
    Ok((folder, name))
}

/// With `--base-url`, the one model is an entry of its own.
fn add_endpoint(world: &mut World, order: &Run) -> anyhow::Result<()> {
    let Some(base_url) = &order.base_url else { return Ok(()) };
    let [name] = order.models.as_slice() else { bail!("--base-url goes with exactly one --model") };
    world.catalog.add(ModelEntry {
        key_variable: order.key_variable.clone(),
        price: order.price,
        ..ModelEntry::at(name, base_url)
    });
    Ok(())
}

fn check_prices(world: &World, order: &Run) -> anyhow::Result<()> {
    for name in &order.models {
        let entry = world.catalog.entry(name).map_err(trajforge_pipeline::Error::from)?;
        if entry.price.is_none() && !order.allow_unpriced {
            return Err(trajforge_pipeline::Error::Unpriced { model: name.clone() }.into());
        }
    }
    Ok(())
}

fn print_plan(global: &Global, world: &World, plan: &PlanOrder) -> anyhow::Result<ExitCode> {
    let planned = dry_run(world, plan)?;
    if global.json {
        output::json(&planned.iter().map(|planned| &planned.spec).collect::<Vec<_>>())?;
    } else {
        for planned in &planned {
            output::data(&planned.spec.id)?;
        }
        output::say(format!("{} rollouts would be planned; nothing was done", planned.len()));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_report(global: &Global, report: &RunReport, seconds: f64) -> anyhow::Result<()> {
    let counts = &report.counts;
    if global.json {
        let rate = counts.success_rate();
        output::json(&json!({
            "folder": report.folder,
            "complete": report.complete,
            "counts": counts,
            "success_rate": rate,
            "seconds": seconds,
        }))?;
        return Ok(());
    }
    let rate = counts.success_rate().map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    output::data(format!(
        "{} of {} rollouts finished in {}: {} success, {} partial, {} failure, {} error; {rate} succeed; {}",
        counts.finished(),
        counts.planned,
        output::duration(seconds),
        counts.success,
        counts.partial,
        counts.failure,
        counts.error,
        counts.cost,
    ))?;
    let folder = report.folder.display();
    output::say(format!("look at it: trajforge status {folder} --rollouts"));
    output::say(format!("make a dataset of it: trajforge dataset build {folder} --out datasets/NAME"));
    Ok(())
}
