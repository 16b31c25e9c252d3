//! One worker: lease a rollout, carry it out, commit it exactly once; again until nothing is left.

use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::{Nop, Oracle, Tools};
use trajforge_rollout::{Attempt, Finished, Recorder, Rollout, Scaffold};
use trajforge_scheduler::{Completion, Lease, Release, Released};
use trajforge_schema::{
    Boundary, Ending, Event, Failure, FailureCode, MicroDollars, Outcome, Record, RolloutId, RolloutSpec,
    Summary, Task, Timestamp,
};
use trajforge_trajectory::JournalWriter;

use crate::error::Error;
use crate::run::Running;

/// How long a lease lasts without a sign of life.
const LEASE_TIME: Duration = Duration::from_mins(1);
/// How often a worker gives one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a worker asks again when nothing can be taken at the moment.
const IDLE: Duration = Duration::from_millis(200);

/// One worker of a run.
pub(crate) struct Worker<'a> {
    running: &'a Running<'a>,
    name: String,
}

/// What became of one try.
enum Tried {
    /// It is recorded and final.
    Finished(Box<Finished>),
    /// It failed outside the agent's work.
    Failed(Failure),
    /// It was cancelled.
    Cancelled,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(running: &'a Running<'a>, number: usize) -> Self {
        Self { running, name: format!("{}-{number}", std::process::id()) }
    }

    /// Works until nothing is left, the run is cancelled, or something stops it.
    pub(crate) async fn work(self) -> Result<(), Error> {
        let queue = &self.running.queue;
        while !self.running.cancel.is_cancelled() {
            let now = self.running.world.clock.now();
            if let Some(lease) = queue.lease(&self.name, now, LEASE_TIME).await? {
                if let Err(error) = self.settle(&lease).await {
                    self.stop_run(error);
                }
                continue;
            }
            let counts = queue.counts(now).await?;
            if counts.finished() == counts.planned {
                break;
            }
            tokio::time::sleep(IDLE).await;
        }
        Ok(())
    }

    /// Carries out one leased rollout and tells the queue what became of it.
    async fn settle(&self, lease: &Lease) -> Result<(), Error> {
        let (running, id) = (self.running, &lease.spec.id);
        if let Some(read) = running.store.read(id)? {
            if let Some(summary) = read.trajectory.summary.filter(|summary| summary.outcome != Outcome::Error)
            {
                // An earlier process recorded it whole and died before it could say so.
                let steps = u32::try_from(read.trajectory.steps.len()).unwrap_or(u32::MAX);
                return self.commit(lease, &Finished { summary, steps }).await;
            }
            if let Some(torn) = read.torn {
                running.world.tell(Event::TornTail { rollout: id.clone(), bytes: torn.bytes });
            }
        }
        running.world.tell(Event::RolloutStarted { rollout: id.clone() });
        let cancel = running.cancel.child_token();
        let tried = tokio::select! {
            tried = self.attempt(&lease.spec, &cancel) => tried?,
            () = self.keep_alive(lease, &cancel) => Tried::Cancelled,
        };
        match tried {
            Tried::Finished(finished) => match failure_of(&finished.summary) {
                Some(failure) => self.failed(lease, failure.clone(), Some(&finished)).await,
                None => self.commit(lease, &finished).await,
            },
            Tried::Failed(failure) => self.failed(lease, failure, None).await,
            Tried::Cancelled => self.give_back(lease).await,
        }
    }

    /// Gives signs of life until the lease is lost; then the rollout is cancelled.
    async fn keep_alive(&self, lease: &Lease, cancel: &CancellationToken) {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let now = self.running.world.clock.now();
            if let Err(error) = self.running.queue.heartbeat(lease, now, LEASE_TIME).await {
                tracing::warn!(rollout = %lease.spec.id, "the lease could not be kept: {error}");
                cancel.cancel();
                // The attempt ends by itself now, with its sandbox stopped.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn attempt(&self, spec: &RolloutSpec, cancel: &CancellationToken) -> Result<Tried, Error> {
        let running = self.running;
        let task = running.library.template(spec.template.as_str())?.make(spec.seed)?;
        if task.id != spec.task {
            return Err(Error::TemplateChanged { template: spec.template.to_string(), seed: spec.seed.0 });
        }
        let image = running.images.get(&task.environment.image).map(String::as_str).unwrap_or_default();
        let mut scaffold = self.scaffold(spec, &task)?;
        let mut journal = Journal { writer: running.store.begin(&spec.id)?, running, spec };
        let attempt = Attempt { task: &task, rollout: spec, run: &running.store.plan().name, image };
        let rollout = Rollout { sandboxes: &*running.world.sandboxes, clock: &*running.world.clock, cancel };
        match rollout.run(&attempt, &mut *scaffold, &mut journal).await {
            Ok(finished) => {
                journal.writer.finish()?;
                Ok(Tried::Finished(Box::new(finished)))
            }
            Err(trajforge_rollout::Error::Failed(failure)) => Ok(Tried::Failed(failure)),
            Err(trajforge_rollout::Error::Cancelled) => Ok(Tried::Cancelled),
            Err(trajforge_rollout::Error::Recorder(error)) => Err(match error.downcast() {
                Ok(error) => Error::Trajectory(*error),
                Err(other) => Error::Stopped(Failure::new(FailureCode::Internal, other.to_string())),
            }),
        }
    }

    fn scaffold(&self, spec: &RolloutSpec, task: &Task) -> Result<Box<dyn Scaffold>, Error> {
        Ok(match spec.scaffold.as_str() {
            "oracle" => Box::new(Oracle::of(task)),
            "nop" => Box::new(Nop),
            "tools" => {
                let name = spec.model.as_deref().unwrap_or_default();
                let model = self.running.models.get(name).cloned();
                let model = model.map_or_else(|| self.running.world.model(name), Ok)?;
                Box::new(Tools::new(model, task))
            }
            other => return Err(Error::UnknownScaffold { name: other.to_owned() }),
        })
    }

    async fn commit(&self, lease: &Lease, finished: &Finished) -> Result<(), Error> {
        let summary = &finished.summary;
        let completion = completion(summary, finished.steps);
        self.running.queue.complete(lease, completion).await?;
        self.running.world.tell(Event::RolloutFinished {
            rollout: lease.spec.id.clone(),
            outcome: summary.outcome,
            cost: summary.cost.unwrap_or(MicroDollars(0)),
            reward: summary.reward.total,
        });
        Ok(())
    }

    /// A try that failed outside the agent's work: again later, or the end of the run, or recorded as it is.
    async fn failed(
        &self,
        lease: &Lease,
        failure: Failure,
        finished: Option<&Finished>,
    ) -> Result<(), Error> {
        let running = self.running;
        if self.stops_all(&lease.spec, &failure) {
            self.give_back(lease).await?;
            return Err(Error::Stopped(failure));
        }
        let id = lease.spec.id.clone();
        let is_last = lease.tries >= running.max_tries;
        if let (true, Some(finished)) = (is_last, finished) {
            return self.commit(lease, finished).await;
        }
        if let Some(wait) = running.retry.wait(&id, lease.tries, &failure) {
            running.store.set_aside(&id)?;
            let now = running.world.clock.now();
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let not_before = Timestamp(now.0.saturating_add(wait));
            let release = Release::Failed { failure: failure.clone(), not_before };
            if running.queue.release(lease, release, now).await? == Released::Waiting {
                running.world.tell(Event::RolloutRetried { rollout: id, failure });
                return Ok(());
            }
            self.tell_given_up(id);
            return Ok(());
        }
        if let Some(finished) = finished {
            return self.commit(lease, finished).await;
        }
        let completion = Completion {
            outcome: Outcome::Error,
            ending: Ending::Failed { failure: failure.clone() },
            reward: 0.0,
            cost: None,
            tokens: trajforge_schema::Tokens(0),
            steps: 0,
            seconds: 0.0,
            finished: running.world.clock.now(),
        };
        running.queue.complete(lease, completion).await?;
        running.world.tell(Event::Warning { message: format!("{id}: {}", failure.message) });
        self.tell_given_up(id);
        Ok(())
    }

    /// Tells that a rollout is settled without a verdict.
    fn tell_given_up(&self, rollout: RolloutId) {
        let (outcome, cost) = (Outcome::Error, MicroDollars(0));
        self.running.world.tell(Event::RolloutFinished { rollout, outcome, cost, reward: 0.0 });
    }

    /// Whether every other rollout would fail of the same.
    fn stops_all(&self, spec: &RolloutSpec, failure: &Failure) -> bool {
        let answered = || {
            let answered = self.running.answered.lock().unwrap_or_else(PoisonError::into_inner);
            spec.model.as_ref().is_some_and(|model| answered.contains(model))
        };
        match failure.code {
            FailureCode::DockerUnreachable | FailureCode::ImageMissing | FailureCode::DiskFull => true,
            FailureCode::ContextOverflow | FailureCode::ContentRefused => false,
            _ => failure.boundary == Boundary::Model && !answered(),
        }
    }

    async fn give_back(&self, lease: &Lease) -> Result<(), Error> {
        let now = self.running.world.clock.now();
        if self.running.queue.heartbeat(lease, now, LEASE_TIME).await.is_err() {
            // Another worker has it: what lies there is its journal.
            return Ok(());
        }
        self.running.store.set_aside(&lease.spec.id)?;
        match self.running.queue.release(lease, Release::Unused, now).await {
            Ok(_) | Err(trajforge_scheduler::Error::LeaseLost { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn stop_run(&self, error: Error) {
        if let Err(later) = self.running.fatal.set(error) {
            tracing::debug!("another worker stopped the run first: {later}");
        }
        self.running.cancel.cancel();
    }
}

/// The failure that ended a rollout without a verdict, or that may not happen again.
fn failure_of(summary: &Summary) -> Option<&Failure> {
    match &summary.ending {
        Ending::Failed { failure } if summary.outcome == Outcome::Error || failure.code.is_transient() => {
            Some(failure)
        }
        Ending::Failed { failure } if failure.boundary == Boundary::Model => Some(failure),
        _ => None,
    }
}

fn completion(summary: &Summary, steps: u32) -> Completion {
    Completion {
        outcome: summary.outcome,
        ending: summary.ending.clone(),
        reward: summary.reward.total,
        cost: summary.cost,
        tokens: summary.usage.total(),
        steps,
        seconds: summary.execution_seconds,
        finished: summary.finished,
    }
}

/// A journal that tells of each step.
struct Journal<'a> {
    writer: JournalWriter,
    running: &'a Running<'a>,
    spec: &'a RolloutSpec,
}

impl Recorder for Journal<'_> {
    fn record(&mut self, record: &Record) -> Result<(), trajforge_rollout::Error> {
        self.writer.append(record).map_err(|error| trajforge_rollout::Error::Recorder(Box::new(error)))?;
        match record {
            Record::Step(step) => {
                let rollout = self.spec.id.clone();
                self.running.world.tell(Event::StepRecorded { rollout, step: step.step });
            }
            Record::Turn(_) => {
                let mut answered = self.running.answered.lock().unwrap_or_else(PoisonError::into_inner);
                answered.extend(self.spec.model.clone());
            }
            Record::Header(_) | Record::Summary(_) => {}
        }
        Ok(())
    }
}
