//! `metadata.json`: what a dataset says of itself, for programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trajforge_schema::{DropReason, Rate, Tally};

use crate::split::Split;

/// The version of this file.
pub(crate) const SCHEMA_VERSION: u32 = 1;
/// Its name.
pub(crate) const FILE: &str = "metadata.json";

/// Everything about a dataset but its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version of this file.
    pub schema_version: u32,
    /// The dataset's name, for people.
    pub name: String,
    /// The licence of the data: a lower-case SPDX identifier.
    pub license: String,
    /// The program that made it, with its version.
    pub generator: String,
    /// When the last of its rollouts ended: `2026-01-02T03:04:05Z`.
    pub last_rollout_at: String,
    /// The runs that it was made from.
    pub source_runs: Vec<String>,
    /// Trajectories in all splits.
    pub total_trajectories: u64,
    /// Tasks among them.
    pub total_tasks: u64,
    /// Steps of all of them.
    pub total_steps: u64,
    /// The splits that have rows.
    pub splits: BTreeMap<Split, SplitInfo>,
    /// The share of the trajectories in this dataset that reached the full reward, in [0, 1].
    pub success_rate: f64,
    /// What the trajectories were chosen from.
    pub raw: RawInfo,
    /// Steps of a trajectory, on average.
    pub avg_trajectory_length: f64,
    /// Steps of a trajectory, in detail.
    pub trajectory_length: Lengths,
    /// Trajectories of each outcome.
    pub result_distribution: BTreeMap<String, u64>,
    /// Trajectories of each category.
    pub category_distribution: BTreeMap<String, u64>,
    /// Trajectories of each template.
    pub template_distribution: BTreeMap<String, u64>,
    /// Trajectories of each difficulty.
    pub difficulty_distribution: BTreeMap<String, u64>,
    /// Trajectories of each model; `oracle` is a template's own solution.
    pub llm_distribution: BTreeMap<String, u64>,
    /// Trajectories of each scaffold.
    pub scaffold_distribution: BTreeMap<String, u64>,
    /// Trajectories of each provenance: model, oracle, simulated, control.
    pub provenance_distribution: BTreeMap<String, u64>,
    /// Trajectories that read or write each programming language.
    pub language_distribution: BTreeMap<String, u64>,
    /// Trajectories that take each skill.
    pub skill_distribution: BTreeMap<String, u64>,
    /// How evenly the trajectories are spread.
    pub balance: Balance,
    /// What it took to make them.
    pub spending: Spending,
    /// The columns, in order.
    pub schema: Vec<ColumnInfo>,
    /// The Parquet files.
    pub files: Vec<FileInfo>,
}

/// One split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitInfo {
    /// Its trajectories.
    pub trajectories: u64,
    /// Its task clusters, none of which is in another split.
    pub clusters: u64,
    /// Bytes of its rows, uncompressed, as Python's `datasets` counts them.
    pub num_bytes: u64,
}

/// What the trajectories were chosen from: `submitted = kept + dropped`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawInfo {
    /// Every rollout that was looked at.
    pub submitted: u64,
    /// Those in this dataset.
    pub kept: u64,
    /// Those left out, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Of all attempts, before anything was dropped; controls are no attempts.
    pub success_rate: Option<f64>,
    /// Its numerator and denominator.
    pub attempts: RateInfo,
    /// The same for each difficulty.
    pub by_difficulty: BTreeMap<String, RateInfo>,
    /// The same for each category.
    pub by_category: BTreeMap<String, RateInfo>,
    /// The same for each model, an oracle included.
    pub by_llm: BTreeMap<String, RateInfo>,
}

/// A rate with its denominator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateInfo {
    /// All of them.
    pub rollouts: u64,
    /// Those with the full reward.
    pub successes: u64,
    /// The share, in [0, 1]; null where there are none.
    pub success_rate: Option<f64>,
}

/// How many steps trajectories have. Percentiles are those of the nearest rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// The fewest.
    pub min: u64,
    /// A tenth has no more.
    pub p10: u64,
    /// Half has no more.
    pub p50: u64,
    /// Nine tenths have no more.
    pub p90: u64,
    /// Ninety-nine of a hundred have no more.
    pub p99: u64,
    /// The most.
    pub max: u64,
    /// On average.
    pub mean: f64,
}

/// exp(entropy) / number of values: 1 where all values are equally frequent, near 0 where one of many dominates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// Over the categories.
    pub categories: f64,
    /// Over the templates.
    pub templates: f64,
    /// Over the difficulties.
    pub difficulties: f64,
    /// Over the programming languages.
    pub languages: f64,
    /// Over the skills.
    pub skills: f64,
}

/// What it took to make the trajectories of this dataset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// Model tokens, read and written.
    pub total_tokens: u64,
    /// Read.
    pub input_tokens: u64,
    /// Of those, from a provider's cache.
    pub cached_tokens: u64,
    /// Written.
    pub output_tokens: u64,
    /// US dollars, where prices are known.
    pub cost_usd: f64,
    /// The trajectories whose price is known.
    pub trajectories_with_known_cost: u64,
    /// US dollars for each of those.
    pub avg_cost_per_trajectory_usd: Option<f64>,
    /// Seconds that agents worked, all together.
    pub execution_seconds: f64,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its type, for people.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its meaning.
    pub description: String,
    /// Its type, as `datasets.Features.from_dict` takes it.
    pub feature: Value,
}

/// One Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Relative to the dataset's folder.
    pub path: String,
    /// The split that it holds.
    pub split: Split,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The BLAKE3 digest of its bytes, as hexadecimal digits.
    pub blake3: String,
}

impl From<Rate> for RateInfo {
    fn from(rate: Rate) -> Self {
        Self { rollouts: rate.rollouts, successes: rate.successes, success_rate: rate.share() }
    }
}

impl From<&Tally> for RawInfo {
    fn from(tally: &Tally) -> Self {
        let named = |(name, rate): (&String, &Rate)| (name.clone(), RateInfo::from(*rate));
        let by_difficulty = tally.by_difficulty.iter();
        Self {
            submitted: tally.submitted,
            kept: tally.kept,
            dropped: tally.dropped.clone(),
            success_rate: tally.attempts.share(),
            attempts: tally.attempts.into(),
            by_difficulty: by_difficulty
                .map(|(difficulty, rate)| (difficulty.as_str().to_owned(), RateInfo::from(*rate)))
                .collect(),
            by_category: tally.by_category.iter().map(named).collect(),
            by_llm: tally.by_llm.iter().map(named).collect(),
        }
    }
}
