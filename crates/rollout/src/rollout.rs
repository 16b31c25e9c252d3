//! The loop: prepare, let the scaffold act until it ends, verify, record.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trajforge_router::Meter;
use trajforge_sandbox::{Sandbox, SandboxExt as _, Sandboxes};
use trajforge_schema::{
    Action, Choice, Clock, Delta, Ending, Failure, Header, Limit, Manifest, MicroDollars, Outcome, Record,
    RolloutSpec, RunName, State, Step, Summary, Task, Timestamp, Usage, WIRE_VERSION,
};

use crate::error::{Error, Stop};
use crate::milestones::Milestones;
use crate::perform::perform;
use crate::prepare;
use crate::reward;
use crate::scaffold::{Decision, Intent, Scaffold, Seen};
use crate::verify::{self, Verified};

/// How often a rollout that waits for a provider is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where records go; each is on disk when this returns.
pub trait Recorder: Send {
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
}

/// A rollout that came to its end.
#[derive(Debug)]
pub struct Finished {
    /// What is known at the end.
    pub summary: Summary,
    /// How many steps there were.
    pub steps: u32,
}

/// What grows while the agent acts.
struct Episode<'a> {
    attempt: &'a Attempt<'a>,
    sandbox: &'a dyn Sandbox,
    milestones: Milestones<'a>,
    recorder: &'a mut dyn Recorder,
    state: State,
    manifest: Manifest,
    steps: u32,
    credited: f64,
    usage: Usage,
    meter: Option<Meter>,
    deadline: Instant,
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
        let spec = verify::sandbox_spec(attempt).map_err(Error::Failed)?;
        let sandbox =
            self.sandboxes.create(&spec).await.map_err(|error| Error::Failed(error.to_failure()))?;
        let finished = self.attempt(attempt, &*sandbox, scaffold, recorder).await;
        if let Err(error) = sandbox.stop().await {
            tracing::warn!(rollout = %attempt.rollout.id, "the sandbox could not be stopped: {error}");
        }
        finished
    }

    async fn attempt(
        &self,
        attempt: &Attempt<'_>,
        sandbox: &dyn Sandbox,
        scaffold: &mut dyn Scaffold,
        recorder: &mut dyn Recorder,
    ) -> Result<Finished, Error> {
        let task = attempt.task;
        let failed = |failure: Failure| Error::Failed(failure);
        self.cancellable(prepare::prepare(sandbox, task)).await?.map_err(failed)?;
        let manifest = sandbox.manifest().await.map_err(|error| failed(error.to_failure()))?;
        let started = self.clock.now();
        let clock = Instant::now();
        recorder.record(&Record::Header(Box::new(header(attempt, scaffold, started))))?;
        let first = Delta::between(&Manifest::default(), &manifest);
        let mut episode = Episode {
            attempt,
            sandbox,
            milestones: Milestones::new(&task.milestones),
            recorder,
            state: State { cwd: task.environment.workspace.clone(), files: first },
            manifest,
            steps: 0,
            credited: 0.0,
            usage: Usage::default(),
            meter: scaffold.meter(),
            deadline: clock + Duration::from_secs(task.environment.limits.rollout_seconds),
        };
        let mut ending = match self.cancellable(episode.act(scaffold)).await? {
            Ok(ending) => ending,
            Err(Stop::Failure(failure)) => Ending::Failed { failure },
            Err(Stop::Error(error)) => return Err(error),
        };
        let execution_seconds = clock.elapsed().saturating_sub(episode.parked()).as_secs_f64();
        let verified = self.verify(attempt, sandbox, &mut ending).await?;
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
                *ending = Ending::Failed { failure };
                return Ok(Verified::default());
            }
        };
        let judged = self.cancellable(verify::judge(&*fresh, attempt)).await;
        if let Err(error) = fresh.stop().await {
            tracing::warn!(rollout = %attempt.rollout.id, "the verification sandbox could not be stopped: {error}");
        }
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

impl Episode<'_> {
    /// Lets the scaffold act until it ends, or until a limit does.
    async fn act(&mut self, scaffold: &mut dyn Scaffold) -> Result<Ending, Stop> {
        let mut seen = Vec::new();
        loop {
            let Some(decision) = self.before_the_deadline(scaffold.decide(&seen)).await else {
                return Ok(Ending::LimitReached { limit: Limit::Time });
            };
            let Decision { turn, intents, ending } = decision?;
            if let Some(turn) = turn {
                self.usage += turn.usage;
                for call in turn.condensations.iter().filter_map(|one| one.side_call.as_ref()) {
                    self.usage += call.usage;
                }
                self.recorder.record(&Record::Turn(turn))?;
            }
            seen.clear();
            for intent in intents {
                let submits = matches!(intent.action, Action::Submit { .. });
                seen.push(self.step(intent).await?);
                if submits {
                    return Ok(Ending::Submitted);
                }
                if self.steps >= self.attempt.task.environment.limits.steps {
                    return Ok(Ending::LimitReached { limit: Limit::Steps });
                }
                if Instant::now() >= self.deadline() {
                    return Ok(Ending::LimitReached { limit: Limit::Time });
                }
            }
            if let Some(ending) = ending {
                return Ok(ending);
            }
            let most = self.attempt.task.environment.limits.tokens;
            if most.is_some_and(|most| self.usage.total() >= most) {
                return Ok(Ending::LimitReached { limit: Limit::Tokens });
            }
        }
    }

    /// Waits for something until the task's time is up; while the scaffold waits for a provider, it stands still.
    async fn before_the_deadline<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            let is_parked = self.meter.as_ref().is_some_and(|meter| meter.parking().is_parked());
            let soon = if is_parked { Instant::now() + LOOK_AGAIN } else { self.deadline() };
            if let Ok(done) = tokio::time::timeout_at(soon.max(self.deadline()), &mut work).await {
                return Some(done);
            }
            if !is_parked && self.deadline() <= Instant::now() {
                return None;
            }
        }
    }

    /// When the task's time is up: time that was spent waiting for a provider does not count.
    fn deadline(&self) -> Instant {
        self.deadline + self.parked()
    }

    fn parked(&self) -> Duration {
        self.meter.as_ref().map(|meter| meter.parking().time()).unwrap_or_default()
    }

    /// One step: act, look at what changed, credit milestones, record.
    async fn step(&mut self, intent: Intent) -> Result<Seen, Stop> {
        let Intent { action, reasoning, turn, tool_call_id } = intent;
        let most = Duration::from_secs(self.attempt.task.environment.limits.action_seconds);
        let left = self.deadline().saturating_duration_since(Instant::now());
        let before = Instant::now();
        let performed = perform(self.sandbox, &action, most.min(left).max(Duration::from_millis(1))).await?;
        let seconds = before.elapsed().as_secs_f64();
        let files = if action.may_change_state() { self.sandbox.delta().await? } else { Delta::default() };
        let milestones = if files.is_empty() && !self.looks_beyond_files() {
            Vec::new()
        } else {
            self.milestones.newly_reached(self.sandbox).await?
        };
        let reward = self.milestones.credit(&milestones);
        self.credited += reward;
        self.steps += 1;
        self.manifest.apply(&files);
        let cwd = performed.cwd.unwrap_or_else(|| self.state.cwd.clone());
        let state = std::mem::replace(&mut self.state, State { cwd, files });
        let seen = Seen { tool_call_id: tool_call_id.clone(), observation: performed.observation.clone() };
        self.recorder.record(&Record::Step(Step {
            step: self.steps,
            state,
            action,
            observation: performed.observation,
            reward,
            milestones,
            reasoning,
            turn,
            tool_call_id,
            seconds,
        }))?;
        Ok(seen)
    }

    /// With services or carried folders, progress need not show in the workspace.
    fn looks_beyond_files(&self) -> bool {
        let environment = &self.attempt.task.environment;
        !environment.services.is_empty() || !environment.carry.is_empty()
    }

    fn summary(
        &self,
        ending: Ending,
        verified: Verified,
        execution_seconds: f64,
        finished: Timestamp,
    ) -> Summary {
        let checks = verified.checks.unwrap_or_default();
        let reward = reward::of(self.attempt.task, &checks, self.milestones.reached());
        let judged = !checks.is_empty();
        Summary {
            outcome: if judged { Outcome::of_reward(reward.total) } else { Outcome::Error },
            settlement: if self.steps == 0 { 0.0 } else { reward.total - self.credited },
            ending,
            reward,
            checks,
            final_state: self.state.clone(),
            final_digest: self.manifest.digest(),
            execution_seconds,
            verification_seconds: verified.seconds,
            usage: self.usage,
            cost: self.meter.as_ref().map_or(Some(MicroDollars(0)), Meter::cost),
            finished,
        }
    }
}

fn header(attempt: &Attempt<'_>, scaffold: &dyn Scaffold, started: Timestamp) -> Header {
    let task = attempt.task;
    let offer = scaffold.offer();
    Header {
        wire_version: WIRE_VERSION,
        trajforge_version: env!("CARGO_PKG_VERSION").to_owned(),
        run: attempt.run.clone(),
        rollout: attempt.rollout.clone(),
        instruction: task.instruction.clone(),
        category: task.category.clone(),
        difficulty: task.difficulty,
        languages: task.languages.clone(),
        skills: task.skills.clone(),
        expected_steps: task.expected_steps,
        cluster: task.cluster.clone(),
        parameters: task.parameters.clone(),
        image: attempt.image.to_owned(),
        provenance: scaffold.provenance(),
        choice: attempt.choice.cloned(),
        scaffold_version: offer.version,
        prompt: offer.prompt,
        tools: offer.tools,
        started,
    }
}
