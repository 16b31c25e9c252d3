//! `trajforge run`: plan and execute here.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::json;
use trajforge_pipeline::run::{PlanOrder, dry_run};
use trajforge_pipeline::{
    Error, RunOrder, RunReport, Selection, World, check_route, parse_seeds, read_route, run as run_all,
};
use trajforge_schema::{ModelEntry, Models, PolicyName, Route, RunName};

use crate::cli::{Global, Run};
use crate::{output, progress, system};

pub(crate) async fn run(global: &Global, order: Run) -> anyhow::Result<ExitCode> {
    let route = route(&order)?;
    let plan = PlanOrder {
        templates: Selection(order.template.clone()),
        seeds: parse_seeds(&order.seeds)?,
        models: if route.is_some() { Vec::new() } else { order.models.clone() },
        scaffolds: order.scaffolds.clone(),
        attempts: if route.is_some() { 1 } else { order.attempts.unwrap_or(1) },
        route,
    };
    let (folder, name) = place(&order)?;
    let walls = order.walls.clone().into();
    let mut world = system::world_behind(walls, global, progress::events()).await?;
    if let Some((path, tape)) = order.tape.clone().of() {
        world.cassette = Some(tape.open(&path)?);
    }
    add_endpoint(&mut world, &order)?;
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
        caps: order.money.caps(),
        unpriced: order.money.unpriced(),
        ledger: order.money.ledger.clone(),
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

/// The route that the options or the file describe; attempts that are asked for are the route's.
fn route(order: &Run) -> anyhow::Result<Option<Route>> {
    let route = match (&order.router, order.policy) {
        (Some(file), _) => read_route(file).map_err(Error::from)?,
        (None, Some(policy)) => {
            let policy = PolicyName::from(policy);
            let models = models(order, policy)?;
            let failover = order.failover.clone();
            let name = policy.as_str().to_owned();
            Route { name, policy, models, failover, attempts: None, target: order.target }
        }
        (None, None) => return Ok(None),
    };
    let attempts = order.attempts.or(route.attempts);
    let route = Route { attempts, ..route };
    check_route(&route).map_err(Error::from)?;
    Ok(Some(route))
}

/// `a,b`, or `a=3,b=1` where weights mean something.
fn models(order: &Run, policy: PolicyName) -> anyhow::Result<Models> {
    if !order.models.iter().any(|name| name.contains('=')) {
        return Ok(Models::Equal(order.models.clone()));
    }
    if !matches!(policy, PolicyName::Weighted | PolicyName::Experiment) {
        bail!("weights go with --policy weighted or experiment");
    }
    let one = |text: &String| {
        let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
        let weight = weight.parse().with_context(|| format!("the weight in {text:?} is no whole number"))?;
        Ok((name.to_owned(), weight))
    };
    Ok(Models::Weighted(order.models.iter().map(one).collect::<anyhow::Result<_>>()?))
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
            "spent": report.spent,
            "cap_reached": report.cap_reached,
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
        report.spent,
    ))?;
    let folder = report.folder.display();
    if let Some(cap) = &report.cap_reached {
        output::say(format!("stopped: {cap}; {} rollouts wait", counts.planned - counts.finished()));
        output::say(format!("hint: go on with `trajforge run --resume --out {folder} --max-cost USD`"));
    }
    output::say(format!("look at it: trajforge status {folder} --rollouts"));
    output::say(format!("make a dataset of it: trajforge dataset build {folder} --out datasets/NAME"));
    Ok(())
}
