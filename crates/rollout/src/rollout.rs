//! The loop: prepare, let the scaffold act until it ends, verify, record.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trajforge_router::Meter;
use trajforge_sandbox::{Network, Sandbox, SandboxExt as _, SandboxSpec, Sandboxes};
use trajforge_schema::{
    Action, Choice, Clock, Delta, Ending, Failure, Header, Limit, Manifest, MicroDollars, ModelTurn, Outcome,
    Record, RolloutSpec, RunName, State, Step, Summary, Task, Timestamp, Usage, WIRE_VERSION,
};

use crate::error::{Error, Stop};
use crate::milestones::Milestones;
use crate::perform::{Performed, perform};
use crate::prepare;
use crate::reward;
use crate::scaffold::{Decision, Done, Finale, Intent, Scaffold, Seen, Wants};
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
        let spec = with(scaffold.wants(), verify::sandbox_spec(attempt).map_err(Error::Failed)?);
        let spec = SandboxSpec { network: Network::Listed, ..spec };
        let sandbox: Arc<dyn Sandbox> =
            self.sandboxes.create(&spec).await.map_err(|error| Error::Failed(error.to_failure()))?.into();
        let finished = self.attempt(attempt, &sandbox, scaffold, recorder).await;
        if let Err(error) = sandbox.stop().await {
            tracing::warn!(rollout = %attempt.rollout.id, "the sandbox could not be stopped: {error}");
        }
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

impl Episode<'_> {
    /// Lets the scaffold begin, and act.
    async fn play(
        &mut self,
        scaffold: &mut dyn Scaffold,
        sandbox: &Arc<dyn Sandbox>,
        started: Timestamp,
    ) -> Result<Ending, Stop> {
        let begun = self.before_the_deadline(scaffold.begin(sandbox)).await;
        self.recorder.record(&Record::Header(Box::new(header(self.attempt, scaffold, started))))?;
        match begun {
            None => Ok(Ending::LimitReached { limit: Limit::Time }),
            Some(begun) => {
                begun?;
                self.act(scaffold).await
            }
        }
    }

    /// Lets the scaffold act until it ends, or until a limit does.
    async fn act(&mut self, scaffold: &mut dyn Scaffold) -> Result<Ending, Stop> {
        let mut seen = Vec::new();
        loop {
            let Some(decision) = self.before_the_deadline(scaffold.decide(&seen)).await else {
                return Ok(Ending::LimitReached { limit: Limit::Time });
            };
            let Decision { turn, intents, ending } = decision?;
            self.record_turn(turn)?;
            seen.clear();
            let mut coming = intents.into_iter().peekable();
            let mut submits = false;
            while let Some(intent) = coming.next() {
                submits |= matches!(intent.action, Action::Submit { .. });
                let done_together = coming.peek().is_some_and(|next| next.done.is_some());
                seen.push(self.step(intent, done_together).await?);
                if submits && !done_together {
                    return Ok(Ending::Submitted);
                }
                let limit = self.limit_reached().filter(|_| !done_together);
                if let Some(limit) = limit {
                    return Ok(Ending::LimitReached { limit });
                }
            }
            if let Some(ending) = ending {
                return Ok(ending);
            }
            if let Some(limit) = self.limit_reached() {
                return Ok(Ending::LimitReached { limit });
            }
        }
    }

    fn limit_reached(&self) -> Option<Limit> {
        let limits = &self.attempt.task.environment.limits;
        if self.steps >= limits.steps {
            return Some(Limit::Steps);
        }
        if limits.tokens.is_some_and(|most| self.usage.total() >= most) {
            return Some(Limit::Tokens);
        }
        (Instant::now() >= self.deadline()).then_some(Limit::Time)
    }

    fn record_turn(&mut self, turn: Option<ModelTurn>) -> Result<(), Error> {
        let Some(turn) = turn else { return Ok(()) };
        self.usage += turn.usage;
        for call in turn.condensations.iter().filter_map(|one| one.side_call.as_ref()) {
            self.usage += call.usage;
        }
        self.recorder.record(&Record::Turn(turn))
    }

    /// Takes in what a scaffold that acts by itself did since its last decision.
    async fn close(&mut self, finale: Finale, ending: &mut Ending) -> Result<(), Error> {
        let Finale { decisions, side_usage, joined } = finale;
        self.usage += side_usage;
        match self.take_in(decisions).await {
            Ok(()) => {}
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Failure(failure)) => {
                if !matches!(ending, Ending::Failed { .. }) {
                    *ending = Ending::Failed { failure };
                }
            }
        }
        joined.map_or(Ok(()), |joined| self.recorder.record(&Record::Joined(joined)))
    }

    /// Records what was done, and what has changed since.
    async fn take_in(&mut self, decisions: Vec<Decision>) -> Result<(), Stop> {
        for decision in decisions {
            self.record_turn(decision.turn)?;
            let mut coming = decision.intents.into_iter().peekable();
            while let Some(intent) = coming.next() {
                let done_together = coming.peek().is_some();
                self.step(intent, done_together).await?;
            }
        }
        let later = self.sandbox.delta().await?;
        self.manifest.apply(&later);
        self.state.files.extend(later);
        Ok(())
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

    /// One step: act, look at what changed, credit milestones, record. What was done together with the next one is looked
    /// at with that.
    async fn step(&mut self, intent: Intent, done_together: bool) -> Result<Seen, Stop> {
        let Intent { action, reasoning, turn, tool_call_id, done } = intent;
        let may_have_changed = match &done {
            Some(_) => !done_together,
            None => action.may_change_state(),
        };
        let (performed, seconds) = match done {
            Some(Done { observation, seconds }) => (Performed { observation, cwd: None }, seconds),
            None => self.perform(&action).await?,
        };
        let files = if may_have_changed { self.sandbox.delta().await? } else { Delta::default() };
        let milestones = if done_together || files.is_empty() && !self.looks_beyond_files() {
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

    async fn perform(&self, action: &Action) -> Result<(Performed, f64), Stop> {
        let most = Duration::from_secs(self.attempt.task.environment.limits.action_seconds);
        let left = self.deadline().saturating_duration_since(Instant::now());
        let before = Instant::now();
        let performed = perform(self.sandbox, action, most.min(left).max(Duration::from_millis(1))).await?;
        Ok((performed, before.elapsed().as_secs_f64()))
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
