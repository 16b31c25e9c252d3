//! The end of an external scaffold: by itself, or because it must; and what it leaves.

use std::time::Duration;

use trajforge_router::gateway::SessionReport;
use trajforge_sandbox::{Ran, Sandbox, SandboxExt as _};
use trajforge_schema::{Ending, Failure, FailureCode, Joined, Limit};

use super::{External, Next};
use crate::scaffold::hearing::Heard;
use crate::scaffold::reader::{self, Collected};
use crate::scaffold::{Decision, Finale};

/// What a scaffold is told that asks on when its rollout is over.
const OVER: &str = "the rollout is over";
/// How long the end of a killed program is waited for.
const KILLED: Duration = Duration::from_secs(10);
/// The name under which is kept what the program printed.
const PRINTED: &str = "printed.log";
/// Characters of what a program printed at last that a failure tells.
const TOLD: usize = 1500;

impl External {
    /// The program has ended by itself.
    pub(super) async fn exited(&mut self, ran: Ran) -> Result<Decision, Failure> {
        self.printed = self.masked(ran.output.text().into_bytes());
        let report = self.hang_up().await;
        let rest = self.turns.rest();
        self.is_done(rest);
        let ending = self.ending(&ran, report.as_ref());
        match self.due.back_mut() {
            Some(last) => last.ending = Some(ending),
            None => return Ok(Decision { ending: Some(ending), ..Decision::default() }),
        }
        Ok(self.due.pop_front().unwrap_or_default())
    }

    fn ending(&self, ran: &Ran, report: Option<&SessionReport>) -> Ending {
        if let Some(report) = report.filter(|report| report.capped.is_some()) {
            let most = u64::from(self.task.environment.limits.steps);
            let limit = if report.steps >= most { Limit::Steps } else { Limit::Cost };
            return Ending::LimitReached { limit };
        }
        // Some end with 0 although the model could not be asked.
        if let Some(failure) = &self.turns.failure {
            return Ending::Failed { failure: failure.clone() };
        }
        let asked = report.is_some_and(|report| report.steps > 0);
        if ran.exit_code == 0 && asked {
            return Ending::Submitted;
        }
        let name = &self.manifest.name;
        let what = match ran.exit_code {
            0 => format!("{name} ended without having asked its model"),
            code => format!("{name} ended with {code}"),
        };
        let message = format!("{what}: {}", self.last_words());
        Ending::Failed { failure: Failure::new(FailureCode::ScaffoldCrashed, message) }
    }

    fn last_words(&self) -> String {
        let printed = String::from_utf8_lossy(&self.printed);
        let printed = printed.trim();
        let skipped = printed.chars().count().saturating_sub(TOLD);
        let tail: String = printed.chars().skip(skipped).collect();
        if tail.is_empty() { "it printed nothing".to_owned() } else { tail }
    }

    /// Ends what still runs, and tells what was done at last.
    pub(super) async fn finish(&mut self, ending: &Ending) -> Option<Finale> {
        let sandbox = self.sandbox.take()?;
        if self.program.is_some() {
            let grace = match ending {
                Ending::Cancelled | Ending::Failed { .. } => Duration::ZERO,
                _ => Duration::from_secs(self.manifest.limits.grace_seconds),
            };
            self.stop(&*sandbox, grace).await;
        } else if let Err(error) = sandbox.kill_agent().await {
            // What it started may still be there.
            tracing::debug!(rollout = self.rollout, "nothing could be killed: {error}");
        }
        self.hang_up().await;
        if *ending == Ending::Cancelled {
            self.end_outside().await;
            return None;
        }
        let rest = self.turns.rest();
        self.is_done(rest);
        let mut collected = self.collect(&*sandbox).await;
        collected.0.insert(PRINTED.to_owned(), std::mem::take(&mut self.printed));
        (self.access.keep)(&collected);
        self.end_outside().await;
        Some(Finale {
            decisions: self.due.drain(..).collect(),
            side_usage: std::mem::take(&mut self.turns.side_usage),
            joined: self.joined(&collected),
        })
    }

    /// Asks nothing more of the model for it, waits a while, then kills it.
    async fn stop(&mut self, sandbox: &dyn Sandbox, grace: Duration) {
        self.let_go(Err(OVER.to_owned()));
        if tokio::time::timeout(grace, self.until_exit()).await.is_ok() {
            return;
        }
        if let Err(error) = sandbox.kill_agent().await {
            tracing::debug!(rollout = self.rollout, "the scaffold could not be killed: {error}");
        }
        if let Some(outside) = &self.outside {
            outside.kill();
        }
        if tokio::time::timeout(KILLED, self.until_exit()).await.is_err() {
            tracing::warn!(rollout = self.rollout, "the scaffold was killed, and did not end");
        }
    }

    async fn until_exit(&mut self) {
        while self.program.is_some() {
            match self.next().await {
                Next::Heard(Heard::Ended(exchange)) => self.turns.take(*exchange),
                Next::Heard(Heard::Knock(knock, held)) => {
                    let done = self.turns.shown(&knock);
                    self.is_done(done);
                    self.held = Some(held);
                    self.let_go(Err(OVER.to_owned()));
                }
                Next::Exit(Ok(ran)) => self.printed = self.masked(ran.output.text().into_bytes()),
                Next::Exit(Err(_)) => {}
            }
        }
    }

    /// Closes the session, and hears what was still under way.
    async fn hang_up(&mut self) -> Option<SessionReport> {
        let session = self.session.take()?;
        let report = self.access.gateway.close(session).await;
        while let Ok(heard) = self.hearing.try_recv() {
            if let Heard::Ended(exchange) = heard {
                self.turns.take(*exchange);
            }
        }
        Some(report)
    }

    /// What its own record adds; one that can't be read is a difference too.
    fn joined(&self, collected: &Collected) -> Option<Joined> {
        let name = self.manifest.reader?;
        let reader = serde_json::to_value(name).unwrap_or_default().as_str().unwrap_or_default().to_owned();
        Some(match reader::read(name, collected) {
            Ok(recording) => Joined { reader, ..reader::join(&self.steps, &recording) },
            Err(error) => Joined { reader, differences: vec![error.to_string()], ..Joined::default() },
        })
    }
}
