//! A scaffold that is a program on the host.
//!
//! It is told the task over its standard input, asks its model through the gateway, and has its actions carried out by
//! saying them on its standard output.

mod end;
mod launch;
pub(super) mod process;
pub mod protocol;
mod turns;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use trajforge_router::Meter;
use trajforge_router::gateway::Session;
use trajforge_sandbox::Sandbox;
use trajforge_schema::{Action, Digest, Ending, Failure, Limit, Provenance, Task};

use super::agent::{MOST_MALFORMED, call};
use super::hearing::Heard;
use super::{Access, Decision, Finale, Intent, Manifest, Offer, Scaffold, Seen, tools};
pub use process::Leavings;
use process::{Output, Process};
use protocol::{Answer, Said, Told};
use turns::Turns;

/// How long a program may take to end once its standard output is closed.
const ENDING: Duration = Duration::from_secs(5);
/// How long the record of a reply is waited for that the program has read already.
const RECORDING: Duration = Duration::from_millis(500);
/// Characters of a line that a failure quotes.
const QUOTED: usize = 200;

/// A scaffold on the host at work on one task.
pub struct Stdio {
    manifest: Arc<Manifest>,
    folder: PathBuf,
    access: Access,
    task: Task,
    rollout: String,
    offer: Offer,
    session: Option<Session>,
    process: Option<Process>,
    hearing: mpsc::UnboundedReceiver<Heard>,
    heard: mpsc::UnboundedSender<Heard>,
    /// Exchanges that were taken in.
    exchanges: u64,
    /// The first request, until the record has begun.
    held: Option<oneshot::Sender<Result<(), String>>>,
    /// What it said before the record had begun.
    early: Option<Output>,
    turns: Turns,
    due: VecDeque<Decision>,
    /// Observations since the last reply.
    shown: Vec<String>,
    steps: u32,
    malformed: u32,
    left: Leavings,
}

/// What happens next.
enum Next {
    Heard(Heard),
    Output(Output),
}

impl Stdio {
    /// A scaffold for one task of a rollout; the folder is where its manifest lies.
    pub fn new(manifest: Arc<Manifest>, folder: PathBuf, access: Access, task: &Task) -> Self {
        let (heard, hearing) = mpsc::unbounded_channel();
        let digest = Digest::of(&serde_json::to_vec(&*manifest).unwrap_or_default());
        let version = format!("{}+{}", manifest.version, digest.short());
        let rollout = access.account.rollout.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            manifest,
            folder,
            access,
            task: task.clone(),
            rollout,
            offer: Offer { version, ..Offer::default() },
            session: None,
            process: None,
            hearing,
            heard,
            exchanges: 0,
            held: None,
            early: None,
            turns: Turns::default(),
            due: VecDeque::new(),
            shown: Vec::new(),
            steps: 0,
            malformed: 0,
            left: Leavings::default(),
        }
    }

    /// What the program left when it was to end; known once it has ended.
    pub fn left_behind(&self) -> Leavings {
        self.left
    }

    async fn tell(&mut self, told: &Told) -> Result<(), Failure> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let line = serde_json::to_string(told).unwrap_or_default();
        match process.send(&line).await {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Err(self.crashed("does not read its standard input"))
            }
            // One that has ended is heard of by its output.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn next(&mut self) -> Next {
        if let Some(early) = self.early.take() {
            return Next::Output(early);
        }
        let Some(process) = &mut self.process else { return Next::Output(Output::Closed) };
        tokio::select! {
            biased;
            Some(heard) = self.hearing.recv() => Next::Heard(heard),
            output = process.next() => Next::Output(output),
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Ended(exchange) => {
                self.exchanges += 1;
                let before = self.turns.count;
                self.turns.take(*exchange, &self.shown);
                if self.turns.count > before {
                    self.shown.clear();
                }
            }
            Heard::Knock(_, held) => drop(held.send(Ok(()))),
        }
    }

    /// Takes in every exchange whose reply the program can have read.
    async fn catch_up(&mut self) {
        let Some(requests) = self.session.as_ref().map(|session| session.report().requests) else { return };
        let all = async {
            while self.exchanges < requests {
                match self.hearing.recv().await {
                    Some(heard) => self.hear(heard),
                    None => break,
                }
            }
        };
        // A request that the program has begun beside its action is not waited for.
        drop(tokio::time::timeout(RECORDING, all).await);
    }

    fn line(&self, line: &str) -> Result<Said, Failure> {
        serde_json::from_str(line).map_err(|error| {
            let quoted: String = line.chars().take(QUOTED).collect();
            self.crashed(&format!(
                "sent a line that is no message of the protocol ({error}): {quoted:?}; what is for people goes to its \
                 standard error"
            ))
        })
    }

    /// An action becomes the decision that is due after the turns before it.
    async fn act(&mut self, said: Value, reasoning: Option<String>, call: Option<String>) {
        self.catch_up().await;
        let kind = said["type"].as_str().unwrap_or_default().to_owned();
        let mut fields = said;
        if let Some(fields) = fields.as_object_mut() {
            fields.shift_remove("type");
        }
        let action = call::action(&kind, &fields.to_string(), &tools::NAMES);
        self.malformed = if matches!(action, Action::Invalid { .. }) { self.malformed + 1 } else { 0 };
        let ending =
            (self.malformed >= MOST_MALFORMED).then_some(Ending::LimitReached { limit: Limit::Malformed });
        let (reasoning, tool_call_id) = self.turns.claim(reasoning, call);
        let turn = (self.turns.count > 0).then_some(self.turns.count);
        let intent = Intent { action, reasoning, turn, tool_call_id, done: None };
        self.turns_are_due();
        match self.due.back_mut() {
            Some(last) => {
                last.intents.push(intent);
                last.ending = ending;
            }
            None => self.due.push_back(Decision { turn: None, intents: vec![intent], ending }),
        }
    }

    fn turns_are_due(&mut self) {
        let turns = self.turns.fresh.drain(..);
        self.due.extend(turns.map(|turn| Decision { turn: Some(turn), ..Decision::default() }));
    }

    /// Takes in one thing that happened; what follows from it is due then.
    async fn take(&mut self, next: Next) -> Result<(), Failure> {
        let line = match next {
            Next::Heard(heard) => {
                self.hear(heard);
                return Ok(());
            }
            Next::Output(Output::Line(line)) => line,
            Next::Output(Output::TooLong) => {
                let failure = self.crashed("sent a line of more than 4 MiB");
                return self.over(Err(failure)).await;
            }
            Next::Output(Output::Closed) => {
                let ending = self.closed().await;
                return self.over(ending).await;
            }
        };
        match self.line(&line) {
            Ok(Said::Action { action, reasoning, tool_call_id }) => {
                self.act(action, reasoning, tool_call_id).await;
                Ok(())
            }
            Ok(Said::End { .. }) => self.over(Ok(Ending::Stopped)).await,
            Ok(Said::Ready { .. }) => {
                let failure = self.crashed("said twice that it is ready");
                self.over(Err(failure)).await
            }
            Err(failure) => self.over(Err(failure)).await,
        }
    }
}

#[async_trait]
impl Scaffold for Stdio {
    fn offer(&self) -> Offer {
        self.offer.clone()
    }

    fn provenance(&self) -> Provenance {
        self.access.served.entry.provenance
    }

    fn meter(&self) -> Option<Meter> {
        Some(self.access.meter.clone())
    }

    async fn begin(&mut self, _: &Arc<dyn Sandbox>) -> Result<(), Failure> {
        self.launch().await?;
        self.shake_hands().await?;
        // Its first request says what it offers; that is held until the record has begun.
        match self.next().await {
            Next::Heard(Heard::Knock(knock, held)) => {
                self.offer.prompt = knock.messages.as_array().cloned().unwrap_or_default();
                self.offer.tools = knock.tools.as_array().cloned().unwrap_or_default();
                self.held = Some(held);
            }
            Next::Heard(other @ Heard::Ended(_)) => self.hear(other),
            Next::Output(output) => self.early = Some(output),
        }
        Ok(())
    }

    async fn decide(&mut self, seen: &[Seen]) -> Result<Decision, Failure> {
        for Seen { observation, .. } in seen {
            self.steps += 1;
            let steps_left = self.task.environment.limits.steps.saturating_sub(self.steps);
            self.shown.push(observation.text.clone());
            let answer = Answer {
                text: observation.text.clone(),
                exit_code: observation.exit_code,
                is_error: observation.is_error,
                steps_left,
            };
            self.tell(&Told::Observation(answer)).await?;
        }
        if let Some(held) = self.held.take() {
            drop(held.send(Ok(())));
        }
        loop {
            if let Some(decision) = self.due.pop_front() {
                return Ok(decision);
            }
            let next = self.next().await;
            self.take(next).await?;
        }
    }

    async fn end(&mut self, ending: &Ending) -> Option<Finale> {
        self.finish(ending).await
    }
}
