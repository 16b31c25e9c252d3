//! The start of a scaffold on the host: a session, its program, the task, the first word.

use std::collections::BTreeMap;
use std::time::Duration;

use trajforge_schema::{Failure, Limits};

use super::process::{Output, Process};
use super::protocol::{Allowance, Assignment, Line, PROTOCOL, Said, Told};
use super::{ENDING, Stdio};
use crate::scaffold::{Places, tools};

/// How long a program may take until it says that it is ready.
const READY: Duration = Duration::from_mins(1);
/// Requests for each action, at most.
const REQUESTS: u64 = 4;

impl Stdio {
    /// Starts the program and tells it the task.
    pub(super) async fn launch(&mut self) -> Result<(), Failure> {
        let line = self.open_session()?;
        let Limits { steps, rollout_seconds, action_seconds, .. } = self.task.environment.limits;
        let places = self.places(&line);
        let command: Vec<String> = self.manifest.command.iter().map(|part| places.fill(part)).collect();
        let process = Process::start(&command, &self.folder, &self.variables(&line, &places));
        let process = process.map_err(|error| {
            let program = command.first().map(String::as_str).unwrap_or_default();
            self.crashed(&format!("could not be started ({program}): {error}"))
        })?;
        self.process = Some(process);
        let assignment = Assignment {
            protocol: PROTOCOL,
            rollout: self.rollout.clone(),
            instruction: self.task.instruction.clone(),
            workspace: self.task.environment.workspace.clone(),
            limits: Allowance { steps, seconds: rollout_seconds, action_seconds },
            model: line,
            tools: tools::STYLE.schemas(),
        };
        self.tell(&Told::Task(Box::new(assignment))).await
    }

    fn variables(&self, line: &Line, places: &Places) -> BTreeMap<String, String> {
        let known = [
            ("OPENAI_BASE_URL", &line.base_url),
            ("OPENAI_API_KEY", &line.key),
            ("ANTHROPIC_BASE_URL", &line.anthropic_base_url),
            ("ANTHROPIC_API_KEY", &line.key),
        ];
        let known = known.into_iter().map(|(name, value)| (name.to_owned(), value.clone()));
        let own = self.manifest.environment.iter().map(|(name, value)| (name.clone(), places.fill(value)));
        known.chain(own).collect()
    }

    fn places(&self, line: &Line) -> Places {
        let Limits { steps, rollout_seconds, action_seconds, .. } = self.task.environment.limits;
        Places {
            instruction: self.task.instruction.clone(),
            workspace: self.task.environment.workspace.clone(),
            base_url: line.base_url.clone(),
            anthropic_base_url: line.anthropic_base_url.clone(),
            key: line.key.clone(),
            model: line.name.clone(),
            steps,
            seconds: rollout_seconds,
            action_seconds,
            ..Places::default()
        }
    }

    /// Waits for the program's first word.
    pub(super) async fn shake_hands(&mut self) -> Result<(), Failure> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let Ok(output) = tokio::time::timeout(READY, process.next()).await else {
            return Err(self.crashed(&format!("did not say within {} s that it is ready", READY.as_secs())));
        };
        let line = match output {
            Output::Line(line) => line,
            Output::TooLong => return Err(self.crashed("began with a line of more than 4 MiB")),
            Output::Closed => {
                // Its last words are whole when it has ended.
                process.ended(ENDING).await;
                return Err(self.crashed("ended before it said that it is ready"));
            }
        };
        match self.line(&line)? {
            Said::Ready { protocol: PROTOCOL } => Ok(()),
            Said::Ready { protocol } => {
                Err(self.crashed(&format!("speaks version {protocol} of the protocol, and not {PROTOCOL}")))
            }
            Said::Action { .. } | Said::End { .. } => Err(self.crashed("did not begin with ready")),
        }
    }

    fn open_session(&mut self) -> Result<Line, Failure> {
        let most = u64::from(self.task.environment.limits.steps) * REQUESTS;
        let session = self.access.open(&self.rollout, &self.manifest, most, &self.heard)?;
        let entry = &self.access.served.entry;
        let line = Line {
            base_url: session.base_url(),
            anthropic_base_url: session.anthropic_base_url().to_owned(),
            key: session.key().to_owned(),
            name: entry.name.clone(),
            context_tokens: entry.context_tokens,
            output_tokens: entry.output_tokens,
        };
        self.session = Some(session);
        Ok(line)
    }
}
