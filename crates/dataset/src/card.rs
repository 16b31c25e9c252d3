//! `README.md`: the dataset card, for people and for the Hub, with its pictures.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use trajforge_schema::Provenance;

use crate::columns;
use crate::feature;
use crate::metadata::{Metadata, RateInfo};
use crate::plots::{Bar, bars};
use crate::split::Split;
use crate::statistics::Statistics;

const TEMPLATE: &str = include_str!("card.md.j2");
/// Step counts are drawn in this many bars.
const STEP_BARS: u64 = 12;

/// The card of a dataset.
pub(crate) fn card(metadata: &Metadata) -> String {
    let mut environment = Environment::new();
    environment.add_filter("percent", |share: Value| percent(f64::try_from(share).ok()));
    environment.add_function("rate", |rate: Value| {
        let number = |name: &str| rate.get_attr(name).unwrap_or_default();
        let share = percent(f64::try_from(number("success_rate")).ok());
        format!("{share} ({} of {})", number("successes"), number("rollouts"))
    });
    let with_provenance = |provenance: Provenance| {
        metadata.provenance_distribution.get(provenance.as_str()).copied().unwrap_or(0)
    };
    let columns: Vec<_> = metadata.schema.iter().map(short_column).collect();
    let mut meta = serde_json::to_value(metadata).expect("metadata is plain data with string keys");
    meta["schema"] = columns.into();
    let values = serde_json::json!({
        "meta": meta,
        "size_category": size_category(metadata.total_trajectories),
        "tags": tags(metadata),
        "features": feature::yaml(columns::schema().fields(), 2),
        "download_size": metadata.files.iter().map(|file| file.bytes).sum::<u64>(),
        "dataset_size": metadata.splits.values().map(|split| split.num_bytes).sum::<u64>(),
        "oracle": with_provenance(Provenance::Oracle),
        "simulated": with_provenance(Provenance::Simulated),
        "control": with_provenance(Provenance::Control),
        "cost": cost(metadata),
    });
    let rendered = environment.render_str(TEMPLATE, Value::from(Serde(&values)));
    rendered.expect("the card's template is part of the program and is rendered by its tests") + "\n"
}

/// The card's pictures: paths relative to the dataset's folder, and their content.
pub(crate) fn plots(metadata: &Metadata, statistics: &Statistics) -> Vec<(&'static str, String)> {
    let most = statistics.categories.values().max().copied().unwrap_or(0);
    let categories: Vec<Bar> =
        statistics.categories.iter().map(|(category, count)| bar(category.clone(), *count)).collect();
    let steps = step_bars(&statistics.lengths);
    let most_of_a_length = steps.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let success: Vec<Bar> = metadata.raw.by_difficulty.iter().map(success_bar).collect();
    vec![
        ("plots/categories.svg", bars("Trajectories by category", &categories, most as f64)),
        ("plots/steps.svg", bars("Trajectories by number of steps", &steps, most_of_a_length)),
        ("plots/success.svg", bars("Full reward by difficulty, before filtering", &success, 1.0)),
    ]
}

fn bar(label: String, count: u64) -> Bar {
    Bar { label, value: count as f64, text: count.to_string() }
}

fn success_bar((difficulty, rate): (&String, &RateInfo)) -> Bar {
    Bar {
        label: difficulty.clone(),
        value: rate.success_rate.unwrap_or(0.0),
        text: format!("{} of {}", percent(rate.success_rate), rate.rollouts),
    }
}

/// The lengths in at most `STEP_BARS` equally wide classes.
fn step_bars(lengths: &BTreeMap<u64, u64>) -> Vec<Bar> {
    let shortest = lengths.keys().next().copied().unwrap_or(0);
    let longest = lengths.keys().next_back().copied().unwrap_or(0);
    let width = (longest - shortest + 1).div_ceil(STEP_BARS);
    let mut bars = Vec::new();
    let mut from = shortest;
    while from <= longest {
        let to = from + width - 1;
        let count = lengths.range(from..=to).map(|(_, count)| count).sum();
        let label = if width == 1 { from.to_string() } else { format!("{from} to {to}") };
        bars.push(bar(label, count));
        from = to + 1;
    }
    bars
}

/// The type of a column as far as a table has room for it.
fn short_column(column: &crate::metadata::ColumnInfo) -> serde_json::Value {
    let short_type = match column.kind.find("struct<") {
        Some(_) => "list of structs",
        None => column.kind.as_str(),
    };
    serde_json::json!({
        "name": column.name,
        "short_type": short_type.replace('<', "&lt;").replace('>', "&gt;"),
        "description": column.description,
    })
}

fn tags(metadata: &Metadata) -> Vec<&'static str> {
    let mut tags = vec!["agent", "agent-trajectories", "tool-use", "code", "synthetic", "trajforge"];
    for provenance in [Provenance::Oracle, Provenance::Simulated, Provenance::Control] {
        if metadata.provenance_distribution.contains_key(provenance.as_str()) {
            tags.push(provenance.as_str());
        }
    }
    tags
}

fn size_category(rows: u64) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        _ => "1M<n<10M",
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn cost(metadata: &Metadata) -> String {
    let spending = &metadata.spending;
    match spending.avg_cost_per_trajectory_usd {
        None => "unknown".to_owned(),
        Some(average) => {
            let unknown = metadata.total_trajectories - spending.trajectories_with_known_cost;
            let unknown = if unknown > 0 { format!("; unknown for {unknown}") } else { String::new() };
            format!("${:.2}, ${average:.4} per trajectory{unknown}", spending.cost_usd)
        }
    }
}

impl Split {
    /// The name of the split's file.
    pub(crate) fn file_name(self) -> String {
        format!("{}.parquet", self.as_str())
    }
}
