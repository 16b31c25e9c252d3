//! The loop: prepare, let the scaffold act until it ends, verify, record.

mod episode;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trajforge_sandbox::{Network, Sandbox, SandboxExt as _, SandboxSpec, Sandboxes};
use trajforge_schema::{
    Choice, Clock, Delta, Ending, Failure, Limit, Manifest, Record, RolloutSpec, RunName, State, Summary,
    Task, Usage,
};

use self::episode::Episode;
use crate::browser::Browser;
use crate::error::{Error, Stop};
use crate::milestones::Milestones;
use crate::prepare;
use crate::scaffold::{Scaffold, Wants};
use crate::verify::{self, Verified};

/// Where records go; each is on disk when this returns.
pub trait Recorder: Send + Sync {
    /// Writes one record.
    fn record(&mut self, record: &Record) -> Result<(), Error>;
}

/// One attempt: what is attempted, by whom, and in which run.
pub struct Attempt<'a> {
    /// The task.
    pub task: &'a Task,
    /// Which rollout this is.
    pub rollout: &'a RolloutSpec,
    /// The run.
    pub run: &'a RunName,
    /// The exact tag of the task's image.
    pub image: &'a str,
    /// The model that a router chose for it, and why.
    pub choice: Option<&'a Choice>,
}

/// What a rollout needs of the world.
pub struct Rollout<'a> {
    /// Makes sandboxes.
    pub sandboxes: &'a dyn Sandboxes,
    /// The time of day, for the record.
    pub clock: &'a dyn Clock,
    /// Ends the rollout without a record.
    pub cancel: &'a CancellationToken,
    /// How many rollouts of the same kind there will be, this one included, where that is known and was not told yet.
    pub alike: Option<u64>,
}

/// A rollout that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// What is known at the end.
    pub summary: Summary,
    /// How many steps there were.
    pub steps: u32,
}

impl Rollout<'_> {
    /// Carries out one attempt. A failed attempt is a [`Summary`]; an error means that there is nothing to judge.
    pub async fn run(
        &self,
        attempt: &Attempt<'_>,
        scaffold: &mut dyn Scaffold,
        recorder: &mut dyn Recorder,
    ) -> Result<Finished, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let plain = verify::sandbox_spec(attempt).map_err(Error::Failed)?;
        let spec = SandboxSpec { network: Network::Listed, ..with(scaffold.wants(), plain.clone()) };
        if let Some(alike) = self.alike {
            self.sandboxes.expect(&spec, alike);
            self.sandboxes.expect(&plain, alike);
        }
        let sandbox: Arc<dyn Sandbox> =
            self.sandboxes.create(&spec).await.map_err(|error| Error::Failed(error.to_failure()))?.into();
        let finished = self.attempt(attempt, &sandbox, scaffold, recorder).await;
        stop(&*sandbox, attempt).await;
        finished
    }

    async fn attempt(
        &self,
        attempt: &Attempt<'_>,
        sandbox: &Arc<dyn Sandbox>,
        scaffold: &mut dyn Scaffold,
        recorder: &mut dyn Recorder,
    ) -> Result<Finished, Error> {
        let task = attempt.task;
        let failed = |failure: Failure| Error::Failed(failure);
        self.cancellable(prepare::prepare(&**sandbox, task)).await?.map_err(failed)?;
        let manifest = sandbox.manifest().await.map_err(|error| failed(error.to_failure()))?;
        let started = self.clock.now();
        let clock = Instant::now();
        let first = Delta::between(&Manifest::default(), &manifest);
        let mut episode = Episode {
            attempt,
            sandbox: &**sandbox,
            milestones: Milestones::new(&task.milestones),
            recorder,
            state: State { cwd: task.environment.workspace.clone(), files: first },
            manifest,
            steps: 0,
            credited: 0.0,
            usage: Usage::default(),
            meter: scaffold.meter(),
            browser: Browser::default(),
            is_full: false,
            deadline: clock + Duration::from_secs(task.environment.limits.rollout_seconds),
        };
        let played = self.cancellable(episode.play(scaffold, sandbox, started)).await.map_err(Stop::Error);
        let mut ending = match played.and_then(|played| played) {
            Ok(ending) => ending,
            Err(Stop::Failure(failure)) => Ending::Failed { failure },
            Err(Stop::Error(error)) => {
                scaffold.end(&Ending::Cancelled).await;
                return Err(error);
            }
        };
        let execution_seconds = clock.elapsed().saturating_sub(episode.parked()).as_secs_f64();
        if let Some(finale) = scaffold.end(&ending).await {
            episode.close(finale, &mut ending).await?;
        }
        let verified = self.verify(attempt, &**sandbox, &mut ending).await?;
        let summary = episode.summary(ending, verified, execution_seconds, self.clock.now());
        episode.recorder.record(&Record::Summary(Box::new(summary.clone())))?;
        Ok(Finished { summary, steps: episode.steps })
    }

    /// Judges the final state, unless a failure left nothing that could be judged.
    async fn verify(
        &self,
        attempt: &Attempt<'_>,
        sandbox: &dyn Sandbox,
        ending: &mut Ending,
    ) -> Result<Verified, Error> {
        let lost = matches!(ending, Ending::Failed { failure } if !verify::is_judgeable(failure));
        if lost {
            return Ok(Verified::default());
        }
        let started = Instant::now();
        let fresh = match verify::hand_over(self.sandboxes, sandbox, attempt).await {
            Ok(fresh) => fresh,
            Err(failure) => {
                if *ending != (Ending::LimitReached { limit: Limit::Disk }) {
                    *ending = Ending::Failed { failure };
                }
                return Ok(Verified::default());
            }
        };
        // Nothing more is asked of what the agent left; its memory is somebody else's from here on.
        stop(sandbox, attempt).await;
        let judged = self.cancellable(verify::judge(&*fresh, attempt)).await;
        stop(&*fresh, attempt).await;
        let checks = judged?.map_err(|failure| *ending = Ending::Failed { failure }).ok();
        Ok(Verified { checks, seconds: started.elapsed().as_secs_f64() })
    }

    async fn cancellable<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            done = work => Ok(done),
            () = self.cancel.cancelled() => Err(Error::Cancelled),
        }
    }
}

/// Ends a sandbox. One that can't be stopped is told of in the log: the reaper removes it.
pub(crate) async fn stop(sandbox: &dyn Sandbox, attempt: &Attempt<'_>) {
    if let Err(error) = sandbox.stop().await {
        tracing::warn!(rollout = %attempt.rollout.id, "a sandbox could not be stopped: {error}");
    }
}

/// A sandbox with what a scaffold wants on top of what the task asks for.
fn with(wants: Wants, mut spec: SandboxSpec) -> SandboxSpec {
    spec.layers = wants.layers;
    if let Some(needs) = wants.needs {
        spec.limits.memory_mb += needs.memory_mb;
        spec.limits.disk_mb += needs.disk_mb;
        spec.limits.pids += needs.pids;
    }
    spec
}
