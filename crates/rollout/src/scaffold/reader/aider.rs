//! What Aider's driver writes down: replies, the edits and commands that Aider read out of them, commits and results.

use serde_json::{Value, json};

use super::ledger::{Ledger, Piece, REPEATED};
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
    let before = recording.steps.last().and_then(|step| step.observation.clone());
    match before {
        // A reflection is what came of the reply before.
        Some(shown) if shown.ends_with(reply.at("/message").as_str().unwrap_or_default()) => {
            ledger.drop(reply, "/message", REPEATED);
        }
        _ => recording.prompt.push(text(&ledger.carry(reply, "/message"))),
    }
    let problem = ledger.carry_text(reply, "/problem");
    if let Some(exit) = recording.exit.as_mut().filter(|_| problem.is_some()) {
        exit.message = problem.unwrap_or_default();
    }
    if reply.at("/response_id").is_null() {
        return;
    }
    let (edits, commands) = (ledger.carry(reply, "/edits"), ledger.carry(reply, "/suggested"));
    let (commits, commits_kept) = read_commits(ledger, reply);
    let mut step = ReadStep {
        id: commits.last().cloned(),
        response_id: ledger.carry_text(reply, "/response_id"),
        tool: Some(TOOL.to_owned()),
        thought: text(&ledger.carry(reply, "/text")),
        asked: optional(&ledger.carry(reply, "/started")),
        done: optional(&ledger.carry(reply, "/finished")),
        ..ReadStep::default()
    };
    let results = read_results(ledger, reply, &mut step);
    step.arguments = json!({ "edits": edits, "commands": commands });
    step.effects = json!({ "commits": commits_kept, "results": results });
    let reflected = ledger.carry_text(reply, "/reflected").unwrap_or_default();
    let shown = format!("{}{reflected}", step.observation.unwrap_or_default());
    step.observation = (!shown.is_empty()).then_some(shown);
    recording.steps.push(step);
}

/// The commits that a reply led to: their ids, and all that is known of them.
fn read_commits(ledger: &mut Ledger, reply: &mut Piece) -> (Vec<String>, Value) {
    let commits = ledger.carry(reply, "/commits");
    let ids = commits.as_array().into_iter().flatten().filter_map(|commit| optional(&commit["id"])).collect();
    (ids, commits)
}

/// The commands that were run, and how the last one ended; their output is what the model is shown, as Aider puts it.
fn read_results(ledger: &mut Ledger, reply: &mut Piece, step: &mut ReadStep) -> Value {
    let results = ledger.carry(reply, "/commands");
    let commands = results.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_test = |result: &Value| {
        reply.at("/reflected").as_str().is_some_and(|text| {
            text.contains(result["output"].as_str().unwrap_or_default())
                && text.contains("I ran this command")
        })
    };
    let mut shown = String::new();
    for result in commands.iter().filter(|result| !is_test(result)) {
        let (command, output) = (text(&result["command"]), text(&result["output"]));
        if !output.is_empty() {
            shown.extend(["Output from ", &command, "\n", &output, "\n"]);
        }
    }
    step.observation = (!shown.is_empty()).then_some(shown);
    step.exit_code = commands.last().and_then(|result| exit_code(&result["exit_code"]));
    let seconds = commands.iter().filter_map(|result| result["seconds"].as_f64());
    step.seconds = (!commands.is_empty()).then(|| seconds.sum());
    results
}
