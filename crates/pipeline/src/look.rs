//! Looking at a run without touching it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use trajforge_router::Budget;
use trajforge_router::budget::Purse;
use trajforge_scheduler::{Counts, Queue as _, Row, SqliteQueue};
use trajforge_schema::{Caps, Clock, MicroDollars, RunPlan, Trajectory};
use trajforge_trajectory::RunStore;

use crate::error::Error;

/// A run's plan, how far it is, and each of its rollouts.
pub async fn run_status(folder: &Path, clock: &dyn Clock) -> Result<(RunPlan, Counts, Vec<Row>), Error> {
    let store = RunStore::open(folder)?;
    let queue = SqliteQueue::open(&store.queue_path(), 1)?;
    Ok((store.plan().clone(), queue.counts(clock.now()).await?, queue.rows().await?))
}

/// What a run has spent, and what it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spending {
    /// By the run, requests included that came to nothing; those under way count at their worst case.
    pub run: MicroDollars,
    /// With each key, by its name.
    pub keys: BTreeMap<String, MicroDollars>,
    /// What the plan allows.
    pub caps: Caps,
}

/// What a run has spent so far.
pub fn run_spending(folder: &Path) -> Result<Spending, Error> {
    let store = RunStore::open(folder)?;
    let mut spending = Spending { run: MicroDollars(0), keys: BTreeMap::new(), caps: store.plan().caps };
    for (purse, spent) in Budget::spent_in(&store.spend_path())? {
        match purse {
            Purse::Run(_) => spending.run += spent,
            Purse::Key(name) => drop(spending.keys.insert(name, spent)),
            Purse::Rollout(_) | Purse::Day(_) => {}
        }
    }
    Ok(spending)
}

/// The record of one rollout, named by its id or by a beginning of it that no other shares.
pub fn recorded(folder: &Path, id: &str) -> Result<Trajectory, Error> {
    let store = RunStore::open(folder)?;
    let ids = || store.rollouts().map(|spec| &spec.id);
    let mut meant: Vec<_> = ids().filter(|known| known.as_str() == id).collect();
    if meant.is_empty() {
        meant = ids().filter(|known| known.as_str().starts_with(id)).collect();
    }
    let [rollout] = meant.as_slice() else {
        let nearest = meant.first().or(ids().next().as_ref()).map(ToString::to_string);
        return Err(Error::UnknownRollout { run: folder.to_owned(), id: id.to_owned(), nearest });
    };
    let read = store.read(rollout)?.ok_or_else(|| Error::NoRecord { id: rollout.to_string() })?;
    Ok(read.trajectory)
}
