//! From what passes through the gateway to turns and steps.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;
use trajforge_router::gateway::{Exchange, ExchangeEnd, Knock, View};
use trajforge_schema::{Action, Failure, FailureCode, ModelTurn, Observation, Usage};

use crate::scaffold::agent::call::reasoning;
use crate::scaffold::hearing::{self, since_the_last, since_the_reply};
use crate::scaffold::manifest::{Manifest, ToolRule};
use crate::scaffold::{Decision, Done, Intent};

/// Replies, and what was done because of them.
pub(super) struct Turns {
    rules: BTreeMap<String, ToolRule>,
    text_action: Option<String>,
    /// Replies that were given, and of which nothing is known yet.
    open: Vec<Open>,
    count: u32,
    /// Requests for a step that brought none, since the last reply.
    in_vain: u32,
    /// What is used by calls that are no turns.
    pub(super) side_usage: Usage,
    /// What became of the last request for a step, if that was nothing good.
    pub(super) failure: Option<Failure>,
}

/// A reply that the scaffold was given.
struct Open {
    turn: ModelTurn,
    calls: Vec<Call>,
    given: Instant,
}

/// One thing that a reply asks for.
struct Call {
    id: Option<String>,
    action: Action,
}

impl Turns {
    pub(super) fn new(manifest: &Manifest) -> Self {
        Self {
            rules: manifest.tools.clone(),
            text_action: manifest.text_action.clone(),
            open: Vec::new(),
            count: 0,
            in_vain: 0,
            side_usage: Usage::default(),
            failure: None,
        }
    }

    /// Takes in an exchange that has ended.
    pub(super) fn take(&mut self, exchange: Exchange) {
        if exchange.side_call.is_some() {
            self.side_usage += exchange.usage;
            return;
        }
        if exchange.end == ExchangeEnd::Whole {
            self.failure = None;
            self.count += 1;
            let calls = self.calls(&exchange.view.reply);
            let turn = self.turn(exchange);
            self.open.push(Open { turn, calls, given: Instant::now() });
            return;
        }
        self.side_usage += exchange.usage;
        self.in_vain += 1;
        if exchange.end != ExchangeEnd::Cancelled {
            self.failure = Some(failure(&exchange));
        }
    }

    /// What a request shows of the replies before it: those whose results are in it are done.
    pub(super) fn shown(&mut self, knock: &Knock) -> Vec<Decision> {
        let messages = knock.messages.as_array().map(Vec::as_slice).unwrap_or_default();
        let results = results(messages);
        let mut done = Vec::new();
        for open in std::mem::take(&mut self.open) {
            let is_shown = |call: &Call| call.id.as_ref().is_some_and(|id| results.contains_key(id.as_str()));
            let has_ids = open.calls.iter().any(|call| call.id.is_some());
            if !has_ids && knock.repeated > 0 {
                // It never took the reply: it asks the same again.
                done.push(Decision { turn: Some(open.turn), ..Decision::default() });
            } else if !has_ids {
                let shown = said_after(messages, &text(&open.turn.message["content"]));
                done.push(open.done(|_| shown.clone()));
            } else if open.calls.iter().any(is_shown) {
                done.push(open.done(|id| id.and_then(|id| results.get(id)).cloned().unwrap_or_default()));
            } else {
                self.open.push(open);
            }
        }
        done
    }

    /// The replies of which no request will show anything any more.
    pub(super) fn rest(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.open).into_iter().map(|open| open.done(|_| String::new())).collect()
    }

    fn turn(&mut self, exchange: Exchange) -> ModelTurn {
        let inserted = if self.count == 1 { Vec::new() } else { inserted(&exchange.view) };
        hearing::turn(exchange, self.count, inserted, 1 + std::mem::take(&mut self.in_vain))
    }

    fn calls(&self, reply: &Value) -> Vec<Call> {
        let calls = reply["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let (true, Some(name)) = (calls.is_empty(), &self.text_action) {
            let arguments = serde_json::json!({ "text": text(&reply["content"]) });
            return vec![Call { id: None, action: Action::Tool { name: name.clone(), arguments } }];
        }
        calls
            .iter()
            .map(|call| Call { id: call["id"].as_str().map(str::to_owned), action: self.action(call) })
            .collect()
    }

    fn action(&self, call: &Value) -> Action {
        let name = call["function"]["name"].as_str().unwrap_or_default().to_owned();
        let said = call["function"]["arguments"].as_str().unwrap_or_default();
        let parsed =
            if said.trim().is_empty() { Ok(serde_json::json!({})) } else { serde_json::from_str(said) };
        match parsed {
            Err(error) => {
                let problem = format!("the arguments are no JSON: {error}");
                Action::Invalid { tool: name, arguments: said.to_owned(), problem }
            }
            Ok(arguments) => {
                let known = self.rules.get(&name).and_then(|rule| rule.action(&arguments));
                known.unwrap_or(Action::Tool { name, arguments })
            }
        }
    }
}

impl Open {
    fn done(self, mut result: impl FnMut(Option<&str>) -> String) -> Decision {
        let Self { turn, calls, given } = self;
        let seconds = given.elapsed().as_secs_f64();
        let thought = reasoning(&turn.message, "content");
        let share = if calls.is_empty() { 0.0 } else { seconds / f64::from(count(calls.len())) };
        let intents = calls.into_iter().enumerate().map(|(index, call)| {
            let observation = Observation { text: result(call.id.as_deref()), ..Observation::default() };
            Intent {
                action: call.action,
                reasoning: if index == 0 { thought.clone() } else { String::new() },
                turn: Some(turn.turn),
                tool_call_id: call.id,
                done: Some(Done { observation, seconds: share }),
            }
        });
        let intents = intents.collect();
        Decision { turn: Some(turn), intents, ending: None }
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What tools gave back, by the ids of their calls.
fn results(messages: &[Value]) -> BTreeMap<&str, String> {
    let results = messages.iter().filter(|message| message["role"] == "tool");
    results
        .filter_map(|message| Some((message["tool_call_id"].as_str()?, text(&message["content"]))))
        .collect()
}

/// What a scaffold has said since a reply; what it has the assistant say in between is filling.
fn said_after(messages: &[Value], reply: &str) -> String {
    let is_reply = |message: &Value| message["role"] == "assistant" && text(&message["content"]) == reply;
    let since = match messages.iter().rposition(is_reply) {
        Some(place) => &messages[place + 1..],
        None => since_the_last(messages),
    };
    let others = since.iter().filter(|message| message["role"] != "assistant");
    let texts: Vec<String> = others.map(|message| text(&message["content"])).collect();
    texts.join("\n\n")
}

/// What a scaffold put before a turn that is neither prompt nor result.
fn inserted(view: &View) -> Vec<Value> {
    since_the_reply(view).iter().filter(|message| message["role"] != "tool").cloned().collect()
}

/// A message's text: of all its parts, where it has parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// Why an exchange brought nothing.
fn failure(exchange: &Exchange) -> Failure {
    exchange.failure.clone().unwrap_or_else(|| {
        let said = exchange.response.as_text().unwrap_or_default();
        let said: Value = serde_json::from_str(said).unwrap_or_default();
        let said = said["error"]["message"].as_str().unwrap_or("it was refused").to_owned();
        Failure::new(FailureCode::ScaffoldCrashed, format!("its request could not be served: {said}"))
    })
}

#[cfg(test)]
mod tests;
