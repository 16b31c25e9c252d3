//! Experiments: what a design decision is worth, over simulated models, with intervals.

mod arm;
mod interval;
mod plot;
mod router;
mod table;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

/// What to find out.
#[derive(Debug, Subcommand)]
pub(crate) enum Experiment {
    /// Success and cost of each routing policy over simulated models of different competence and price
    Router(router::Arguments),
}

/// Carries out one experiment; exits with 1 where what it should show does not hold.
pub(crate) fn experiment(root: &Path, experiment: &Experiment) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Experiment::Router(arguments) = experiment;
    let holds = runtime.block_on(router::run(root, arguments))?;
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
