//! The events of an OpenHands conversation, as its driver collects them.

use serde_json::json;

use super::ledger::{CONSTANT, Ledger, PLACED, Piece, REPEATED};
use super::{
    Collected, Condensation, Exit, ReadError, ReadStep, Recording, arguments, exit_code, malformed, optional,
    text,
};

const FILE: &str = "events.json";

/// What the model is shown before the text of an observation that is an error.
const ERROR: &str = "[An error occurred during execution.]\n";

pub(super) fn read(files: &Collected) -> Result<Recording, ReadError> {
    let (name, document) = files.json(FILE)?;
    let format = document["format"].as_str().unwrap_or_default();
    if format != "openhands-events-1" {
        return Err(malformed(name, &format!("its format is {format:?}, not openhands-events-1")));
    }
    let mut ledger = Ledger::default();
    let mut whole = ledger.open("", document);
    let status = ledger.carry_text(&mut whole, "/status").unwrap_or_default();
    let mut recording = Recording {
        scaffold_version: ledger.carry_text(&mut whole, "/version"),
        exit: Some(Exit { status, message: String::new() }),
        ..Recording::default()
    };
    for mut event in whole.split("/events") {
        read_event(&mut ledger, &mut event, &mut recording);
        ledger.close(event);
    }
    ledger.close(whole);
    (recording.account, recording.raw) = ledger.settle();
    Ok(recording)
}

fn read_event(ledger: &mut Ledger, event: &mut Piece, recording: &mut Recording) {
    let kind = event.at("/kind").as_str().unwrap_or_default().to_owned();
    ledger.drop(event, "/kind", PLACED);
    match kind.as_str() {
        "SystemPromptEvent" => recording.prompt.push(text(&ledger.carry(event, "/system_prompt/text"))),
        "MessageEvent" if event.at("/llm_response_id").is_null() => {
            recording.prompt.push(parts(ledger, event, "/llm_message/content"));
        }
        "MessageEvent" => read_words(ledger, event, recording),
        "ActionEvent" => read_action(ledger, event, recording),
        "ObservationEvent" => read_observation(ledger, event, recording),
        "AgentErrorEvent" => read_refusal(ledger, event, "/error", "", recording),
        "UserRejectObservation" => {
            read_refusal(ledger, event, "/rejection_reason", "Action rejected: ", recording);
        }
        "Condensation" => recording.condensations.push(Condensation {
            response_id: ledger.carry_text(event, "/llm_response_id"),
            after: recording.steps.len(),
            summary: ledger.carry_text(event, "/summary").unwrap_or_default(),
        }),
        "ConversationErrorEvent" => {
            let code = ledger.carry_text(event, "/code").unwrap_or_default();
            let message = ledger.carry_text(event, "/detail").unwrap_or_default();
            recording.exit = Some(Exit { status: code, message });
        }
        // State updates say what the events say, and running totals: they are kept raw.
        _ => {}
    }
}

/// A reply without a tool call.
fn read_words(ledger: &mut Ledger, event: &mut Piece, recording: &mut Recording) {
    recording.steps.push(ReadStep {
        id: ledger.carry_text(event, "/id"),
        response_id: ledger.carry_text(event, "/llm_response_id"),
        thought: parts(ledger, event, "/llm_message/content"),
        reasoning: text(&ledger.carry(event, "/llm_message/reasoning_content")),
        asked: optional(&ledger.carry(event, "/timestamp")),
        ..ReadStep::default()
    });
}

fn read_action(ledger: &mut Ledger, event: &mut Piece, recording: &mut Recording) {
    let step = ReadStep {
        id: ledger.carry_text(event, "/id"),
        tool_call_id: ledger.carry_text(event, "/tool_call_id"),
        response_id: ledger.carry_text(event, "/llm_response_id"),
        tool: ledger.carry_text(event, "/tool_name"),
        arguments: arguments(&ledger.carry(event, "/tool_call/arguments")),
        thought: parts(ledger, event, "/thought"),
        reasoning: text(&ledger.carry(event, "/reasoning_content")),
        asked: optional(&ledger.carry(event, "/timestamp")),
        ..ReadStep::default()
    };
    ledger.drop_repeated(event, "/tool_call/id", &json!(step.tool_call_id));
    ledger.drop_repeated(event, "/tool_call/name", &json!(step.tool));
    // What is left of the action are defaults, and what OpenHands made of the arguments.
    for (name, value) in step.arguments.as_object().into_iter().flatten() {
        ledger.drop_repeated(event, &format!("/action/{name}"), value);
        ledger.drop_repeated(event, &format!("/{name}"), value);
    }
    recording.steps.push(step);
}

/// The result of an action, as the model is shown it.
fn read_observation(ledger: &mut Ledger, event: &mut Piece, recording: &mut Recording) {
    let id = event.at("/action_id").as_str().map(str::to_owned);
    let Some(step) = recording.steps.iter_mut().find(|step| step.id.is_some() && step.id == id) else {
        return;
    };
    ledger.drop(event, "/action_id", REPEATED);
    ledger.drop_repeated(event, "/tool_call_id", &json!(step.tool_call_id));
    ledger.drop_repeated(event, "/tool_name", &json!(step.tool));
    step.done = optional(&ledger.carry(event, "/timestamp"));
    let observation = "/observation";
    let said = parts(ledger, event, &format!("{observation}/content"));
    let is_terminal = event.at("/observation/metadata").is_object();
    let mut shown = if is_terminal { read_terminal(ledger, event, step, &said) } else { said };
    if ledger.carry(event, "/observation/is_error") == json!(true) {
        shown = format!("{ERROR}\n{shown}");
    }
    let more = parts(ledger, event, "/extended_content");
    if !more.is_empty() {
        shown = format!("{shown}\n{more}");
    }
    step.observation = Some(shown);
    for (name, value) in step.arguments.as_object().into_iter().flatten() {
        ledger.drop_repeated(event, &format!("{observation}/{name}"), value);
    }
}

/// A command's result: what is shown is put together from the text and what the prompt of the shell told.
fn read_terminal(ledger: &mut Ledger, event: &mut Piece, step: &mut ReadStep, said: &str) -> String {
    let metadata = "/observation/metadata";
    let mut known = |name: &str| ledger.carry(event, &format!("{metadata}/{name}"));
    let mut shown = format!("{}{said}{}", text(&known("prefix")), text(&known("suffix")));
    let code = exit_code(&known("exit_code"));
    step.cwd = optional(&known("working_dir"));
    if let Some(folder) = &step.cwd {
        shown.extend(["\n[Current working directory: ", folder, "]"]);
    }
    if let Some(interpreter) = optional(&known("py_interpreter_path")).filter(|path| !path.is_empty()) {
        shown.extend(["\n[Python interpreter: ", &interpreter, "]"]);
    }
    // -1 stands for a command that has not ended.
    step.exit_code = code.filter(|code| *code != -1);
    if let Some(code) = step.exit_code {
        shown.extend(["\n[Command finished with exit code ", &code.to_string(), "]"]);
    }
    ledger.drop_repeated(event, "/observation/exit_code", &json!(code));
    shown
}

/// What the model is told instead of a result.
fn read_refusal(
    ledger: &mut Ledger,
    event: &mut Piece,
    reason: &str,
    before: &str,
    recording: &mut Recording,
) {
    let id = event.at("/tool_call_id").as_str().map(str::to_owned);
    let is_its = |step: &&mut ReadStep| step.tool_call_id == id && step.observation.is_none();
    let Some(step) = recording.steps.iter_mut().rev().find(is_its) else { return };
    ledger.drop(event, "/tool_call_id", REPEATED);
    ledger.drop(event, "/action_id", REPEATED);
    ledger.drop_repeated(event, "/tool_name", &json!(step.tool));
    step.done = optional(&ledger.carry(event, "/timestamp"));
    step.observation = Some(format!("{before}{}", text(&ledger.carry(event, reason))));
}

/// The texts of a list of parts; what else the parts say is kept raw.
fn parts(ledger: &mut Ledger, event: &mut Piece, at: &str) -> String {
    let mut texts = Vec::new();
    for mut part in event.split(at) {
        if let Some(text) = ledger.carry_text(&mut part, "/text") {
            texts.push(text);
        }
        ledger.drop(&mut part, "/type", CONSTANT);
        ledger.drop(&mut part, "/cache_prompt", CONSTANT);
        ledger.close(part);
    }
    texts.join("\n")
}
