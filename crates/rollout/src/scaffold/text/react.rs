//! `Thought:`, `Action:`, `Action Input:`.

use serde_json::{Deserializer, Value, json};

use super::{NAMES, several};
use crate::scaffold::agent::{Reading, call};

/// What begins the action's name.
const ACTION: &str = "Action:";
/// What begins its input.
const INPUT: &str = "Action Input:";
/// What only the sandbox may say.
const OBSERVATION: &str = "Observation:";

pub(super) fn read(text: &str) -> Reading {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str, mark: &str| plain(line).starts_with(mark);
    let count = lines.iter().filter(|line| begins(line, ACTION)).count();
    let Some(at) = lines.iter().position(|line| begins(line, ACTION)) else {
        return Reading { reasoning: thought(&lines), ..Reading::default() };
    };
    let reasoning = thought(&lines[..at]);
    let not_done = |problem| Reading { reasoning: reasoning.clone(), problem, actions: Vec::new() };
    if count > 1 {
        return not_done(Some(several(count)));
    }
    let rest = &lines[at + 1..];
    if rest.iter().any(|line| begins(line, OBSERVATION)) {
        let problem = "Your reply made up an observation; nothing was carried out.";
        return not_done(Some(problem.to_owned()));
    }
    let name = plain(lines[at]).trim_start_matches(ACTION).trim().trim_matches(['`', '*', '[', ']', ' ']);
    let Some(input) = rest.iter().position(|line| begins(line, INPUT)) else {
        return not_done(Some("Your action has no input; nothing was carried out.".to_owned()));
    };
    let first = plain(rest[input]).trim_start_matches(INPUT).trim_start_matches('*').to_owned();
    let input = std::iter::once(first.as_str()).chain(rest[input + 1..].iter().copied());
    let input = input.collect::<Vec<_>>().join("\n");
    let action = call::action(name, &arguments(name, &input), &NAMES);
    Reading { reasoning, actions: vec![(None, action)], problem: None }
}

/// A line without the emphasis that models put around the marks.
fn plain(line: &str) -> &str {
    line.trim_start().trim_start_matches(['*', '#', ' '])
}

fn thought(lines: &[&str]) -> String {
    let text = lines.join("\n");
    let text = text.trim();
    let bare = plain(text).trim_start_matches("Thought:");
    bare.trim_start_matches('*').trim().to_owned()
}

/// The JSON object of an input; a bare command is one for bash.
fn arguments(name: &str, input: &str) -> String {
    let fenced = input.trim().trim_start_matches("```json").trim_start_matches("```").trim_end_matches("```");
    let text = fenced.trim();
    if let Some(Ok(value @ Value::Object(_))) = Deserializer::from_str(text).into_iter::<Value>().next() {
        return value.to_string();
    }
    if name == "bash" && !text.starts_with('{') {
        return json!({ "command": text }).to_string();
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use trajforge_schema::Action;

    use super::*;

    fn bash(command: &str) -> Action {
        Action::Bash { command: command.to_owned(), timeout_seconds: None }
    }

    #[test]
    fn the_forms_that_models_write_become_actions() {
        let reading = read("Thought: a look first.\nAction: bash\nAction Input: {\"command\": \"ls\"}");
        assert_eq!(reading.actions, [(None, bash("ls"))]);
        assert_eq!(reading.reasoning, "a look first.");
        let fenced =
            "**Thought:** why\n**Action:** `bash`\n**Action Input:**\n```json\n{\"command\":\n \"ls\"}\n```";
        let reading = read(fenced);
        assert_eq!((reading.actions, reading.reasoning.as_str()), (vec![(None, bash("ls"))], "why"));
        assert_eq!(read("Action: bash\nAction Input: ls -l\npwd").actions, [(None, bash("ls -l\npwd"))]);
    }

    #[test]
    fn what_is_unclear_is_not_carried_out() {
        let made_up = "Action: bash\nAction Input: {\"command\": \"ls\"}\nObservation: a.py\nThought: done";
        assert!(read(made_up).problem.unwrap().contains("made up"));
        let two = "Action: list\nAction Input: {}\nAction: list\nAction Input: {}";
        assert!(read(two).problem.unwrap().contains("2 actions"));
        assert!(read("Action: list").problem.unwrap().contains("no input"));
        assert_eq!(read("I am done.").actions, []);
        let broken = read("Action: edit\nAction Input: {\"path\": ");
        assert!(matches!(&broken.actions[0].1, Action::Invalid { problem, .. } if problem.contains("JSON")));
    }
}
