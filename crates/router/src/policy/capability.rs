//! `capability`: whoever is expected to do a task of this kind at the least cost, by the pass rates measured so far.

use std::collections::BTreeMap;

use trajforge_schema::{Difficulty, MicroDollars};

use crate::stream::Stream;

use super::{Measured, Need, Pick, Policy};

/// How many attempts the experience with a difficulty as a whole weighs against that with one of its categories.
const POOLED: f64 = 4.0;
/// Models beyond these are left out of the plans that are compared; there are 2^n of them.
const MOST_MODELS: usize = 10;

/// Thompson sampling over plans.
///
/// For each model the pass rate in the task's category and difficulty is drawn from its posterior (a beta
/// distribution, whose prior is what is known of the difficulty over all categories). With the drawn rates p and the
/// measured mean costs c, every set of models is a plan: try them in the order of c/p, which is the cheapest order,
/// until one succeeds. Of the plans that are expected to reach the target, the one with the least expected cost is
/// taken; where none does, the one that comes nearest. Its first model works on the attempt. Models that have failed
/// on the task are left out while there are others.
///
/// Thompson, "On the likelihood that one unknown probability exceeds another in view of the evidence of two samples",
/// Biometrika 25, 1933.
#[derive(Debug)]
pub struct Capability {
    models: Vec<Known>,
    target: f64,
    attempts: u32,
    seed: u64,
}

/// What is known of a model.
#[derive(Debug)]
struct Known {
    name: String,
    /// Before anything was measured.
    expected: MicroDollars,
    cells: BTreeMap<(String, Difficulty), Record>,
}

/// Attempts that were measured.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    attempts: u32,
    successes: u32,
    cost: MicroDollars,
}

/// A model with what was drawn for it.
#[derive(Debug, Clone, Copy)]
struct Drawn<'a> {
    name: &'a str,
    rate: f64,
    cost: f64,
    seen: Record,
}

/// What a set of models is expected to come to.
#[derive(Debug, Clone, Copy)]
struct Plan<'a> {
    first: Drawn<'a>,
    rate: f64,
    cost: f64,
}

impl Capability {
    /// Over these models; `target` is the pass rate that is wanted of each task's attempts together, of which there
    /// are at most `attempts`.
    pub fn new(
        models: &[String],
        costs: &BTreeMap<String, MicroDollars>,
        target: f64,
        attempts: u32,
        seed: u64,
    ) -> Self {
        let known = |name: &String| Known {
            name: name.clone(),
            expected: costs.get(name).copied().unwrap_or_default(),
            cells: BTreeMap::new(),
        };
        Self { models: models.iter().take(MOST_MODELS).map(known).collect(), target, attempts, seed }
    }

    fn draw<'a>(&'a self, need: &Need<'_>) -> Vec<Drawn<'a>> {
        let mut stream = Stream::new(self.seed, &format!("capability {} {}", need.task, need.attempt));
        let has_failed = |known: &&Known| need.history.iter().any(|tried| tried.model == known.name);
        let fresh: Vec<&Known> = self.models.iter().filter(|known| !has_failed(known)).collect();
        let candidates = if fresh.is_empty() { self.models.iter().collect() } else { fresh };
        candidates.into_iter().map(|known| known.draw(need, &mut stream)).collect()
    }
}

impl Policy for Capability {
    fn choose(&mut self, need: &Need<'_>) -> Pick {
        let left = self.attempts.saturating_sub(need.attempt - 1).max(1) as usize;
        let drawn = self.draw(need);
        let mut best: Option<Plan<'_>> = None;
        for set in 1_usize..(1 << drawn.len()) {
            if set.count_ones() as usize > left {
                continue;
            }
            let members = drawn.iter().enumerate().filter(|(index, _)| set & (1 << index) != 0);
            let Some(plan) = plan(members.map(|(_, drawn)| *drawn).collect()) else { continue };
            let is_better =
                best.is_none_or(|best| match (plan.rate >= self.target, best.rate >= self.target) {
                    (true, true) => plan.cost < best.cost,
                    (reaches, other) if reaches != other => reaches,
                    _ => plan.rate > best.rate,
                });
            if is_better {
                best = Some(plan);
            }
        }
        let first = best.expect("a route has a model, so there is a plan").first;
        let Record { attempts, successes, .. } = first.seen;
        let place = format!("{}, {}", need.category, need.difficulty.as_str());
        Pick::of(first.name, format!("least cost for {place}: {successes} of {attempts} passed so far"))
    }

    fn learn(&mut self, measured: &Measured<'_>) {
        let tried = measured.tried;
        let Some(known) = self.models.iter_mut().find(|known| known.name == tried.model) else { return };
        let cell = known.cells.entry((measured.category.to_owned(), measured.difficulty)).or_default();
        cell.attempts += 1;
        cell.successes += u32::from(tried.success);
        cell.cost += tried.cost;
    }
}

impl Known {
    fn draw<'a>(&'a self, need: &Need<'_>, stream: &mut Stream) -> Drawn<'a> {
        let seen = self.cells.get(&(need.category.to_owned(), need.difficulty)).copied().unwrap_or_default();
        let mut pooled = Record::default();
        for ((_, difficulty), record) in &self.cells {
            if *difficulty == need.difficulty {
                pooled.add(*record);
            }
        }
        let prior = f64::from(pooled.successes + 1) / f64::from(pooled.attempts + 2);
        let passed = f64::from(seen.successes);
        let failed = f64::from(seen.attempts - seen.successes);
        let rate = stream.beta(POOLED * prior + passed, POOLED * (1.0 - prior) + failed);
        let measured = if seen.attempts > 0 { seen } else { pooled };
        let cost = if measured.attempts > 0 {
            measured.cost.0 as f64 / f64::from(measured.attempts)
        } else {
            self.expected.0 as f64
        };
        Drawn { name: &self.name, rate, cost, seen }
    }
}

impl Record {
    fn add(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.successes += other.successes;
        self.cost += other.cost;
    }
}

/// What these models come to, tried in the cheapest order until one succeeds.
fn plan(mut members: Vec<Drawn<'_>>) -> Option<Plan<'_>> {
    let price_of_success = |drawn: &Drawn<'_>| drawn.cost / drawn.rate.max(1e-9);
    members.sort_by(|a, b| price_of_success(a).total_cmp(&price_of_success(b)));
    let first = *members.first()?;
    let (mut cost, mut all_fail) = (0.0, 1.0);
    for member in &members {
        cost += all_fail * member.cost;
        all_fail *= 1.0 - member.rate;
    }
    Some(Plan { first, rate: 1.0 - all_fail, cost })
}
