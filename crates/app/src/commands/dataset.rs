//! `trajforge dataset`: build and stats.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use trajforge_pipeline::dataset::{self, DatasetOrder, Filter, Metadata, SplitPolicy};

use crate::cli::{DatasetBuild, DatasetCommand, Global, SplitChoice};
use crate::output;

pub(crate) fn dataset(global: &Global, command: DatasetCommand) -> anyhow::Result<ExitCode> {
    match command {
        DatasetCommand::Build(order) => build(global, order),
        DatasetCommand::Stats { dataset } => {
            let metadata = dataset::stats(&dataset)?;
            print(global, &dataset, &metadata)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn build(global: &Global, order: DatasetBuild) -> anyhow::Result<ExitCode> {
    let of_folder = || order.out.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = order.name.clone().or_else(of_folder).unwrap_or_else(|| "trajectories".to_owned());
    let built = DatasetOrder {
        runs: order.runs,
        out: order.out,
        name,
        license: order.license,
        split: match order.split {
            SplitChoice::Standard => SplitPolicy::Standard,
            SplitChoice::AllTrain => SplitPolicy::AllTrain,
        },
        filter: Filter {
            min_reward: order.min_reward,
            keep_failures: true,
            keep_controls: order.keep_controls,
            allow_simulated: order.allow_simulated,
        },
    };
    let metadata = dataset::build(&built, &|_, _| {})?;
    print(global, &built.out, &metadata)?;
    Ok(ExitCode::SUCCESS)
}

/// A dataset's figures, with their denominators.
pub(crate) fn print(global: &Global, folder: &Path, metadata: &Metadata) -> anyhow::Result<()> {
    if global.json {
        return output::json(metadata);
    }
    let raw = &metadata.raw;
    let dropped: u64 = raw.dropped.values().sum();
    let reasons: Vec<String> =
        raw.dropped.iter().map(|(reason, count)| format!("{} {count}", reason.as_str())).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    output::data(format!(
        "{} trajectories in {}: submitted {} = kept {} + dropped {dropped}{reasons}",
        metadata.total_trajectories,
        folder.display(),
        raw.submitted,
        raw.kept,
    ))?;
    let share = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
    output::data(format!(
        "success: {} of the kept; raw {} of {} attempts",
        share(Some(metadata.success_rate)),
        share(raw.success_rate),
        raw.attempts.rollouts,
    ))?;
    let mut table = output::table(&["split", "trajectories", "task clusters"]);
    for (split, info) in &metadata.splits {
        table.add_row([split.as_str().to_owned(), info.trajectories.to_string(), info.clusters.to_string()]);
    }
    output::data(table)?;
    let counts = |counts: &BTreeMap<String, u64>| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    output::data(format!("categories: {}", counts(&metadata.category_distribution)))?;
    output::data(format!("difficulty: {}", counts(&metadata.difficulty_distribution)))?;
    output::data(format!("models: {}", counts(&metadata.llm_distribution)))?;
    let lengths = &metadata.trajectory_length;
    output::data(format!("steps: {:.1} on average, {} to {}", lengths.mean, lengths.min, lengths.max))?;
    output::say(format!("read it in Python: datasets.load_dataset({:?})", folder.display().to_string()));
    Ok(())
}
