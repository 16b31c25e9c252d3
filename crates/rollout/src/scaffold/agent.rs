//! The agent that all native scaffolds are: one conversation with a model, kept going, kept short, and brought to an end.
//!
//! ```text
//!   seen --> going in circles? --> limits near? --> too long? --> model --> read --> actions
//!             nudge, then end       told once       condense                 nudge, then end
//! ```
//!
//! What differs between native scaffolds is their [`Style`]: prompts, tools, and how a reply is read.

pub(crate) mod call;
mod condense;
mod conversation;
mod stuck;
mod style;
mod wrap_up;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;
use trajforge_router::{ChatRequest, Error, Meter, Model, Reply};
use trajforge_schema::{
    Action, Condensation, Ending, Failure, FailureCode, Limit, ModelTurn, Provenance, Task,
};

use crate::scaffold::{Decision, Intent, Offer, Scaffold, Seen};
use conversation::Conversation;
use stuck::{Circle, Stuck};
use wrap_up::WrapUp;

pub use style::{Reading, Style};

/// Replies, or actions of a program, that can't be understood, in a row, after which the rollout ends.
pub(super) const MOST_MALFORMED: u32 = 3;

/// An agent for one task.
pub struct Agent {
    model: Arc<dyn Model>,
    style: Style,
    offer: Offer,
    conversation: Conversation,
    condensations: Vec<Condensation>,
    stuck: Stuck,
    wrap_up: WrapUp,
    began: Option<Instant>,
    /// What was asked for last, in order.
    asked: Vec<Action>,
    turns: u32,
    malformed: u32,
}

impl Agent {
    /// An agent in a style, for one task.
    pub fn new(style: Style, model: Arc<dyn Model>, task: &Task) -> Self {
        let offer = style.offer(task);
        Self {
            conversation: Conversation::new(offer.prompt.clone()),
            wrap_up: WrapUp::new(&task.environment.limits),
            model,
            style,
            offer,
            condensations: Vec::new(),
            began: None,
            stuck: Stuck::default(),
            asked: Vec::new(),
            turns: 0,
            malformed: 0,
        }
    }

    /// Takes in what came of the last actions; gives the ending of an agent that goes on in circles.
    fn take_in(&mut self, seen: &[Seen]) -> Option<Ending> {
        for (action, seen) in self.asked.iter().zip(seen) {
            self.stuck.see(action, &seen.observation);
        }
        self.conversation.take_in(seen);
        self.wrap_up.count(seen.len());
        match self.stuck.circle() {
            Some(Circle::ToBeTold(how)) => self.conversation.insert(&style::stuck(how)),
            Some(Circle::Told) => return Some(Ending::Stuck),
            None => {}
        }
        let meter = self.model.meter();
        let parked = meter.as_ref().map(|meter| meter.parking().time()).unwrap_or_default();
        let used = self.began.get_or_insert_with(Instant::now).elapsed().saturating_sub(parked);
        if let Some(text) = self.wrap_up.notice(used, meter.and_then(|meter| meter.left())) {
            self.conversation.insert(&text);
        }
        None
    }

    /// The model's reply to the conversation, which is made to fit first.
    async fn reply(&mut self) -> Result<Reply, Error> {
        self.make_room().await?;
        match self.ask().await {
            // The provider counts otherwise than the gauge here.
            Err(Error::Request { code: FailureCode::ContextOverflow, .. }) if self.mask_all() => {
                self.ask().await
            }
            asked => asked,
        }
    }

    async fn ask(&mut self) -> Result<Reply, Error> {
        let messages = self.conversation.messages();
        let request = ChatRequest { messages, tools: self.offer.tools.clone() };
        let reply = self.model.complete(&request).await?;
        self.conversation.measured(&request, &reply.usage);
        Ok(reply)
    }

    /// A reply becomes a turn, and what is to be done.
    fn turn(&mut self, reply: Reply) -> Decision {
        self.turns += 1;
        let Reading { reasoning, actions, problem } = self.style.read(&reply.message);
        let inserted = self.conversation.answered(&reply.message);
        let mut reasoning = Some(reasoning);
        let mut intents = Vec::with_capacity(actions.len());
        for (tool_call_id, action) in actions {
            let reasoning = reasoning.take().unwrap_or_default();
            intents.push(Intent { action, reasoning, turn: Some(self.turns), tool_call_id, done: None });
        }
        self.asked = intents.iter().map(|intent| intent.action.clone()).collect();
        let valid = self.asked.iter().any(|action| action.kind() != "invalid");
        self.malformed = if valid { 0 } else { self.malformed + 1 };
        let gave_up = self.malformed >= MOST_MALFORMED;
        let ending = match (gave_up, intents.is_empty() && problem.is_none()) {
            (false, _) => None,
            (true, true) => Some(Ending::Stopped),
            (true, false) => Some(Ending::LimitReached { limit: Limit::Malformed }),
        };
        if intents.is_empty() && !gave_up {
            self.conversation.insert(&self.style.nudge(problem.as_deref()));
        }
        let turn = self.record(reply, inserted);
        Decision { turn: Some(turn), intents, ending }
    }

    fn record(&mut self, reply: Reply, inserted: Vec<Value>) -> ModelTurn {
        let response = &reply.response;
        let choice = &response["choices"][0];
        let first = |places: [&Value; 2]| places.into_iter().find(|value| !value.is_null()).cloned();
        ModelTurn {
            turn: self.turns,
            inserted,
            condensations: std::mem::take(&mut self.condensations),
            logprobs: choice["logprobs"].clone(),
            prompt_token_ids: first([&response["prompt_token_ids"], &choice["prompt_token_ids"]])
                .unwrap_or_default(),
            token_ids: choice["token_ids"].clone(),
            message: reply.message,
            response_id: reply.response_id,
            finish_reason: reply.finish_reason,
            usage: reply.usage,
            cost: reply.cost,
            requests: reply.requests,
            seconds: reply.seconds,
            parked_seconds: reply.parked_seconds,
        }
    }
}

#[async_trait]
impl Scaffold for Agent {
    fn offer(&self) -> Offer {
        self.offer.clone()
    }

    fn provenance(&self) -> Provenance {
        self.model.entry().provenance
    }

    fn meter(&self) -> Option<Meter> {
        self.model.meter()
    }

    async fn decide(&mut self, seen: &[Seen]) -> Result<Decision, Failure> {
        let end = |ending| Ok(Decision { ending: Some(ending), ..Decision::default() });
        if let Some(ending) = self.take_in(seen) {
            return end(ending);
        }
        match self.reply().await {
            Ok(reply) => Ok(self.turn(reply)),
            Err(Error::CapReached(_)) => end(Ending::LimitReached { limit: Limit::Cost }),
            Err(error) => Err(error.to_failure()),
        }
    }
}

/// A message of the user.
fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text.trim() })
}
