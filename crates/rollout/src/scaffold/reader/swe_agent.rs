//! SWE-agent's `.traj`: its trajectory, with the ids of the tool calls from its history.

use serde_json::Value;

use super::ledger::{CONSTANT, Ledger, Piece, REPEATED};
use super::{Collected, Exit, ReadError, ReadStep, Recording, arguments, malformed, optional, text};

const FILE: &str = ".traj";

/// A field of a request that the history has too.
const KNOWN: &str = "in the history";

/// A field that tells the provider what to cache.
const CACHING: &str = "a mark for the provider's cache";

/// What stands in the place of a key.
const MASK: &str = "[key]";

pub(super) fn read(files: &Collected) -> Result<Recording, ReadError> {
    let (name, mut document) = files.json(FILE)?;
    if !document["trajectory"].is_array() || !document["history"].is_array() {
        return Err(malformed(name, "it has no trajectory and no history"));
    }
    mask_replay_config(&mut document);
    let mut ledger = Ledger::default();
    let history = document["history"].clone();
    let mut whole = ledger.open("", document);
    let mut recording = Recording {
        scaffold_version: ledger.carry_text(&mut whole, "/info/swe_agent_version"),
        exit: Some(Exit {
            status: ledger.carry_text(&mut whole, "/info/exit_status").unwrap_or_default(),
            message: ledger.carry_text(&mut whole, "/info/submission").unwrap_or_default(),
        }),
        ..Recording::default()
    };
    let mut messages = whole.split("/history");
    for mut turn in whole.split("/trajectory") {
        let step = read_step(&mut ledger, &mut turn, &mut messages, &history);
        ledger.close(turn);
        recording.steps.push(step);
    }
    for mut message in messages {
        if matches!(message.at("/role").as_str(), Some("system" | "user")) && is_open(&message) {
            recording.prompt.push(text(&ledger.carry(&mut message, "/content")));
        }
        ledger.close(message);
    }
    ledger.close(whole);
    (recording.account, recording.raw) = ledger.settle();
    Ok(recording)
}

/// A step, with what its two messages in the history know beside it.
fn read_step(ledger: &mut Ledger, turn: &mut Piece, messages: &mut [Piece], history: &Value) -> ReadStep {
    drop_query(ledger, turn, history);
    let (response, action) = (turn.at("/response").clone(), turn.at("/action").clone());
    let is_its = |message: &Piece| {
        *message.at("/message_type") == "action"
            && is_open(message)
            && *message.at("/content") == response
            && *message.at("/action") == action
    };
    let place = messages.iter().position(is_its);
    let mut step = ReadStep {
        tool: Some("bash".to_owned()),
        thought: text(&ledger.carry(turn, "/thought")),
        seconds: ledger.carry(turn, "/execution_time").as_f64(),
        cwd: ledger.carry_text(turn, "/state/working_dir"),
        ..ReadStep::default()
    };
    let shown = place.and_then(|place| read_messages(ledger, messages, place, &mut step));
    let command = ledger.carry(turn, "/action");
    if step.arguments.is_null() {
        step.arguments = serde_json::json!({ "command": command });
    }
    // The response is the thought alone where tools are called.
    ledger.drop_repeated(turn, "/response", &Value::from(step.thought.clone()));
    let result = text(&ledger.carry(turn, "/observation"));
    step.observation = Some(shown.unwrap_or(result));
    step
}

/// What the history has of a step: the call as the model wrote it, and the result as the model was shown it.
fn read_messages(
    ledger: &mut Ledger,
    messages: &mut [Piece],
    place: usize,
    step: &mut ReadStep,
) -> Option<String> {
    let asked = &mut messages[place];
    for mut call in asked.split("/tool_calls") {
        step.tool_call_id = ledger.carry_text(&mut call, "/id");
        step.tool = ledger.carry_text(&mut call, "/function/name");
        step.arguments = arguments(&ledger.carry(&mut call, "/function/arguments"));
        ledger.drop(&mut call, "/type", CONSTANT);
        ledger.close(call);
    }
    for repeated in ["/content", "/thought", "/action"] {
        ledger.drop(asked, repeated, REPEATED);
    }
    let told = messages.get_mut(place + 1).filter(|next| *next.at("/message_type") == "observation")?;
    let shown = ledger.carry(told, "/content");
    for mut id in told.split("/tool_call_ids") {
        ledger.drop_repeated(&mut id, "", &Value::from(step.tool_call_id.clone()));
        ledger.close(id);
    }
    optional(&Value::from(text(&shown)))
}

/// Each step repeats all messages before it; those that the history has are left out.
fn drop_query(ledger: &mut Ledger, turn: &mut Piece, history: &Value) {
    let known = history.as_array().map(Vec::as_slice).unwrap_or_default();
    for mut message in turn.split("/query") {
        let is_known = known.iter().any(|item| {
            item["role"] == *message.at("/role") && text(&item["content"]) == text(message.at("/content"))
        });
        for mut part in message.split("/content") {
            ledger.drop(&mut part, "/cache_control", CACHING);
            if is_known {
                ledger.drop(&mut part, "", KNOWN);
            }
            ledger.close(part);
        }
        if is_known {
            ledger.drop(&mut message, "/cache_control", CACHING);
            ledger.drop(&mut message, "", KNOWN);
        }
        ledger.close(message);
    }
}

/// Whether nothing was taken out of a message yet.
fn is_open(message: &Piece) -> bool {
    !message.at("/content").is_null()
}

/// The configuration is a text that is JSON; it may hold the model's key.
fn mask_replay_config(document: &mut Value) {
    let Some(config) = document.get_mut("replay_config") else { return };
    let parsed = config.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(mut parsed) = parsed {
        mask(&mut parsed);
        *config = Value::from(parsed.to_string());
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if matches!(name.as_str(), "api_key" | "api_base" | "auth_token") {
                    *member = Value::from(MASK);
                }
                mask(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}
