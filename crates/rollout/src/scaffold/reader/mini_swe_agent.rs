//! mini-swe-agent's trajectory file, `mini-swe-agent-1.1`: the conversation, with raw replies and return codes.

use serde_json::Value;
use trajforge_schema::{Tokens, Usage};

use super::ledger::{CONSTANT, Ledger, PLACED, Piece};
use super::{
    Collected, Exit, ReadError, ReadStep, Recording, arguments, exit_code, malformed, optional, text,
};

const FILE: &str = "trajectory.json";

pub(super) fn read(files: &Collected) -> Result<Recording, ReadError> {
    let (name, document) = files.json(FILE)?;
    let format = document["trajectory_format"].as_str().unwrap_or_default();
    if !format.starts_with("mini-swe-agent-1") {
        return Err(malformed(name, &format!("its format is {format:?}, not mini-swe-agent-1")));
    }
    let mut ledger = Ledger::default();
    let mut whole = ledger.open("", document);
    for secret in ["api_key", "api_base"] {
        let pointer = format!("/info/config/model/model_kwargs/{secret}");
        ledger.drop(&mut whole, &pointer, "where the model was, and its key");
    }
    let mut recording = Recording {
        scaffold_version: ledger.carry_text(&mut whole, "/info/mini_version"),
        exit: Some(Exit {
            status: ledger.carry_text(&mut whole, "/info/exit_status").unwrap_or_default(),
            message: ledger.carry_text(&mut whole, "/info/submission").unwrap_or_default(),
        }),
        ..Recording::default()
    };
    for mut message in whole.split("/messages") {
        read_message(&mut ledger, &mut message, &mut recording);
        ledger.close(message);
    }
    ledger.close(whole);
    (recording.account, recording.raw) = ledger.settle();
    Ok(recording)
}

fn read_message(ledger: &mut Ledger, message: &mut Piece, recording: &mut Recording) {
    let kept = message.at("").clone();
    let role = kept["role"].as_str().unwrap_or_default();
    ledger.drop(message, "/role", PLACED);
    let is_format_error = message.at("/extra/interrupt_type").is_string();
    let is_result = !message.at("/extra/returncode").is_null();
    match role {
        "assistant" => read_reply(ledger, message, &kept, recording),
        "exit" => read_exit(ledger, message, recording),
        "user" if is_format_error => read_refused(ledger, message, recording),
        "tool" | "user" if is_result => read_result(ledger, message, recording),
        _ => recording.prompt.push(text(&ledger.carry(message, "/content"))),
    }
}

/// A reply: a step for each of its calls. The raw response repeats the message.
fn read_reply(ledger: &mut Ledger, message: &mut Piece, kept: &Value, recording: &mut Recording) {
    for mut choice in message.split("/extra/response/choices") {
        for field in ["role", "content", "reasoning_content", "tool_calls", "function_call"] {
            ledger.drop_repeated(&mut choice, &format!("/message/{field}"), &kept[field]);
        }
        ledger.close(choice);
    }
    let mut steps = steps(ledger, message, "");
    let mut actions = message.split("/extra/actions");
    if steps.iter().all(|step| step.tool.is_none()) && !actions.is_empty() {
        // Without tool calls, the actions are commands that were found in the text.
        let spoken = steps.pop().unwrap_or_default();
        for action in &mut actions {
            let command = ledger.carry(action, "/command");
            let tool = Some("bash".to_owned());
            steps.push(ReadStep {
                tool,
                arguments: serde_json::json!({ "command": command }),
                ..ReadStep::default()
            });
        }
        if let Some(first) = steps.first_mut() {
            (first.thought, first.reasoning) = (spoken.thought, spoken.reasoning);
        }
    }
    for (action, step) in actions.iter_mut().zip(&steps) {
        ledger.drop_repeated(action, "/command", &step.arguments["command"]);
        ledger.drop_repeated(action, "/tool_call_id", &Value::from(step.tool_call_id.clone()));
    }
    for action in actions {
        ledger.close(action);
    }
    attribute(ledger, message, &mut steps);
    recording.steps.append(&mut steps);
}

/// A reply that was no good: the user's message says why, and holds the response.
fn read_refused(ledger: &mut Ledger, message: &mut Piece, recording: &mut Recording) {
    let mut steps = Vec::new();
    for mut choice in message.split("/extra/response/choices") {
        steps.append(&mut self::steps(ledger, &mut choice, "/message"));
        ledger.drop(&mut choice, "/message/role", CONSTANT);
        ledger.close(choice);
    }
    if let Some(last) = steps.last_mut() {
        last.observation = Some(text(&ledger.carry(message, "/content")));
    }
    attribute(ledger, message, &mut steps);
    recording.steps.append(&mut steps);
}

/// The steps that an assistant's message asks for; one without a tool where it only talks.
fn steps(ledger: &mut Ledger, piece: &mut Piece, at: &str) -> Vec<ReadStep> {
    let mut steps = Vec::new();
    for mut call in piece.split(&format!("{at}/tool_calls")) {
        steps.push(ReadStep {
            tool_call_id: ledger.carry_text(&mut call, "/id"),
            tool: ledger.carry_text(&mut call, "/function/name"),
            arguments: arguments(&ledger.carry(&mut call, "/function/arguments")),
            ..ReadStep::default()
        });
        ledger.drop(&mut call, "/type", CONSTANT);
        ledger.close(call);
    }
    if steps.is_empty() {
        steps.push(ReadStep::default());
    }
    steps[0].thought = text(&ledger.carry(piece, &format!("{at}/content")));
    steps[0].reasoning = text(&ledger.carry(piece, &format!("{at}/reasoning_content")));
    steps
}

/// What a response says of all its steps: its id, its time, what it used.
fn attribute(ledger: &mut Ledger, message: &mut Piece, steps: &mut [ReadStep]) {
    let response_id = ledger.carry_text(message, "/extra/response/id");
    let asked = optional(&ledger.carry(message, "/extra/timestamp"));
    for step in &mut *steps {
        step.response_id.clone_from(&response_id);
        step.asked.clone_from(&asked);
    }
    let usage = "/extra/response/usage";
    let mut tokens =
        |name: &str| Tokens(ledger.carry(message, &format!("{usage}/{name}")).as_u64().unwrap_or(0));
    let usage = Usage {
        input: tokens("prompt_tokens"),
        output: tokens("completion_tokens"),
        cached_input: tokens("prompt_tokens_details/cached_tokens"),
        ..Usage::default()
    };
    if let Some(first) = steps.first_mut() {
        first.usage = (usage != Usage::default()).then_some(usage);
    }
}

/// The result of a call: of the call that it names, or of the first one that has none yet.
fn read_result(ledger: &mut Ledger, message: &mut Piece, recording: &mut Recording) {
    let id = ledger.carry_text(message, "/tool_call_id");
    let is_its = |step: &&mut ReadStep| step.observation.is_none() && step.tool_call_id == id;
    let Some(step) = recording.steps.iter_mut().find(is_its) else { return };
    step.observation = Some(text(&ledger.carry(message, "/content")));
    step.done = optional(&ledger.carry(message, "/extra/timestamp"));
    let code = exit_code(&ledger.carry(message, "/extra/returncode"));
    // -1 stands for a command that had no end of its own; a signal's number is negative too.
    let failed = message.at("/extra/exception_info").as_str().is_some_and(|text| !text.is_empty());
    step.exit_code = code.filter(|_| !failed);
}

/// The end: its status and its words stand in the head of the file as well.
fn read_exit(ledger: &mut Ledger, message: &mut Piece, recording: &mut Recording) {
    let Some(exit) = &mut recording.exit else { return };
    ledger.drop_repeated(message, "/extra/exit_status", &Value::from(exit.status.clone()));
    ledger.drop_repeated(message, "/extra/submission", &Value::from(exit.message.clone()));
    let content = text(&ledger.carry(message, "/content"));
    ledger.drop_repeated(message, "/extra/exception_str", &Value::from(content.clone()));
    if exit.message.is_empty() && content != exit.status {
        exit.message = content;
    }
}
