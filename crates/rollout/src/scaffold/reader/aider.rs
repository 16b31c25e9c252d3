//! What Aider's driver writes down: replies, the edits and commands that Aider read out of them, commits and results.

use serde_json::json;

use super::ledger::{Ledger, Piece};
use super::{
    Collected, Exit, Observations, ReadError, ReadStep, Recording, exit_code, malformed, optional, text,
};

const FILE: &str = "rounds.json";

/// A reply of Aider's model is one action: it may edit several files and ask for several commands.
const TOOL: &str = "reply";

pub(super) fn read(files: &Collected) -> Result<Recording, ReadError> {
    let (name, document) = files.json(FILE)?;
    let format = document["format"].as_str().unwrap_or_default();
    if format != "aider-driver-1" {
        return Err(malformed(name, &format!("its format is {format:?}, not aider-driver-1")));
    }
    let mut ledger = Ledger::default();
    let mut whole = ledger.open("", document);
    let status = ledger.carry_text(&mut whole, "/status").unwrap_or_default();
    let mut recording = Recording {
        scaffold_version: ledger.carry_text(&mut whole, "/aider"),
        exit: Some(Exit { status, message: String::new() }),
        observations: Observations::Part,
        ..Recording::default()
    };
    for mut reply in whole.split("/replies") {
        read_reply(&mut ledger, &mut reply, &mut recording);
        ledger.close(reply);
    }
    ledger.close(whole);
    (recording.account, recording.raw) = ledger.settle();
    Ok(recording)
}

fn read_reply(ledger: &mut Ledger, reply: &mut Piece, recording: &mut Recording) {
    let message = text(&ledger.carry(reply, "/message"));
    // What a reply led to is what Aider is told next.
    match recording.steps.last_mut() {
        Some(step) => step.observation = Some(message),
        None => recording.prompt.push(message),
    }
    let problem = ledger.carry_text(reply, "/problem");
    if let Some(exit) = recording.exit.as_mut().filter(|_| problem.is_some()) {
        exit.message = problem.unwrap_or_default();
    }
    if reply.at("/response_id").is_null() {
        return;
    }
    let (edits, commands) = (ledger.carry(reply, "/edits"), ledger.carry(reply, "/suggested"));
    let (commits, results) = (ledger.carry(reply, "/commits"), ledger.carry(reply, "/commands"));
    let commit = commits.as_array().and_then(|commits| commits.last());
    let ran = results.as_array().map(Vec::as_slice).unwrap_or_default();
    let seconds = ran.iter().filter_map(|result| result["seconds"].as_f64());
    let told = [ledger.carry_text(reply, "/said"), ledger.carry_text(reply, "/reflected")];
    let [said, reflected] = told.map(Option::unwrap_or_default);
    // A message that is sent back begins with what the commands have said.
    let told = if reflected.is_empty() { said } else { reflected };
    recording.steps.push(ReadStep {
        id: commit.and_then(|commit| optional(&commit["id"])),
        response_id: ledger.carry_text(reply, "/response_id"),
        tool: Some(TOOL.to_owned()),
        thought: text(&ledger.carry(reply, "/text")),
        asked: optional(&ledger.carry(reply, "/started")),
        done: optional(&ledger.carry(reply, "/finished")),
        exit_code: ran.last().and_then(|result| exit_code(&result["exit_code"])),
        seconds: (!ran.is_empty()).then(|| seconds.sum()),
        arguments: json!({ "edits": edits, "commands": commands }),
        observation: (!told.is_empty()).then_some(told),
        effects: json!({ "commits": commits, "results": results }),
        ..ReadStep::default()
    });
}
