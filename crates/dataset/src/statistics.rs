//! Numbers over the rows of a dataset, taken one row at a time in the order of the files.

use std::collections::{BTreeMap, BTreeSet};

use trajforge_schema::{MicroDollars, Outcome, Timestamp, Usage};

use crate::metadata::{Balance, Lengths, Spending};
use crate::row::Waiting;

/// What has been counted so far.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) trajectories: u64,
    pub(crate) successes: u64,
    pub(crate) steps: u64,
    pub(crate) last_finished: Timestamp,
    pub(crate) runs: BTreeSet<String>,
    pub(crate) tasks: BTreeSet<String>,
    pub(crate) results: Counted,
    pub(crate) categories: Counted,
    pub(crate) templates: Counted,
    pub(crate) difficulties: Counted,
    pub(crate) llms: Counted,
    pub(crate) scaffolds: Counted,
    pub(crate) provenances: Counted,
    pub(crate) languages: Counted,
    pub(crate) skills: Counted,
    /// How many trajectories have how many steps.
    pub(crate) lengths: BTreeMap<u64, u64>,
    usage: Usage,
    cost: MicroDollars,
    with_cost: u64,
    execution_seconds: f64,
}

/// How often each value occurs.
pub(crate) type Counted = BTreeMap<String, u64>;

impl Statistics {
    pub(crate) fn add(&mut self, row: &Waiting) {
        let (header, summary) = (&row.header, &row.summary);
        let steps = row.steps.len() as u64;
        self.trajectories += 1;
        self.successes += u64::from(summary.outcome == Outcome::Success);
        self.steps += steps;
        self.last_finished = self.last_finished.max(summary.finished);
        self.runs.insert(header.run.to_string());
        self.tasks.insert(header.rollout.task.to_string());
        *self.lengths.entry(steps).or_default() += 1;
        count(&mut self.results, summary.outcome.as_str());
        count(&mut self.categories, &header.category);
        count(&mut self.templates, header.rollout.template.as_str());
        count(&mut self.difficulties, header.difficulty.as_str());
        count(&mut self.llms, header.llm_model());
        count(&mut self.scaffolds, &header.rollout.scaffold);
        count(&mut self.provenances, header.provenance.as_str());
        header.languages.iter().for_each(|language| count(&mut self.languages, language));
        header.skills.iter().for_each(|skill| count(&mut self.skills, skill));
        self.usage += summary.usage;
        self.cost += summary.cost.unwrap_or_default();
        self.with_cost += u64::from(summary.cost.is_some());
        self.execution_seconds += summary.execution_seconds;
    }

    pub(crate) fn success_rate(&self) -> f64 {
        ratio(self.successes as f64, self.trajectories)
    }

    pub(crate) fn lengths(&self) -> Lengths {
        Lengths {
            min: self.lengths.keys().next().copied().unwrap_or(0),
            p10: self.percentile(10),
            p50: self.percentile(50),
            p90: self.percentile(90),
            p99: self.percentile(99),
            max: self.lengths.keys().next_back().copied().unwrap_or(0),
            mean: ratio(self.steps as f64, self.trajectories),
        }
    }

    pub(crate) fn balance(&self) -> Balance {
        Balance {
            categories: balance(&self.categories),
            templates: balance(&self.templates),
            difficulties: balance(&self.difficulties),
            languages: balance(&self.languages),
            skills: balance(&self.skills),
        }
    }

    pub(crate) fn spending(&self) -> Spending {
        let cost = self.cost.as_dollars();
        Spending {
            total_tokens: self.usage.total().0,
            input_tokens: self.usage.input.0,
            cached_tokens: self.usage.cached_input.0,
            output_tokens: self.usage.output.0,
            cost_usd: cost,
            trajectories_with_known_cost: self.with_cost,
            avg_cost_per_trajectory_usd: (self.with_cost > 0).then(|| ratio(cost, self.with_cost)),
            execution_seconds: self.execution_seconds,
        }
    }

    /// The smallest length that at least `percent` of the trajectories do not exceed.
    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.trajectories * percent).div_ceil(100);
        let mut seen = 0;
        for (length, count) in &self.lengths {
            seen += count;
            if seen >= rank {
                return *length;
            }
        }
        0
    }
}

fn count(counted: &mut Counted, value: &str) {
    *counted.entry(value.to_owned()).or_default() += 1;
}

fn ratio(part: f64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part / whole as f64 }
}

/// exp(entropy) / number of values, to six decimals: the last bits of a logarithm differ between machines.
fn balance(counted: &Counted) -> f64 {
    let total: u64 = counted.values().sum();
    if total == 0 {
        return 0.0;
    }
    let entropy: f64 = counted
        .values()
        .map(|count| {
            let share = *count as f64 / total as f64;
            -share * share.ln()
        })
        .sum();
    (entropy.exp() / counted.len() as f64 * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balance_is_one_for_equal_shares_and_falls_when_one_value_dominates() {
        let counted = |counts: &[u64]| -> Counted {
            counts.iter().enumerate().map(|(index, count)| (index.to_string(), *count)).collect()
        };
        assert!((balance(&counted(&[5, 5, 5, 5])) - 1.0).abs() < 1e-6);
        let skewed = balance(&counted(&[97, 1, 1, 1]));
        assert!((0.25..0.35).contains(&skewed), "{skewed}");
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let statistics = Statistics {
            trajectories: 10,
            lengths: (1..=10).map(|length| (length, 1)).collect(),
            ..Statistics::default()
        };
        let lengths = statistics.lengths();
        assert_eq!((lengths.min, lengths.p10, lengths.p50, lengths.p90, lengths.max), (1, 1, 5, 9, 10));
        assert_eq!(lengths.p99, 10);
    }
}
