//! One worker: lease a rollout, carry it out, commit it exactly once; again until nothing is left.

mod work;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::{Agent, Nop, Oracle, native};
use trajforge_rollout::{Attempt, Finished, Rollout, Scaffold};
use trajforge_router::pressure::BreakerState;
use trajforge_router::{Account, Endpoint, Metered};
use trajforge_scheduler::{Completion, Lease, Release, Released};
use trajforge_schema::{
    Boundary, Ending, Event, Failure, FailureCode, Header, Limit, MicroDollars, Outcome, RolloutId, Summary,
    Timestamp,
};

use crate::error::Error;
use crate::run::{Running, planned};
use work::{Done, Journal, Work};

/// How long a lease lasts without a sign of life.
const LEASE_TIME: Duration = Duration::from_mins(1);
/// How often a worker gives one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a worker asks again when nothing can be taken at the moment.
const IDLE: Duration = Duration::from_millis(200);

/// One worker of a run.
pub(crate) struct Worker {
    running: Arc<Running>,
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

impl Worker {
    pub(crate) fn new(running: Arc<Running>, number: usize) -> Self {
        Self { running, name: format!("{}-{number}", std::process::id()) }
    }

    /// Works until nothing is left, the run is cancelled, or something stops it.
    pub(crate) async fn work(self) -> Result<(), Error> {
        let queue = &self.running.queue;
        // Past a cap of the run nothing that is begun could get anywhere.
        while !self.running.cancel.is_cancelled() && self.running.terms.budget.exhausted().is_none() {
            if !self.running.keeper.admits() {
                tokio::time::sleep(IDLE).await;
                continue;
            }
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
        let (running, id) = (&*self.running, &lease.spec.id);
        if let Some(read) = running.store.read(id)? {
            let Header { choice, difficulty, .. } = read.trajectory.header;
            if let Some(summary) = read.trajectory.summary.filter(|summary| summary.outcome != Outcome::Error)
            {
                // An earlier process recorded it whole and died before it could say so.
                let steps = u32::try_from(read.trajectory.steps.len()).unwrap_or(u32::MAX);
                let finished = Finished { summary, steps };
                return self.commit(lease, &Done { finished, choice, difficulty }).await;
            }
            if let Some(torn) = read.torn {
                running.world.tell(Event::TornTail { rollout: id.clone(), bytes: torn.bytes });
            }
        }
        running.world.tell(Event::RolloutStarted { rollout: id.clone() });
        let work = self.work_on(lease)?;
        let cancel = running.cancel.child_token();
        let tried = tokio::select! {
            tried = self.attempt(&work, &cancel) => tried?,
            () = self.keep_alive(lease, &cancel) => Tried::Cancelled,
        };
        match tried {
            Tried::Finished(finished) if self.met_a_cap_at_once(&finished) => self.give_back(lease).await,
            Tried::Finished(finished) => {
                let failure = failure_of(&finished.summary).cloned();
                let done = work.done(*finished);
                match failure {
                    Some(failure) => self.failed(&work, failure, Some(&done)).await,
                    None => self.commit(lease, &done).await,
                }
            }
            Tried::Failed(failure) => self.failed(&work, failure, None).await,
            Tried::Cancelled => self.give_back(lease).await,
        }
    }

    /// The task of a leased rollout, and the model that works on it.
    fn work_on<'l>(&self, lease: &'l Lease) -> Result<Work<'l>, Error> {
        let (running, spec) = (&*self.running, &lease.spec);
        let Some(template) = running.templates.get(&spec.template) else {
            return Err(Error::TemplateChanged { template: spec.template.to_string(), seed: spec.seed.0 });
        };
        let task = template.make(spec.seed)?;
        if task.id != spec.task {
            return Err(Error::TemplateChanged { template: spec.template.to_string(), seed: spec.seed.0 });
        }
        let can_be_asked = |name: &str| {
            running.models.get(name).is_some_and(|endpoint| {
                running.terms.pressures.of(endpoint.entry()).breaker() != BreakerState::Open
            })
        };
        let choice = running.routing.as_ref().and_then(|routing| routing.choose(spec, &task, &can_be_asked));
        Ok(Work { lease, task, choice })
    }

    /// Whether a cap of the run kept a rollout from doing anything: it waits for a higher one.
    fn met_a_cap_at_once(&self, finished: &Finished) -> bool {
        let nothing = finished.steps == 0 && finished.summary.usage.total().0 == 0;
        nothing
            && finished.summary.ending == Ending::LimitReached { limit: Limit::Cost }
            && self.running.terms.budget.exhausted().is_some()
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

    async fn attempt(&self, work: &Work<'_>, cancel: &CancellationToken) -> Result<Tried, Error> {
        let (running, spec, task) = (&*self.running, &work.lease.spec, &work.task);
        let image = running.images.get(&task.environment.image).map(String::as_str).unwrap_or_default();
        let mut journal = Journal { writer: running.store.begin(&spec.id)?, running, work };
        let mut scaffold = self.scaffold(work)?;
        let (run, choice) = (&running.store.plan().name, work.choice.as_ref());
        let attempt = Attempt { task, rollout: spec, run, image, choice };
        let rollout = Rollout {
            sandboxes: &*running.world.sandboxes,
            clock: &*running.world.clock,
            cancel,
            alike: running.kinds.tell(spec),
        };
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

    fn scaffold(&self, work: &Work<'_>) -> Result<Box<dyn Scaffold>, Error> {
        Ok(match work.lease.spec.scaffold.as_str() {
            "oracle" => Box::new(Oracle::of(&work.task)),
            "nop" => Box::new(Nop),
            other => match native(other) {
                Some(style) => Box::new(Agent::new(style, Arc::new(self.model(work)?), &work.task)),
                None => return self.external(other, work),
            },
        })
    }

    /// A scaffold that is no part of this program.
    fn external(&self, name: &str, work: &Work<'_>) -> Result<Box<dyn Scaffold>, Error> {
        let running = &*self.running;
        let (endpoint, account) = self.endpoint(work)?;
        let folder = running.store.scaffold_folder(&work.lease.spec.id);
        let on_terms = (&running.terms, account);
        match running.externals.scaffold((name, &work.task), &endpoint, on_terms, &folder)? {
            Some(scaffold) => Ok(scaffold),
            None => Err(Error::UnknownScaffold {
                name: name.to_owned(),
                external: running.world.external_scaffolds(),
            }),
        }
    }

    /// The rollout's model, on the rollout's account.
    fn model(&self, work: &Work<'_>) -> Result<Metered, Error> {
        let (endpoint, account) = self.endpoint(work)?;
        Ok(Metered::new(endpoint, &self.running.terms, account))
    }

    fn endpoint(&self, work: &Work<'_>) -> Result<(Arc<Endpoint>, Account), Error> {
        let (running, name) = (&*self.running, work.model().unwrap_or_default());
        let endpoint = match running.models.get(name) {
            Some(endpoint) => Arc::clone(endpoint),
            None => running.world.endpoint(name)?,
        };
        let account = Account {
            rollout: Some(work.lease.spec.id.clone()),
            run: Some(running.store.plan().name.clone()),
            key: endpoint.entry().key_variable.clone(),
        };
        Ok((endpoint, account))
    }

    async fn commit(&self, lease: &Lease, done: &Done) -> Result<(), Error> {
        let (running, completion) = (&*self.running, done.completion());
        running.queue.complete(lease, completion.clone()).await?;
        let summary = &done.finished.summary;
        running.world.tell(Event::RolloutFinished {
            rollout: lease.spec.id.clone(),
            outcome: summary.outcome,
            cost: summary.cost.unwrap_or(MicroDollars(0)),
            reward: summary.reward.total,
        });
        if let Some(next) =
            running.routing.as_ref().and_then(|routing| routing.learn(&lease.spec, &completion))
        {
            running.store.follow(&next)?;
            running.kinds.add(&next);
            running.queue.submit(vec![planned(&next)]).await?;
            running.world.tell(Event::RolloutPlanned { rollout: next.id });
        }
        Ok(())
    }

    /// A try that failed outside the agent's work: again later, or the end of the run, or recorded as it is.
    async fn failed(&self, work: &Work<'_>, failure: Failure, done: Option<&Done>) -> Result<(), Error> {
        let (running, lease) = (&*self.running, work.lease);
        if self.stops_all(work, &failure) {
            self.give_back(lease).await?;
            return Err(Error::Stopped(failure));
        }
        let id = lease.spec.id.clone();
        let is_last = lease.tries >= running.max_tries;
        if let (true, Some(done)) = (is_last, done) {
            return self.commit(lease, done).await;
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
        if let Some(done) = done {
            return self.commit(lease, done).await;
        }
        let completion = Completion {
            outcome: Outcome::Error,
            ending: Ending::Failed { failure: failure.clone() },
            reward: 0.0,
            cost: None,
            tokens: trajforge_schema::Tokens(0),
            model: None,
            difficulty: None,
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
    fn stops_all(&self, work: &Work<'_>, failure: &Failure) -> bool {
        let answered = || {
            let answered = self.running.answered.lock().unwrap_or_else(PoisonError::into_inner);
            work.model().is_some_and(|model| answered.contains(model))
        };
        match failure.code {
            // Whoever does not pay is refused whatever is asked.
            FailureCode::DockerUnreachable
            | FailureCode::ImageMissing
            | FailureCode::DiskFull
            | FailureCode::ModelUnpaid => true,
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
