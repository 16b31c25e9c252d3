//! A leased rollout on its way: what it takes, what comes of it, and the journal in between.

use std::sync::PoisonError;

use trajforge_rollout::{Finished, Recorder};
use trajforge_scheduler::{Completion, Lease};
use trajforge_schema::{Choice, Difficulty, Event, Record, Task};
use trajforge_trajectory::JournalWriter;

use crate::run::Running;

/// A leased rollout, with what it takes to carry it out.
pub(super) struct Work<'a> {
    pub(super) lease: &'a Lease,
    pub(super) task: Task,
    /// The model that a router chose.
    pub(super) choice: Option<Choice>,
}

/// What is committed of a rollout.
pub(super) struct Done {
    pub(super) finished: Finished,
    pub(super) choice: Option<Choice>,
    pub(super) difficulty: Difficulty,
}

impl Work<'_> {
    /// The model that works on it, if any does.
    pub(super) fn model(&self) -> Option<&str> {
        let chosen = self.choice.as_ref().map(|choice| choice.model.as_str());
        chosen.or(self.lease.spec.model.as_deref())
    }

    pub(super) fn done(&self, finished: Finished) -> Done {
        Done { finished, choice: self.choice.clone(), difficulty: self.task.difficulty }
    }
}

impl Done {
    pub(super) fn completion(&self) -> Completion {
        let Finished { summary, steps } = &self.finished;
        Completion {
            outcome: summary.outcome,
            ending: summary.ending.clone(),
            reward: summary.reward.total,
            cost: summary.cost,
            tokens: summary.usage.total(),
            model: self.choice.as_ref().map(|choice| choice.model.clone()),
            difficulty: self.choice.as_ref().map(|_| self.difficulty),
            steps: *steps,
            seconds: summary.execution_seconds,
            finished: summary.finished,
        }
    }
}

/// A journal that tells of each step.
pub(super) struct Journal<'a> {
    pub(super) writer: JournalWriter,
    pub(super) running: &'a Running,
    pub(super) work: &'a Work<'a>,
}

impl Recorder for Journal<'_> {
    fn record(&mut self, record: &Record) -> Result<(), trajforge_rollout::Error> {
        self.writer.append(record).map_err(|error| trajforge_rollout::Error::Recorder(Box::new(error)))?;
        match record {
            Record::Step(step) => {
                let rollout = self.work.lease.spec.id.clone();
                self.running.world.tell(Event::StepRecorded { rollout, step: step.step });
            }
            Record::Turn(_) => {
                let mut answered = self.running.answered.lock().unwrap_or_else(PoisonError::into_inner);
                answered.extend(self.work.model().map(str::to_owned));
            }
            Record::Header(_) | Record::Joined(_) | Record::Summary(_) => {}
        }
        Ok(())
    }
}
