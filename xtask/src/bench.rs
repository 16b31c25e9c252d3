//! Benchmarks: figures of ours beside the bare floor, or beside what others use, measured in one run.

mod action;
mod bed;
mod figures;
mod gateway;
pub(crate) mod results;
mod rollouts;
mod sandbox;
mod scaffolds;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::say;
use bed::Bed;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Rollouts a second, beside create + start + remove of as many containers
    Rollouts(rollouts::Arguments),
    /// One shell action, beside one `docker exec true`
    Action(action::Arguments),
    /// An action, a delta of 2,000 files, the tunnel, a fork, whole rollouts, and what kills leave behind
    Sandbox(sandbox::Arguments),
    /// What each scaffold takes beyond its commands: to start, and for each action
    Scaffolds(scaffolds::Arguments),
    /// What the gateway adds, beside LiteLLM's proxy
    Gateway(gateway::Arguments),
}

/// What every benchmark takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Write the figures into bench/RESULTS.md
    #[arg(long)]
    record: bool,
    /// Measure the build without optimisations, too: quicker to begin with, and slower than what a user runs
    #[arg(long)]
    debug_build: bool,
}

/// Carries out one benchmark.
pub(crate) fn bench(root: &Path, bench: &Bench) -> anyhow::Result<ExitCode> {
    let common = match bench {
        Bench::Rollouts(arguments) => &arguments.common,
        Bench::Action(arguments) => &arguments.common,
        Bench::Sandbox(arguments) => &arguments.common,
        Bench::Scaffolds(arguments) => &arguments.common,
        Bench::Gateway(arguments) => &arguments.common,
    };
    if cfg!(debug_assertions) && !common.debug_build {
        return in_release(root);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match bench {
            Bench::Rollouts(arguments) => {
                let bed = Bed::open(root).await?;
                report(root, common, "rollouts", &rollouts::measure(&bed, arguments).await?)
            }
            Bench::Action(arguments) => {
                let bed = Bed::open(root).await?;
                report(root, common, "action", &action::measure(&bed, arguments).await?)
            }
            Bench::Sandbox(arguments) => {
                let bed = Bed::open(root).await?;
                report(root, common, "sandbox", &sandbox::measure(root, &bed, arguments).await?)
            }
            Bench::Scaffolds(arguments) => {
                let bed = Bed::open(root).await?;
                report(root, common, "scaffolds", &scaffolds::measure(&bed, arguments).await?)
            }
            Bench::Gateway(arguments) => {
                report(root, common, "gateway", &gateway::measure(root, arguments).await?)
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Figures that can be shown and written down.
trait Report: Serialize {
    /// As a section's body in Markdown.
    fn text(&self) -> String;
}

fn report(root: &Path, common: &Common, name: &str, report: &impl Report) -> anyhow::Result<()> {
    let text = report.text();
    if common.json {
        say::data(serde_json::to_string_pretty(report)?)?;
    } else {
        say::data(&text)?;
    }
    if common.record {
        results::record(root, name, &text)?;
    }
    Ok(())
}

/// The same command, built as what a user runs.
#[expect(clippy::disallowed_methods, reason = "the command line is handed on as it is")]
fn in_release(root: &Path) -> anyhow::Result<ExitCode> {
    say::people("building with optimisations; --debug-build measures this build instead");
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "xtask", "--"])
        .args(std::env::args().skip(1))
        .current_dir(root)
        .status()
        .context("run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
