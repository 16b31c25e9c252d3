//! One rollout in a queue and its transitions: pure, and the same for every backend.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use trajforge_schema::{Ending, Failure, FailureCode, MicroDollars, Outcome, RolloutSpec, Timestamp, Tokens};

use super::{Completion, Counts, Lease, Release, Released};
use crate::error::{Error, Result};
use crate::plan::Planned;

/// One rollout in a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What to do.
    pub spec: RolloutSpec,
    /// Higher ones come first.
    pub priority: i64,
    /// Where it stands.
    pub state: RowState,
    /// Of the latest lease; 0 before the first.
    pub fence: u64,
    /// Leases that counted.
    pub tries: u32,
    /// The tries that failed or were lost, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostTry>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RowState {
    /// Nobody works on it.
    Waiting {
        /// The moment before which nobody takes it.
        not_before: Timestamp,
    },
    /// Somebody works on it.
    Leased {
        /// Who.
        worker: String,
        /// When the lease runs out.
        expires: Timestamp,
    },
    /// It is settled.
    Done {
        /// What came of it.
        completion: Completion,
    },
}

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTry {
    /// Its fence.
    pub fence: u64,
    /// Who had it.
    pub worker: String,
    /// When it was given back or found lost.
    pub at: Timestamp,
    /// Why.
    pub failure: Failure,
}

impl Row {
    pub(super) fn new(planned: Planned) -> Self {
        Self {
            spec: planned.spec,
            priority: planned.priority,
            state: RowState::Waiting { not_before: Timestamp(0) },
            fence: 0,
            tries: 0,
            lost: Vec::new(),
        }
    }

    /// What the row's latest try failed of, if any did.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.lost.last().map(|lost| &lost.failure)
    }

    /// What came of it, if it is settled.
    pub fn completion(&self) -> Option<&Completion> {
        match &self.state {
            RowState::Done { completion } => Some(completion),
            RowState::Waiting { .. } | RowState::Leased { .. } => None,
        }
    }

    pub(super) fn may_be_taken(&self, now: Timestamp) -> bool {
        matches!(self.state, RowState::Waiting { not_before } if not_before <= now)
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        matches!(self.state, RowState::Leased { expires, .. } if expires <= now)
    }

    pub(super) fn take(&mut self, worker: &str, now: Timestamp, ttl: Duration) -> Lease {
        self.fence += 1;
        self.tries += 1;
        self.state = RowState::Leased { worker: worker.to_owned(), expires: after(now, ttl) };
        Lease { spec: self.spec.clone(), fence: self.fence, tries: self.tries }
    }

    pub(super) fn keep(&mut self, lease: &Lease, now: Timestamp, ttl: Duration) -> Result<()> {
        let worker = self.worker_of(lease)?;
        self.state = RowState::Leased { worker, expires: after(now, ttl) };
        Ok(())
    }

    pub(super) fn complete(&mut self, lease: &Lease, completion: Completion) -> Result<()> {
        self.worker_of(lease)?;
        self.state = RowState::Done { completion };
        Ok(())
    }

    pub(super) fn release(
        &mut self,
        lease: &Lease,
        release: Release,
        now: Timestamp,
        max_tries: u32,
    ) -> Result<Released> {
        let worker = self.worker_of(lease)?;
        match release {
            Release::Unused => {
                self.give_back();
                Ok(Released::Waiting)
            }
            Release::Failed { failure, not_before } => {
                Ok(self.lose(LostTry { fence: self.fence, worker, at: now, failure }, not_before, max_tries))
            }
        }
    }

    /// Ends a lease whose worker said nothing for too long.
    pub(super) fn expire(&mut self, now: Timestamp, max_tries: u32) {
        let RowState::Leased { worker, .. } = &self.state else {
            return;
        };
        let failure =
            Failure::new(FailureCode::Internal, format!("the lease of {worker} ran out: it died or hung"));
        let lost = LostTry { fence: self.fence, worker: worker.clone(), at: now, failure };
        self.lose(lost, now, max_tries);
    }

    /// Ends a lease without counting the try; gives whether there was one.
    pub(super) fn reclaim(&mut self) -> bool {
        let leased = matches!(self.state, RowState::Leased { .. });
        if leased {
            self.give_back();
        }
        leased
    }

    /// Lets a rollout that ended as an error be tried again; gives whether it was one.
    pub(super) fn reopen(&mut self) -> bool {
        let is_error = self.completion().is_some_and(|done| done.outcome == Outcome::Error);
        if is_error {
            self.tries = 0;
            self.state = RowState::Waiting { not_before: Timestamp(0) };
        }
        is_error
    }

    pub(super) fn count_into(&self, counts: &mut Counts, now: Timestamp) {
        counts.planned += 1;
        counts.retried += self.lost.len() as u64;
        match &self.state {
            RowState::Waiting { .. } => counts.waiting += 1,
            RowState::Leased { expires, .. } if *expires <= now => counts.waiting += 1,
            RowState::Leased { .. } => counts.leased += 1,
            RowState::Done { completion } => {
                match completion.outcome {
                    Outcome::Success => counts.success += 1,
                    Outcome::Partial => counts.partial += 1,
                    Outcome::Failure => counts.failure += 1,
                    Outcome::Error => counts.error += 1,
                }
                counts.cost += completion.cost.unwrap_or_default();
                counts.tokens += completion.tokens;
            }
        }
    }

    fn worker_of(&self, lease: &Lease) -> Result<String> {
        match &self.state {
            RowState::Leased { worker, .. } if self.fence == lease.fence => Ok(worker.clone()),
            _ => Err(Error::LeaseLost { rollout: self.spec.id.clone() }),
        }
    }

    fn give_back(&mut self) {
        self.tries = self.tries.saturating_sub(1);
        self.state = RowState::Waiting { not_before: Timestamp(0) };
    }

    fn lose(&mut self, lost: LostTry, not_before: Timestamp, max_tries: u32) -> Released {
        let given_up = self.tries >= max_tries;
        self.state = if given_up {
            RowState::Done { completion: given_up_after(&lost) }
        } else {
            RowState::Waiting { not_before }
        };
        self.lost.push(lost);
        if given_up { Released::GivenUp } else { Released::Waiting }
    }
}

fn given_up_after(lost: &LostTry) -> Completion {
    Completion {
        outcome: Outcome::Error,
        ending: Ending::Failed { failure: lost.failure.clone() },
        reward: 0.0,
        cost: Some(MicroDollars(0)),
        tokens: Tokens(0),
        model: None,
        difficulty: None,
        steps: 0,
        seconds: 0.0,
        finished: lost.at,
    }
}

fn after(now: Timestamp, ttl: Duration) -> Timestamp {
    let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    Timestamp(now.0.saturating_add(milliseconds))
}
