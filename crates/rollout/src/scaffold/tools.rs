//! `tools`: tool calling against any model that can do it: bash, read, write, edit, search, list, think, submit.

mod call;

pub(crate) use call::reasoning;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use trajforge_router::{ChatRequest, Error, Meter, Model};
use trajforge_schema::{Digest, Ending, Failure, Limit, ModelTurn, Provenance, Task};

use crate::scaffold::{Decision, Intent, Offer, Scaffold, Seen};

/// What the model is told before the task.
const SYSTEM: &str = include_str!("tools/system.md");
/// What the model is told when it answers without acting.
const NUDGE: &str = include_str!("tools/nudge.md");
/// The tools' schemas.
const TOOLS: &str = include_str!("tools/tools.json");
/// Replies without a valid action, in a row, after which the rollout ends.
const MOST_MALFORMED: u32 = 3;

/// A tool-calling agent.
pub struct Tools {
    model: Arc<dyn Model>,
    offer: Offer,
    messages: Vec<Value>,
    inserted: Vec<Value>,
    turns: u32,
    malformed: u32,
}

/// The prompt and tools for a task; the oracle's record offers the same.
pub(crate) fn offer(task: &Task) -> Offer {
    let digest = Digest::of(format!("{SYSTEM}\n{NUDGE}\n{TOOLS}").as_bytes());
    let prompt = vec![
        json!({ "role": "system", "content": SYSTEM.replace("{workspace}", &task.environment.workspace) }),
        json!({ "role": "user", "content": task.instruction }),
    ];
    let tools = serde_json::from_str(TOOLS).expect("the file beside this one is a list");
    Offer { version: format!("1+{}", digest.short()), prompt, tools }
}

impl Tools {
    /// An agent for one task.
    pub fn new(model: Arc<dyn Model>, task: &Task) -> Self {
        let offer = offer(task);
        let messages = offer.prompt.clone();
        Self { model, offer, messages, inserted: Vec::new(), turns: 0, malformed: 0 }
    }

    fn take_in(&mut self, seen: &[Seen]) {
        for Seen { tool_call_id, observation } in seen {
            let content = &observation.text;
            self.messages.push(json!({ "role": "tool", "tool_call_id": tool_call_id, "content": content }));
        }
    }

    fn insert(&mut self, text: &str) {
        let message = json!({ "role": "user", "content": text.trim() });
        self.messages.push(message.clone());
        self.inserted.push(message);
    }
}

#[async_trait]
impl Scaffold for Tools {
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
        self.take_in(seen);
        let request = ChatRequest { messages: self.messages.clone(), tools: self.offer.tools.clone() };
        let reply = match self.model.complete(&request).await {
            Ok(reply) => reply,
            Err(Error::CapReached(_)) => {
                let ending = Ending::LimitReached { limit: Limit::Cost };
                return Ok(Decision { ending: Some(ending), ..Decision::default() });
            }
            Err(error) => return Err(error.to_failure()),
        };
        self.turns += 1;
        self.messages.push(reply.message.clone());
        let reasoning = call::reasoning(&reply.message);
        let intents: Vec<Intent> = call::actions(&reply.message)
            .into_iter()
            .enumerate()
            .map(|(index, (tool_call_id, action))| Intent {
                action,
                reasoning: if index == 0 { reasoning.clone() } else { String::new() },
                turn: Some(self.turns),
                tool_call_id,
                done: None,
            })
            .collect();
        let turn = ModelTurn {
            turn: self.turns,
            message: reply.message,
            inserted: std::mem::take(&mut self.inserted),
            response_id: reply.response_id,
            finish_reason: reply.finish_reason,
            usage: reply.usage,
            cost: reply.cost,
            requests: reply.requests,
            seconds: reply.seconds,
            parked_seconds: reply.parked_seconds,
        };
        let valid = intents.iter().any(|intent| intent.action.kind() != "invalid");
        self.malformed = if valid { 0 } else { self.malformed + 1 };
        let gave_up = self.malformed >= MOST_MALFORMED;
        let limit = if intents.is_empty() {
            Ending::Stopped
        } else {
            Ending::LimitReached { limit: Limit::Malformed }
        };
        if intents.is_empty() && !gave_up {
            self.insert(NUDGE);
        }
        Ok(Decision { turn: Some(turn), intents, ending: gave_up.then_some(limit) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use trajforge_schema::{Action, Position};

    use super::*;

    fn every_action_in_full() -> Vec<Action> {
        let text = || "x".to_owned();
        vec![
            Action::Bash { command: text(), timeout_seconds: Some(1) },
            Action::Read { path: text(), offset: Some(1), limit: Some(1) },
            Action::Write { path: text(), content: text() },
            Action::Edit { path: text(), old: text(), new: text(), occurrence: Position::All },
            Action::Search { pattern: text(), path: Some(text()) },
            Action::List { path: Some(text()) },
            Action::Think { thought: text() },
            Action::Submit { message: Some(text()) },
        ]
    }

    #[test]
    fn the_tools_name_every_action_and_every_argument() {
        let tools: Vec<Value> = serde_json::from_str(TOOLS).unwrap();
        let actions = every_action_in_full();
        assert_eq!(tools.len(), actions.len());
        for (tool, action) in tools.iter().zip(&actions) {
            assert_eq!(tool["function"]["name"], action.kind());
            let mut fields = serde_json::to_value(action).unwrap();
            fields.as_object_mut().unwrap().shift_remove("type");
            let keys =
                |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
            assert_eq!(keys(&tool["function"]["parameters"]["properties"]), keys(&fields));
        }
    }
}
