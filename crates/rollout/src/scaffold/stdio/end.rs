//! The end of a scaffold on the host: what it means, what was said before it, and nothing left running.

use std::time::Duration;

use trajforge_router::gateway::Session;
use trajforge_schema::{Ending, Failure, FailureCode, Limit};

use super::process::Process;
use super::protocol::Told;
use super::{ENDING, Stdio};
use crate::scaffold::{Decision, Finale};

impl Stdio {
    /// The program is done, or says so.
    pub(super) async fn over(&mut self, ending: Result<Ending, Failure>) -> Result<(), Failure> {
        self.catch_up().await;
        self.turns_are_due();
        let ending = ending.or_else(|failure| {
            // Whatever it was, what had been said before is recorded first.
            if self.due.is_empty() { Err(failure) } else { Ok(Ending::Failed { failure }) }
        })?;
        match self.due.back_mut() {
            Some(last) => last.ending = Some(ending),
            None => self.due.push_back(Decision { ending: Some(ending), ..Decision::default() }),
        }
        Ok(())
    }

    /// What it means that its standard output is closed.
    pub(super) async fn closed(&mut self) -> Result<Ending, Failure> {
        let Some(process) = &mut self.process else { return Ok(Ending::Stopped) };
        let Some(status) = process.ended(ENDING).await else {
            return Err(self.crashed("closed its standard output and did not end"));
        };
        self.catch_up().await;
        let report = self.session.as_ref().map(Session::report);
        if report.is_some_and(|report| report.capped.is_some()) {
            return Ok(Ending::LimitReached { limit: Limit::Cost });
        }
        if let Some(failure) = &self.turns.failure {
            return Ok(Ending::Failed { failure: failure.clone() });
        }
        Err(self.crashed(&format!("ended ({status}) before it had submitted or said that it ends")))
    }

    pub(super) fn crashed(&self, what: &str) -> Failure {
        let words = self.process.as_ref().map(Process::last_words).unwrap_or_default();
        let said = if words.is_empty() { String::new() } else { format!("; it said at last: {words}") };
        let message = format!("the scaffold {} {what}{said}", self.manifest.name);
        let key = self.session.as_ref().map(Session::key).filter(|key| !key.is_empty());
        let message = key.map_or_else(|| message.clone(), |key| message.replace(key, "[key]"));
        Failure::new(FailureCode::ScaffoldCrashed, message)
    }

    /// Ends what still runs, and tells what was said at last.
    pub(super) async fn finish(&mut self, ending: &Ending) -> Option<Finale> {
        if self.process.is_some() {
            let reason = ending.as_str().to_owned();
            if let Err(failure) = self.tell(&Told::Stop { reason }).await {
                tracing::debug!(rollout = self.rollout, "{failure}");
            }
        }
        if let Some(process) = self.process.take() {
            let grace = match ending {
                Ending::Cancelled | Ending::Failed { .. } => Duration::ZERO,
                _ => Duration::from_secs(self.manifest.limits.grace_seconds),
            };
            self.left = process.stop(grace).await;
            if self.left.processes > 0 {
                let (name, left) = (&self.manifest.name, self.left.processes);
                tracing::warn!(rollout = self.rollout, "{name} left {left} processes, which were killed");
            }
        }
        let session = self.session.take()?;
        self.access.gateway.close(session).await;
        while let Ok(heard) = self.hearing.try_recv() {
            self.hear(heard);
        }
        if *ending == Ending::Cancelled {
            return None;
        }
        self.turns_are_due();
        let side_usage = std::mem::take(&mut self.turns.side_usage);
        Some(Finale { decisions: self.due.drain(..).collect(), side_usage, joined: None })
    }
}
