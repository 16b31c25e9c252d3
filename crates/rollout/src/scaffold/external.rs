//! A scaffold that is a program of its own: it runs inside the task's sandbox and asks its model through the gateway.
//!
//! It acts by itself, and is recorded while it does. When its next request comes to the gateway, everything that its last
//! reply asked for has happened, and it waits: the request is held until that is recorded.

mod end;
mod launch;
mod outside;
mod turns;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use trajforge_router::Meter;
use trajforge_router::gateway::Session;
use trajforge_sandbox::{Layer, Ran, Sandbox};
use trajforge_schema::{Digest, Ending, Failure, Provenance, Task};

use super::hearing::Heard;
use super::manifest::Manifest;
use super::reader::LiveStep;
use super::{Access, Decision, Finale, Offer, Scaffold, Seen, Wants};
use outside::Outside;
use turns::Turns;

/// An external scaffold at work on one task.
pub struct External {
    manifest: Arc<Manifest>,
    layer: Option<Layer>,
    access: Access,
    task: Task,
    rollout: String,
    offer: Offer,
    session: Option<Session>,
    sandbox: Option<Arc<dyn Sandbox>>,
    program: Option<BoxFuture<'static, Result<Ran, trajforge_sandbox::Error>>>,
    hearing: mpsc::UnboundedReceiver<Heard>,
    heard: mpsc::UnboundedSender<Heard>,
    /// The request that waits until what came before it is recorded.
    held: Option<oneshot::Sender<Result<(), String>>>,
    turns: Turns,
    /// What is done and not told yet.
    due: VecDeque<Decision>,
    steps: Vec<LiveStep>,
    places: super::Places,
    /// What the program printed, without its key.
    printed: Vec<u8>,
    /// What a program has that does not run in the sandbox.
    outside: Option<Outside>,
}

/// What happens next.
enum Next {
    Heard(Heard),
    Exit(Result<Ran, trajforge_sandbox::Error>),
}

impl External {
    /// A scaffold for one task of a rollout; a layer that it needs is there already.
    pub fn new(manifest: Arc<Manifest>, layer: Option<Layer>, access: Access, task: &Task) -> Self {
        let (heard, hearing) = mpsc::unbounded_channel();
        let what = (&*manifest, layer.as_ref().map(|layer| layer.volume.as_str()));
        let digest = Digest::of(&serde_json::to_vec(&what).unwrap_or_default());
        let version = format!("{}+{}", manifest.version, digest.short());
        let rollout = access.account.rollout.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            turns: Turns::new(&manifest),
            manifest,
            layer,
            access,
            task: task.clone(),
            rollout,
            offer: Offer { version, ..Offer::default() },
            session: None,
            sandbox: None,
            program: None,
            hearing,
            heard,
            held: None,
            due: VecDeque::new(),
            steps: Vec::new(),
            places: super::Places::default(),
            printed: Vec::new(),
            outside: None,
        }
    }

    /// What the gateway hears, or the program's end; what was heard comes first.
    async fn next(&mut self) -> Next {
        let program = async {
            match &mut self.program {
                Some(program) => program.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            heard = self.hearing.recv() => match heard {
                Some(heard) => Next::Heard(heard),
                // This holds a sender itself.
                None => std::future::pending().await,
            },
            ran = program => {
                self.program = None;
                Next::Exit(ran)
            }
        }
    }

    /// Lets the request go on that is held, or keeps it back.
    fn let_go(&mut self, passed: Result<(), String>) {
        if let Some(held) = self.held.take() {
            // Whoever hung up meanwhile needs no answer.
            drop(held.send(passed));
        }
    }

    /// Puts what is done on the list, with the steps as they will be numbered.
    fn is_done(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            let response_id = decision.turn.as_ref().and_then(|turn| turn.response_id.clone());
            for intent in &decision.intents {
                let observation = intent.done.as_ref().map(|done| done.observation.text.clone());
                self.steps.push(LiveStep {
                    step: u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX),
                    tool_call_id: intent.tool_call_id.clone(),
                    response_id: response_id.clone(),
                    action: intent.action.clone(),
                    observation: observation.unwrap_or_default(),
                });
            }
            self.due.push_back(decision);
        }
    }
}

#[async_trait]
impl Scaffold for External {
    fn offer(&self) -> Offer {
        self.offer.clone()
    }

    fn provenance(&self) -> Provenance {
        self.access.served.entry.provenance
    }

    fn meter(&self) -> Option<Meter> {
        Some(self.access.meter.clone())
    }

    fn wants(&self) -> Wants {
        Wants { layers: self.layer.iter().cloned().collect(), needs: Some(self.manifest.limits) }
    }

    async fn begin(&mut self, sandbox: &Arc<dyn Sandbox>) -> Result<(), Failure> {
        self.launch(sandbox).await?;
        // Its first request says what it offers; that is held until the record has begun.
        loop {
            match self.next().await {
                Next::Heard(Heard::Knock(knock, held)) => {
                    self.offer.prompt = knock.messages.as_array().cloned().unwrap_or_default();
                    self.offer.tools = knock.tools.as_array().cloned().unwrap_or_default();
                    self.held = Some(held);
                    return Ok(());
                }
                Next::Heard(Heard::Ended(exchange)) => self.turns.take(*exchange),
                Next::Exit(ran) => {
                    self.program = Some(Box::pin(std::future::ready(ran)));
                    return Ok(());
                }
            }
        }
    }

    async fn decide(&mut self, _: &[Seen]) -> Result<Decision, Failure> {
        loop {
            if let Some(decision) = self.due.pop_front() {
                return Ok(decision);
            }
            self.let_go(Ok(()));
            match self.next().await {
                Next::Heard(Heard::Ended(exchange)) => self.turns.take(*exchange),
                Next::Heard(Heard::Knock(knock, held)) => {
                    self.held = Some(held);
                    let done = self.turns.shown(&knock);
                    self.is_done(done);
                }
                Next::Exit(ran) => return self.exited(ran?).await,
            }
        }
    }

    async fn end(&mut self, ending: &Ending) -> Option<Finale> {
        self.finish(ending).await
    }
}
