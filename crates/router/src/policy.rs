//! Which model works on a task: a policy picks one for each attempt, and learns from what came of it.
//!
//! A policy keeps nothing that can't be had again from the results of a run: fed with them in order, it chooses as it
//! would have. So a resumed run goes on as if it had never stopped.

mod capability;
mod cascade;
mod experiment;
mod fixed;
mod round_robin;
mod weighted;

use std::collections::BTreeMap;
use std::path::Path;

use trajforge_schema::{
    Choice, Difficulty, MicroDollars, ModelEntry, PolicyName, Route, TaskId, Tokens, Usage,
};

use crate::catalog::{self, Catalog};
use crate::error::Error;

pub use capability::Capability;
pub use cascade::Cascade;
pub use experiment::Experiment;
pub use fixed::Fixed;
pub use round_robin::RoundRobin;
pub use weighted::Weighted;

/// An attempt that needs a model.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Its category.
    pub category: &'a str,
    /// How hard it is.
    pub difficulty: Difficulty,
    /// From 1.
    pub attempt: u32,
    /// The attempt's place among all that are planned, from 0.
    pub place: u64,
    /// The attempts at the same task that are finished, the first one first.
    pub history: &'a [Tried],
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The model that worked on it.
    pub model: String,
    /// Whether it earned the full reward.
    pub success: bool,
    /// What it cost.
    pub cost: MicroDollars,
}

/// A finished attempt, as a policy learns from it.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// The task's category.
    pub category: &'a str,
    /// How hard it was.
    pub difficulty: Difficulty,
    /// What came of it.
    pub tried: &'a Tried,
}

/// Picks a model for each attempt.
pub trait Policy: Send {
    /// The model, and why.
    fn choose(&mut self, need: &Need<'_>) -> Pick;

    /// Takes in a result.
    fn learn(&mut self, _: &Measured<'_>) {}
}

/// A model, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The model, by the name of its entry.
    pub model: String,
    /// Why, for people.
    pub reason: String,
}

impl Pick {
    fn of(model: &str, reason: impl Into<String>) -> Self {
        Self { model: model.to_owned(), reason: reason.into() }
    }
}

/// A policy at work over the models of a route, with failover along its chain.
pub struct Router {
    route: Route,
    policy: Box<dyn Policy>,
}

impl Router {
    /// The router of a route, over the entries of a catalogue; draws come from streams of this seed.
    pub fn new(route: Route, catalog: &Catalog, seed: u64) -> Result<Self, Error> {
        check_route(&route)?;
        let mut costs = BTreeMap::new();
        for name in route.models.names().into_iter().chain(route.failover.iter().map(String::as_str)) {
            costs.insert(name.to_owned(), expected_cost(catalog.entry(name)?));
        }
        let names: Vec<String> = route.models.names().into_iter().map(str::to_owned).collect();
        let weights = route.models.weights();
        let policy: Box<dyn Policy> = match route.policy {
            PolicyName::Fixed => Box::new(Fixed::new(names[0].clone())),
            PolicyName::RoundRobin => Box::new(RoundRobin::new(names)),
            PolicyName::Weighted => Box::new(Weighted::new(weights, seed)),
            PolicyName::Cascade => Box::new(Cascade::new(&names, &costs)),
            PolicyName::Capability => {
                Box::new(Capability::new(&names, &costs, route.target(), route.attempts(), seed))
            }
            PolicyName::Experiment => Box::new(Experiment::new(route.name.clone(), weights)),
        };
        Ok(Self { route, policy })
    }

    /// The route.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The model for an attempt. Where the one that the policy picks can't be asked at the moment, the next of the
    /// chain that can: the route's failover, then its other models, in the order in which they are written. Where
    /// none can, the policy's own.
    pub fn choose(&mut self, need: &Need<'_>, can_be_asked: &dyn Fn(&str) -> bool) -> Choice {
        let pick = self.policy.choose(need);
        let policy = self.route.policy.as_str().to_owned();
        if can_be_asked(&pick.model) {
            return Choice { policy, model: pick.model, reason: pick.reason };
        }
        let others = self.route.failover.iter().map(String::as_str).chain(self.route.models.names());
        match others.filter(|name| *name != pick.model).find(|name| can_be_asked(name)) {
            Some(model) => {
                let reason =
                    format!("failover: {} can't be asked at the moment ({})", pick.model, pick.reason);
                Choice { policy, model: model.to_owned(), reason }
            }
            None => Choice { policy, model: pick.model, reason: pick.reason },
        }
    }

    /// Takes in a result.
    pub fn learn(&mut self, measured: &Measured<'_>) {
        self.policy.learn(measured);
    }

    /// Whether a task with these attempts behind it deserves another one.
    pub fn goes_on(&self, history: &[Tried]) -> bool {
        let made = u32::try_from(history.len()).unwrap_or(u32::MAX);
        history.iter().all(|tried| !tried.success) && made < self.route.attempts()
    }
}

/// The route that a `router.yaml` describes.
pub fn read_route(file: &Path) -> Result<Route, Error> {
    let route: Route = catalog::read_yaml(file)?;
    check_route(&route)?;
    Ok(route)
}

/// What is wrong with a route, whatever the models that it names.
pub fn check_route(route: &Route) -> Result<(), Error> {
    let wrong = |message: &str| Error::Route { name: route.name.clone(), message: message.to_owned() };
    route.check().map_err(wrong)
}

/// What a rollout with this model costs before any has been measured: thirty turns that read 8,000 tokens and write
/// 300. Only the order between models matters, and measured costs replace it.
fn expected_cost(entry: &ModelEntry) -> MicroDollars {
    let usage = Usage { input: Tokens(240_000), output: Tokens(9_000), ..Usage::default() };
    entry.price.map_or(MicroDollars(0), |price| price.cost(&usage))
}
