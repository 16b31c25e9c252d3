//! A route: which models, chosen by which policy, as a file or the command line says it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// The pass rate that `capability` wants of each task, where nothing is said.
const TARGET: f64 = 0.9;
/// Attempts at a task that `capability` makes, where nothing is said.
const ATTEMPTS: u32 = 3;

/// How models are chosen: a `router.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name, which stands where a model's would in ids; of an experiment, what tasks are assigned by.
    pub name: String,
    /// Who chooses.
    pub policy: PolicyName,
    /// The models, or models with their weights.
    pub models: Models,
    /// Where to go when a model can't be asked, the first one first; then the other models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failover: Vec<String>,
    /// Attempts at a task until one succeeds: one for each model of a cascade, 3 for `capability`, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// For `capability`: the pass rate that is wanted of each task, all its attempts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
}

/// The policies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyName {
    /// One model for everything.
    Fixed,
    /// The models take turns.
    RoundRobin,
    /// Each gets its share of the attempts.
    Weighted,
    /// The cheapest first; a failure hands the task to the next.
    Cascade,
    /// What is expected to do it at the least cost, learned from pass rates.
    Capability,
    /// Each gets its share of the tasks, by their ids.
    Experiment,
}

/// Models, or models with their weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Models {
    /// Each with the same weight.
    Equal(Vec<String>),
    /// Each with its own.
    Weighted(IndexMap<String, u32>),
}

impl Route {
    /// Attempts at a task until one succeeds.
    pub fn attempts(&self) -> u32 {
        let usual = match self.policy {
            PolicyName::Cascade => u32::try_from(self.models.names().len()).unwrap_or(u32::MAX),
            PolicyName::Capability => ATTEMPTS,
            _ => 1,
        };
        self.attempts.unwrap_or(usual).max(1)
    }

    /// The pass rate that is wanted.
    pub fn target(&self) -> f64 {
        self.target.unwrap_or(TARGET)
    }

    /// Every model that may be asked.
    pub fn everyone(&self) -> Vec<String> {
        let mut names: Vec<String> = self.models.names().into_iter().map(str::to_owned).collect();
        names.extend(
            self.failover.iter().filter(|name| !self.models.names().contains(&name.as_str())).cloned(),
        );
        names
    }

    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        let count = self.models.names().len();
        if count == 0 {
            return Err("it names no model");
        }
        if self.policy == PolicyName::Fixed && count > 1 {
            return Err("`fixed` takes one model");
        }
        if self.models.weights().iter().all(|(_, weight)| *weight == 0) {
            return Err("all weights are zero");
        }
        if !(0.0..=1.0).contains(&self.target()) {
            return Err("the target is a rate, from 0 to 1");
        }
        Ok(())
    }
}

impl Models {
    /// Their names, as they are written.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Equal(names) => names.iter().map(String::as_str).collect(),
            Self::Weighted(weights) => weights.keys().map(String::as_str).collect(),
        }
    }

    /// With their weights.
    pub fn weights(&self) -> Vec<(String, u32)> {
        match self {
            Self::Equal(names) => names.iter().map(|name| (name.clone(), 1)).collect(),
            Self::Weighted(weights) => weights.iter().map(|(name, weight)| (name.clone(), *weight)).collect(),
        }
    }
}

impl PolicyName {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::Cascade => "cascade",
            Self::Capability => "capability",
            Self::Experiment => "experiment",
        }
    }
}
