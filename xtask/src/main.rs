//! What a maintainer runs: house rules, golden digests, benchmarks.

mod bench;
mod experiment;
mod golden;
mod say;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// Tasks of trajforge's own house.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Checks the house rules; exits with 1 when something is found
    Tidy(tidy::Arguments),
    /// Writes the digests of the first members of every template, or compares them
    Golden(golden::Arguments),
    /// Measures rollouts and actions against the bare container engine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Compares designs over simulated models, with intervals
    #[command(subcommand)]
    Experiment(experiment::Experiment),
}

fn main() -> anyhow::Result<ExitCode> {
    let root = root();
    match Task::parse() {
        Task::Tidy(arguments) => tidy::tidy(&root, &arguments),
        Task::Golden(arguments) => golden::golden(&root, &arguments),
        Task::Bench(bench) => bench::bench(&root, &bench),
        Task::Experiment(experiment) => experiment::experiment(&root, &experiment),
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
