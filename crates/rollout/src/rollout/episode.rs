//! One episode: the scaffold acts, and what it does becomes steps.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trajforge_router::Meter;
use trajforge_sandbox::{self as sandbox, Sandbox, SandboxExt as _};
use trajforge_schema::{
    Action, Delta, Ending, Header, Limit, Manifest, MicroDollars, ModelTurn, Observation, Outcome, Record,
    State, Step, Summary, Timestamp, Usage, WIRE_VERSION,
};

use super::{Attempt, Recorder};
use crate::browser::Browser;
use crate::error::{Error, Stop};
use crate::milestones::Milestones;
use crate::perform::{Performed, perform};
use crate::reward;
use crate::scaffold::{Decision, Done, Finale, Intent, Scaffold, Seen};
use crate::verify::Verified;

/// How often a rollout that waits for a provider is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What grows while the agent acts.
pub(super) struct Episode<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) sandbox: &'a dyn Sandbox,
    pub(super) milestones: Milestones<'a>,
    pub(super) recorder: &'a mut dyn Recorder,
    pub(super) state: State,
    pub(super) manifest: Manifest,
    pub(super) steps: u32,
    pub(super) credited: f64,
    pub(super) usage: Usage,
    pub(super) meter: Option<Meter>,
    pub(super) browser: Browser,
    pub(super) deadline: Instant,
    /// Whether the agent has written more than it may.
    pub(super) is_full: bool,
}

impl Episode<'_> {
    /// Lets the scaffold begin, and act.
    pub(super) async fn play(
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
        if self.is_full {
            return Some(Limit::Disk);
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
    pub(super) async fn close(&mut self, finale: Finale, ending: &mut Ending) -> Result<(), Error> {
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
        let later = self.delta().await?;
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

    pub(super) fn parked(&self) -> Duration {
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
        let files = if may_have_changed { self.delta().await? } else { Delta::default() };
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

    async fn perform(&mut self, action: &Action) -> Result<(Performed, f64), Stop> {
        let most = Duration::from_secs(self.attempt.task.environment.limits.action_seconds);
        let left = self.deadline().saturating_duration_since(Instant::now());
        let before = Instant::now();
        let most = most.min(left).max(Duration::from_millis(1));
        let performed = match perform(self.sandbox, &mut self.browser, action, most).await {
            // What wrote too much was stopped. The step stands in the record, and it is the last one.
            Err(sandbox::Error::Limit { reason }) => {
                self.is_full = true;
                let observation = Observation { text: reason, is_error: true, ..Observation::default() };
                Performed { observation, cwd: None }
            }
            performed => performed?,
        };
        Ok((performed, before.elapsed().as_secs_f64()))
    }

    /// What has changed in the workspace; nothing can be said of one that has outgrown its limit.
    async fn delta(&mut self) -> Result<Delta, Stop> {
        match self.sandbox.delta().await {
            Err(sandbox::Error::Limit { .. }) => {
                self.is_full = true;
                Ok(Delta::default())
            }
            delta => Ok(delta?),
        }
    }

    /// With services or carried folders, progress need not show in the workspace.
    fn looks_beyond_files(&self) -> bool {
        let environment = &self.attempt.task.environment;
        !environment.services.is_empty() || !environment.carry.is_empty()
    }

    pub(super) fn summary(
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
            outcome: match ending {
                _ if judged => Outcome::of_reward(reward.total),
                // What is too large to be carried to its verification is the agent's own doing.
                Ending::LimitReached { limit: Limit::Disk } => Outcome::Failure,
                _ => Outcome::Error,
            },
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
