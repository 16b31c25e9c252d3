//! Simulated models: programs that answer like a model over real HTTP.
//!
//! They know nothing; what they yield is labelled `simulated` in every record, and stays out of datasets unless somebody
//! asks for it.
//!
//! The one here plays a task's oracle. It is given the tasks with their solutions and traps, and learns which one a
//! conversation is about from the instruction in it. It goes right with a given competence, makes the mistakes that
//! models make, and mends some of them. What it does follows from its seed, the task and the attempt alone: the n-th
//! conversation that is begun about a task is its n-th attempt.

mod blocks;
mod mistake;
mod play;
mod tongue;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use trajforge_schema::{Digest, ModelEntry, Provenance, Skill, Task, TaskId};

use crate::dialect::all_text;
use crate::scripted::{Scripted, ScriptedReply};

pub use mistake::Mistake;
pub use play::{Move, Play};

/// A simulated model on a port of the loopback interface.
#[derive(Debug)]
pub struct Simulated {
    server: Scripted,
    entry: ModelEntry,
}

/// What the server plays from.
struct Player {
    skill: Skill,
    seed: u64,
    /// By a digest of the instruction.
    tasks: BTreeMap<Digest, Arc<Task>>,
    begun: Mutex<BTreeMap<TaskId, u32>>,
}

impl Simulated {
    /// Starts a player of these tasks. The entry says what it costs and what it is called; where it points is set here.
    pub async fn start(
        entry: ModelEntry,
        skill: Skill,
        tasks: impl IntoIterator<Item = Arc<Task>>,
        seed: u64,
    ) -> io::Result<Self> {
        let by_instruction = |task: Arc<Task>| (Digest::of(task.instruction.trim().as_bytes()), task);
        let tasks = tasks.into_iter().map(by_instruction).collect();
        let player = Player { skill, seed, tasks, begun: Mutex::default() };
        let latency = Duration::from_millis(player.skill.latency_ms);
        let server = Scripted::forgetful(move |request, _| {
            let reply = ScriptedReply::Response(completion(request, &player.reply(request)));
            if latency.is_zero() { reply } else { ScriptedReply::After(latency, Box::new(reply)) }
        })
        .await?;
        let base_url = server.base_url();
        let entry = ModelEntry { base_url, key_variable: None, provenance: Provenance::Simulated, ..entry };
        Ok(Self { server, entry })
    }

    /// Its entry, which points to it and says that it is simulated.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// Where it listens.
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }
}

impl Player {
    /// The next message of a conversation in the form of chat completions.
    fn reply(&self, request: &Value) -> Value {
        let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let said: Vec<&Value> = messages.iter().filter(|message| message["role"] == "assistant").collect();
        let Some(task) = self.task(messages) else {
            return says("I don't know this task: I am a program that plays the tasks it was given.");
        };
        let attempt = self.attempt(&task.id, &said);
        let play = Play::of(task, &self.skill, attempt, self.seed);
        if blocks::are_wanted(request) {
            let next = play.moves.get(blocks::done(&play, messages));
            return says(&next.map_or("DONE".to_owned(), blocks::text));
        }
        let Some(Move { reasoning, action }) = play.moves.get(said.len()) else {
            return says("I have nothing more to do.");
        };
        let called = action.as_ref().and_then(|action| tongue::call(action, request));
        let Some((name, arguments)) = called else { return says(reasoning) };
        let function = json!({ "name": name, "arguments": arguments.to_string() });
        let id = format!("simulated-{attempt}-{}", said.len() + 1);
        let calls = json!([{ "id": id, "type": "function", "function": function }]);
        json!({ "role": "assistant", "content": reasoning, "tool_calls": calls })
    }

    fn task(&self, messages: &[Value]) -> Option<&Task> {
        let said =
            || messages.iter().filter(|message| message["role"] == "user").map(|message| &message["content"]);
        let mut digests = said().filter_map(|content| Some(Digest::of(content.as_str()?.trim().as_bytes())));
        let alone = digests.find_map(|digest| self.tasks.get(&digest));
        // Some scaffolds put words of their own around it.
        let among = || {
            let texts: Vec<String> = said().map(all_text).collect();
            let is_in = |task: &&Arc<Task>| texts.iter().any(|text| text.contains(task.instruction.trim()));
            self.tasks.values().find(is_in)
        };
        alone.or_else(among).map(Arc::as_ref)
    }

    /// Which attempt a conversation is: its first call says so, and a conversation without one is new.
    fn attempt(&self, task: &TaskId, said: &[&Value]) -> u32 {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let count = begun.entry(task.clone()).or_default();
        let Some(first) = said.first() else {
            *count += 1;
            return *count;
        };
        let id = first["tool_calls"][0]["id"].as_str().unwrap_or_default();
        id.split('-').nth(1).and_then(|attempt| attempt.parse().ok()).unwrap_or(*count)
    }
}

/// A completion around a message. A token is four characters; what the request before it held counts as cached, as it
/// would with a provider that caches prefixes.
fn completion(request: &Value, message: &Value) -> Value {
    let characters = |value: &Value| value.to_string().len();
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tools = characters(&request["tools"]);
    let last = messages.iter().rposition(|message| message["role"] == "assistant");
    let before = last.map_or(0, |last| tools + messages[..last].iter().map(characters).sum::<usize>());
    let whole = tools + messages.iter().map(characters).sum::<usize>();
    let reason = if message["tool_calls"].is_array() { "tool_calls" } else { "stop" };
    json!({
        "id": message["tool_calls"][0]["id"].as_str().unwrap_or("simulated"),
        "object": "chat.completion",
        "model": request["model"],
        "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
        "usage": {
            "prompt_tokens": whole.div_ceil(4),
            "completion_tokens": characters(message).div_ceil(4),
            "prompt_tokens_details": { "cached_tokens": before / 4 },
        },
    })
}

fn says(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}
