//! Judges trajectories one after another, and counts.

use std::collections::HashMap;

use trajforge_schema::{Digest, DropReason, Outcome, Provenance, RolloutSpec, Tally, Trajectory, Verdict};

use crate::actions::fingerprint;
use crate::error::Result;
use crate::gates::Filter;

/// Gives each trajectory its verdict. What it keeps in memory is a digest and a name for each trajectory that it keeps.
///
/// The gates, in this order, each with its reason: unfinished or cancelled (`incomplete`); ended outside the agent's
/// work (`error`); nobody acted (`control`); the record contradicts itself (`inconsistent`); a program played the model
/// (`simulated`); a reward lower than asked for (`low_reward`); the same actions in the same cluster are kept already
/// (`duplicate`). The first one that stops a trajectory gives the reason.
#[derive(Debug)]
pub struct Judge {
    filter: Filter,
    /// Which trajectory did this first.
    kept: HashMap<Digest, String>,
    tally: Tally,
}

impl Judge {
    /// A judge that has seen nothing yet. A least reward outside [0, 1] is an error.
    pub fn new(filter: Filter) -> Result<Self> {
        Ok(Self { filter: filter.validated()?, kept: HashMap::new(), tally: Tally::default() })
    }

    /// The verdict on a trajectory. Of two that do the same the first one is kept.
    pub fn judge(&mut self, trajectory: &Trajectory) -> Verdict {
        self.count_attempt(trajectory);
        let stopped = self.filter.stops(trajectory).or_else(|| self.duplicate(trajectory));
        self.settle(stopped)
    }

    /// The verdict on a planned rollout that has no record at all: it counts as submitted, and as no attempt.
    pub fn never_began(&mut self, rollout: &RolloutSpec) -> Verdict {
        let detail = format!("{} was planned and never began", rollout.id);
        self.settle(Some((DropReason::Incomplete, detail)))
    }

    /// What has been counted so far: `submitted = kept + dropped` at any time.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn settle(&mut self, stopped: Option<(DropReason, String)>) -> Verdict {
        self.tally.submitted += 1;
        match stopped {
            None => {
                self.tally.kept += 1;
                Verdict::Keep
            }
            Some((reason, detail)) => {
                *self.tally.dropped.entry(reason).or_default() += 1;
                Verdict::Drop { reason, detail }
            }
        }
    }

    fn duplicate(&mut self, trajectory: &Trajectory) -> Option<(DropReason, String)> {
        let header = &trajectory.header;
        let name = format!("{}/{}", header.run, header.rollout.id);
        match self.kept.entry(fingerprint(trajectory)) {
            std::collections::hash_map::Entry::Occupied(first) => {
                Some((DropReason::Duplicate, format!("it does what {} does", first.get())))
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(name);
                None
            }
        }
    }

    fn count_attempt(&mut self, trajectory: &Trajectory) {
        let header = &trajectory.header;
        if header.provenance == Provenance::Control {
            return;
        }
        let outcome = trajectory.summary.as_ref().map(|summary| summary.outcome);
        let success = outcome == Some(Outcome::Success);
        let tally = &mut self.tally;
        tally.attempts.add(success);
        tally.by_difficulty.entry(header.difficulty).or_default().add(success);
        tally.by_category.entry(header.category.clone()).or_default().add(success);
        tally.by_llm.entry(header.llm_model().to_owned()).or_default().add(success);
    }
}
