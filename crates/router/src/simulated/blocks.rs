//! Turns in the words of a scaffold without tools, as Aider is: commands in fenced blocks, one a line.

use serde_json::Value;
use trajforge_schema::Action;

use super::play::{Move, Play};
use super::tongue;
use crate::dialect::all_text;

/// What Aider's prompt speaks of.
const SIGN: &str = "SEARCH/REPLACE block";

/// Whether a request wants to be answered so.
pub(super) fn are_wanted(request: &Value) -> bool {
    let has_tools = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    !has_tools && request["messages"].to_string().contains(SIGN)
}

/// How many moves a conversation has come to; it holds replies that nobody has given, as examples.
pub(super) fn done(play: &Play, messages: &[Value]) -> usize {
    let mut done = 0;
    for message in messages.iter().filter(|message| message["role"] == "assistant") {
        let is_next = |next: &Move| all_text(&message["content"]) == text(next);
        if play.moves.get(done).is_some_and(is_next) {
            done += 1;
        }
    }
    done
}

/// A move as a reply.
pub(super) fn text(one: &Move) -> String {
    let reasoning = one.reasoning.trim();
    match one.action.as_ref().and_then(tongue::command) {
        Some(command) => format!("{reasoning}\n\n```bash\n{}\n```", on_one_line(&command)),
        None if matches!(one.action, Some(Action::Submit { .. })) => format!("{reasoning}\n\nDONE"),
        None => reasoning.to_owned(),
    }
}

fn on_one_line(command: &str) -> String {
    if !command.contains('\n') {
        return command.to_owned();
    }
    let escaped = command.replace('\\', r"\\").replace('\'', r"\'").replace('\n', r"\n");
    format!("eval $'{escaped}'")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_of_several_lines_becomes_one_that_does_the_same() {
        let bash = |command: &str| Action::Bash { command: command.to_owned(), timeout_seconds: None };
        let one = Move::new("Now.", bash("printf '%s\\n' \"it's\" <<'E'\nx\nE"));
        let text = text(&one);
        let command = text.lines().nth(3).unwrap();
        let run =
            |command: &str| std::process::Command::new("bash").args(["-c", command]).output().unwrap().stdout;
        assert_eq!(run(command), run("printf '%s\\n' \"it's\" <<'E'\nx\nE"));
        assert_eq!(text.lines().count(), 5);
    }

    #[test]
    fn replies_that_are_examples_count_for_nothing() {
        let look = || Move::new("A look.", Action::List { path: None });
        let play = Play { moves: vec![look(), look()], mistake: None, mended: false };
        let said = |content: &str| json!({ "role": "assistant", "content": content });
        let messages = [said("Ok."), said(&text(&look())), json!({ "role": "user", "content": "go on" })];
        assert_eq!(done(&play, &messages), 1);
    }
}
