//! From what passes through the gateway to turns, for a scaffold that tells its actions itself.

use std::collections::VecDeque;

use serde_json::Value;
use trajforge_router::gateway::{Exchange, ExchangeEnd, View};
use trajforge_schema::{Failure, ModelTurn, Usage};

use crate::scaffold::agent::call::reasoning;
use crate::scaffold::hearing::{self, since_the_reply};

/// The model's replies so far.
#[derive(Default)]
pub(super) struct Turns {
    /// Replies that no action has been told of yet.
    pub(super) fresh: VecDeque<ModelTurn>,
    /// How many replies there were.
    pub(super) count: u32,
    /// What the last one thought, until an action takes it.
    thought: String,
    /// Its calls that no action has claimed.
    calls: VecDeque<String>,
    /// What requests used that are no turns.
    pub(super) side_usage: Usage,
    /// Requests that brought nothing, since the last reply.
    in_vain: u32,
    /// What became of the last request, if that was nothing good.
    pub(super) failure: Option<Failure>,
}

impl Turns {
    /// Takes in an exchange that has ended; `shown` are the observations since the reply before.
    pub(super) fn take(&mut self, exchange: Exchange, shown: &[String]) {
        if exchange.side_call.is_some() || exchange.end != ExchangeEnd::Whole {
            self.side_usage += exchange.usage;
            if exchange.side_call.is_none() {
                self.in_vain += 1;
                self.failure = exchange.failure;
            }
            return;
        }
        self.failure = None;
        self.count += 1;
        let inserted = if self.count == 1 { Vec::new() } else { inserted(&exchange.view, shown) };
        let turn = hearing::turn(exchange, self.count, inserted, 1 + std::mem::take(&mut self.in_vain));
        self.thought = reasoning(&turn.message, "content");
        let calls = turn.message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.calls = calls.iter().filter_map(|call| call["id"].as_str().map(str::to_owned)).collect();
        self.fresh.push_back(turn);
    }

    /// What was thought before an action, and the call that asks for it, where the scaffold says neither.
    pub(super) fn claim(
        &mut self,
        reasoning: Option<String>,
        call: Option<String>,
    ) -> (String, Option<String>) {
        let thought = std::mem::take(&mut self.thought);
        let call = match call {
            Some(call) => {
                self.calls.retain(|other| *other != call);
                Some(call)
            }
            None => self.calls.pop_front(),
        };
        (reasoning.unwrap_or(thought), call)
    }
}

/// What a scaffold put before a turn that is neither prompt nor result.
fn inserted(view: &View, shown: &[String]) -> Vec<Value> {
    let is_result = |message: &&Value| {
        message["role"] == "tool"
            || message["content"]
                .as_str()
                .is_some_and(|text| shown.iter().any(|one| one.trim() == text.trim()))
    };
    since_the_reply(view).iter().filter(|message| !is_result(message)).cloned().collect()
}
