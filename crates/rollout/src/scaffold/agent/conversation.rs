//! A conversation, whole as it is recorded, and shorter as the model sees it where it has to be.

use serde_json::{Value, json};
use trajforge_router::ChatRequest;
use trajforge_schema::Usage;

use super::user;
use crate::scaffold::Seen;

/// Tokens for each byte, until a provider has said how it counts.
const TOKENS_A_BYTE: f64 = 0.25;
/// Whatever a provider says, it is believed to lie between these.
const BELIEVED: (f64, f64) = (0.1, 1.0);

/// All that was said.
#[derive(Debug)]
pub(super) struct Conversation {
    prompt: Vec<Value>,
    turns: Vec<Turn>,
    /// What waits to go before the next turn.
    inserted: Vec<Value>,
    /// So many turns from the first are replaced by this message.
    summarised: usize,
    summary: Option<Value>,
    /// Results in so many turns from the first are hidden.
    masked: usize,
    tokens_a_byte: f64,
}

#[derive(Debug)]
struct Turn {
    inserted: Vec<Value>,
    reply: Value,
    results: Vec<Value>,
}

impl Conversation {
    pub(super) fn new(prompt: Vec<Value>) -> Self {
        Self {
            prompt,
            turns: Vec::new(),
            inserted: Vec::new(),
            summarised: 0,
            summary: None,
            masked: 0,
            tokens_a_byte: TOKENS_A_BYTE,
        }
    }

    /// Results of what the last turn asked for.
    pub(super) fn take_in(&mut self, seen: &[Seen]) {
        let Some(turn) = self.turns.last_mut() else { return };
        for Seen { tool_call_id, observation } in seen {
            turn.results.push(match tool_call_id {
                Some(id) => json!({ "role": "tool", "tool_call_id": id, "content": observation.text }),
                None => json!({ "role": "user", "content": observation.text }),
            });
        }
    }

    /// A message that is neither prompt nor result.
    pub(super) fn insert(&mut self, text: &str) {
        self.inserted.push(user(text));
    }

    /// The model has answered: gives what was inserted before.
    pub(super) fn answered(&mut self, reply: &Value) -> Vec<Value> {
        let inserted = std::mem::take(&mut self.inserted);
        self.turns.push(Turn { inserted: inserted.clone(), reply: reply.clone(), results: Vec::new() });
        inserted
    }

    /// What the model is sent.
    pub(super) fn messages(&self) -> Vec<Value> {
        let mut messages = self.until(self.turns.len());
        messages.extend(self.inserted.iter().cloned());
        messages
    }

    /// What the model was sent of so many turns.
    pub(super) fn until(&self, turns: usize) -> Vec<Value> {
        let mut messages = self.prompt.clone();
        messages.extend(self.summary.clone());
        for (index, turn) in self.turns.iter().enumerate().take(turns).skip(self.summarised) {
            messages.extend(turn.inserted.iter().cloned());
            messages.push(turn.reply.clone());
            messages.extend(turn.results.iter().map(|result| self.shown(index, result)));
        }
        messages
    }

    fn shown(&self, index: usize, result: &Value) -> Value {
        let mut result = result.clone();
        if index < self.masked {
            result["content"] = json!(super::condense::MASKED.trim());
        }
        result
    }

    /// How many turns there are.
    pub(super) fn turns(&self) -> usize {
        self.turns.len()
    }

    /// Turns from the first that can go when the last ones up to so many tokens stay; the very last one always does.
    pub(super) fn old(&self, keep: u64) -> usize {
        let (mut at, mut kept) = (self.turns.len(), 0);
        while at > 0 {
            let turn = &self.turns[at - 1];
            let messages = turn.inserted.iter().chain([&turn.reply]).chain(&turn.results);
            kept += self.tokens(messages.map(size).sum());
            if at < self.turns.len() && kept > keep {
                break;
            }
            at -= 1;
        }
        at
    }

    /// Whether so many turns from the first are sent as less than they were.
    pub(super) fn summarised(&self) -> usize {
        self.summarised
    }

    /// The first turns are replaced by a message.
    pub(super) fn summarise(&mut self, turns: usize, message: Value) {
        self.summarised = turns;
        self.summary = Some(message);
    }

    /// Hides results in the first turns; false where that changes nothing.
    pub(super) fn mask(&mut self, turns: usize) -> bool {
        let from = self.masked.max(self.summarised);
        let changes = self.turns.iter().take(turns).skip(from).any(|turn| !turn.results.is_empty());
        self.masked = self.masked.max(turns);
        changes
    }

    /// About how many tokens some messages are.
    pub(super) fn weigh<'a>(&self, messages: impl IntoIterator<Item = &'a Value>) -> u64 {
        self.tokens(messages.into_iter().map(size).sum())
    }

    /// A provider has counted a request.
    pub(super) fn measured(&mut self, request: &ChatRequest, usage: &Usage) {
        let bytes: usize = request.messages.iter().chain(&request.tools).map(size).sum();
        if !usage.estimated && usage.input.0 > 0 && bytes > 0 {
            let (least, most) = BELIEVED;
            self.tokens_a_byte = (usage.input.0 as f64 / bytes as f64).clamp(least, most);
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a size in memory")]
    fn tokens(&self, bytes: usize) -> u64 {
        (bytes as f64 * self.tokens_a_byte) as u64
    }
}

fn size(message: &Value) -> usize {
    message.to_string().len()
}
