//! Which model a leased rollout gets, and which attempt follows a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use trajforge_router::policy::{Measured, Need, Tried};
use trajforge_router::{Catalog, Router};
use trajforge_scheduler::{Completion, Row};
use trajforge_schema::{Choice, Ending, Limit, Outcome, RolloutSpec, RunPlan, Task, TaskId};

use crate::error::Error;

/// A run's router at work.
pub(crate) struct Routing {
    name: String,
    places: BTreeMap<TaskId, u64>,
    state: Mutex<State>,
}

struct State {
    router: Router,
    /// By task and scaffold, the first attempt first.
    tried: BTreeMap<(TaskId, String), Vec<Tried>>,
}

impl Routing {
    /// The router of a plan that has a route. It has learned from whatever is finished; with it come the attempts that
    /// should have followed and are not there, because a process was killed before it could add them.
    pub(crate) fn of(
        plan: &RunPlan,
        catalog: &Catalog,
        seed: u64,
        rows: &[Row],
    ) -> Result<Option<(Self, Vec<RolloutSpec>)>, Error> {
        let Some(route) = plan.route.clone() else { return Ok(None) };
        let (name, router) = (route.name.clone(), Router::new(route, catalog, seed)?);
        let mut places = BTreeMap::new();
        for (place, spec) in (0..).zip(&plan.rollouts) {
            places.entry(spec.task.clone()).or_insert(place);
        }
        let state = Mutex::new(State { router, tried: BTreeMap::new() });
        let routing = Self { name, places, state };
        let mut finished: Vec<_> =
            rows.iter().filter_map(|row| Some((&row.spec, row.completion()?))).collect();
        finished.sort_by_key(|(spec, done)| (done.finished, spec.id.clone()));
        let known: BTreeSet<_> = rows.iter().map(|row| &row.spec.id).collect();
        let follow = finished.into_iter().filter_map(|(spec, done)| routing.learn(spec, done));
        let missing = follow.filter(|spec| !known.contains(&spec.id)).collect();
        Ok(Some((routing, missing)))
    }

    /// The model for a rollout, and why; nothing where the plan names it.
    pub(crate) fn choose(
        &self,
        spec: &RolloutSpec,
        task: &Task,
        can_be_asked: &dyn Fn(&str) -> bool,
    ) -> Option<Choice> {
        if !self.routes(spec) {
            return None;
        }
        let mut state = self.state();
        let State { router, tried } = &mut *state;
        let need = Need {
            task: &spec.task,
            category: &task.category,
            difficulty: task.difficulty,
            attempt: spec.attempt,
            place: self.places.get(&spec.task).copied().unwrap_or(0),
            history: tried.get(&(spec.task.clone(), spec.scaffold.clone())).map_or(&[], Vec::as_slice),
        };
        Some(router.choose(&need, can_be_asked))
    }

    /// Takes in what came of a rollout, and gives the attempt that should follow it.
    pub(crate) fn learn(&self, spec: &RolloutSpec, done: &Completion) -> Option<RolloutSpec> {
        if !self.routes(spec) || done.outcome == Outcome::Error {
            return None;
        }
        let tried = Tried {
            model: done.model.clone().unwrap_or_default(),
            success: done.outcome == Outcome::Success,
            cost: done.cost.unwrap_or_default(),
        };
        let mut state = self.state();
        // Whoever was cut off for want of money has not shown what it can do.
        let was_cut = done.ending == Ending::LimitReached { limit: Limit::Cost };
        if let Some(difficulty) = done.difficulty.filter(|_| !was_cut) {
            let category = spec.template.category();
            state.router.learn(&Measured { category, difficulty, tried: &tried });
        }
        let history = state.tried.entry((spec.task.clone(), spec.scaffold.clone())).or_default();
        history.push(tried);
        let history = history.clone();
        state.router.goes_on(&history).then(|| spec.next())
    }

    fn routes(&self, spec: &RolloutSpec) -> bool {
        spec.model.as_ref() == Some(&self.name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
