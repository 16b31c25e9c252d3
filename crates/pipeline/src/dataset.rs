//! From runs to a dataset: every trajectory is judged, what is kept is split and written, what is dropped is counted.

use std::path::{Path, PathBuf};

use trajforge_dataset::{DatasetBuilder, Row, Settings};
use trajforge_filter::Judge;
use trajforge_schema::{RolloutId, Verdict};
use trajforge_trajectory::{RunStore, transcript};

use crate::error::Error;

pub use trajforge_dataset::{Metadata, SplitPolicy};
pub use trajforge_filter::Filter;

/// What to build.
#[derive(Debug, Clone)]
pub struct DatasetOrder {
    /// The runs' folders.
    pub runs: Vec<PathBuf>,
    /// The folder to make.
    pub out: PathBuf,
    /// The dataset's name.
    pub name: String,
    /// The licence, as the Hub writes it.
    pub license: String,
    /// How it is divided.
    pub split: SplitPolicy,
    /// What is let through.
    pub filter: Filter,
}

/// Builds a dataset; `on_verdict` hears of every rollout. Two runs at most once each, in the order of their names.
pub fn build(order: &DatasetOrder, on_verdict: &dyn Fn(&RolloutId, &Verdict)) -> Result<Metadata, Error> {
    let mut runs = order.runs.clone();
    runs.sort();
    runs.dedup();
    let stores = runs.iter().map(|run| RunStore::open(run)).collect::<Result<Vec<_>, _>>()?;
    let mut builder = DatasetBuilder::create(
        &order.out,
        Settings {
            name: order.name.clone(),
            license: order.license.clone(),
            generator: concat!("trajforge ", env!("CARGO_PKG_VERSION")).to_owned(),
            split: order.split,
        },
    )?;
    let mut judge = Judge::new(order.filter)?;
    for store in &stores {
        for recorded in store.trajectories() {
            let recorded = recorded?;
            let id = &recorded.spec.id;
            let Some(read) = recorded.journal else {
                on_verdict(id, &judge.never_began(recorded.spec));
                continue;
            };
            let verdict = judge.judge(&read.trajectory);
            on_verdict(id, &verdict);
            if verdict == Verdict::Keep {
                let chat = transcript(&read.trajectory);
                builder.push(Row {
                    trajectory: read.trajectory,
                    messages: chat.messages,
                    tools: chat.tools,
                })?;
            }
        }
    }
    Ok(builder.finish(judge.tally())?)
}

/// What a dataset says of itself, held against its files.
pub fn stats(folder: &Path) -> Result<Metadata, Error> {
    Ok(trajforge_dataset::stats(folder)?)
}
