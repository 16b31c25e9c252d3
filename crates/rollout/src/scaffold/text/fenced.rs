//! Fenced blocks: the info string names the action, the body is what it takes.

use trajforge_schema::{Action, Position};

use super::several;
use crate::scaffold::agent::Reading;

/// What begins the text to be replaced.
const SEARCH: &str = "<<<<<<< SEARCH";
/// What lies between it and its replacement.
const DIVIDER: &str = "=======";
/// What ends the replacement.
const REPLACE: &str = ">>>>>>> REPLACE";

struct Block<'a> {
    kind: &'a str,
    argument: &'a str,
    body: Vec<&'a str>,
    is_closed: bool,
}

pub(super) fn read(text: &str) -> Reading {
    let (blocks, rest) = blocks(text);
    let reasoning = rest.join("\n").trim().to_owned();
    match blocks.as_slice() {
        [] => Reading { reasoning, ..Reading::default() },
        [block] if !block.is_closed => {
            let problem = "Your reply ended inside its block; nothing was carried out.".to_owned();
            Reading { reasoning, problem: Some(problem), actions: Vec::new() }
        }
        [block] => Reading { reasoning, actions: vec![(None, action(block))], problem: None },
        several_of_them => {
            Reading { reasoning, problem: Some(several(several_of_them.len())), actions: Vec::new() }
        }
    }
}

/// The blocks that are actions, and every other line.
fn blocks(text: &str) -> (Vec<Block<'_>>, Vec<&str>) {
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let fence = line.trim_start();
        let ticks = fence.len() - fence.trim_start_matches('`').len();
        let info = fence[ticks..].trim();
        if ticks < 3 || info.contains('`') {
            rest.push(line);
            continue;
        }
        let (mut body, mut is_closed) = (Vec::new(), false);
        for line in lines.by_ref() {
            let end = line.trim();
            if end.len() >= ticks && end.bytes().all(|byte| byte == b'`') {
                is_closed = true;
                break;
            }
            body.push(line);
        }
        let (kind, argument) = info.split_once(char::is_whitespace).unwrap_or((info, ""));
        if ["bash", "sh", "shell", "write", "edit", "submit"].contains(&kind) {
            found.push(Block { kind, argument: argument.trim(), body, is_closed });
        } else {
            // A quotation.
            rest.push(line);
            rest.extend(body);
        }
    }
    (found, rest)
}

fn action(block: &Block<'_>) -> Action {
    let lines = |lines: &[&str]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    let invalid = |problem: &str| Action::Invalid {
        tool: block.kind.to_owned(),
        arguments: format!("{}\n{}", block.argument, lines(&block.body)),
        problem: problem.to_owned(),
    };
    let path = block.argument.to_owned();
    if path.is_empty() && ["write", "edit"].contains(&block.kind) {
        return invalid("name the file after the word that begins the block");
    }
    match block.kind {
        "write" => Action::Write { path, content: lines(&block.body) },
        "submit" => {
            let message = lines(&block.body).trim().to_owned();
            Action::Submit { message: Some(message).filter(|message| !message.is_empty()) }
        }
        "edit" => {
            let at = |mark: &str| block.body.iter().filter(|line| line.trim_end() == mark).count();
            let place = |mark: &str| block.body.iter().position(|line| line.trim_end() == mark);
            let (Some(search), Some(divider), Some(replace), 1, 1) =
                (place(SEARCH), place(DIVIDER), place(REPLACE), at(SEARCH), at(REPLACE))
            else {
                return invalid(
                    "write SEARCH, ======= and REPLACE once each, with a block of its own for each edit",
                );
            };
            if !(search < divider && divider < replace) {
                return invalid("SEARCH comes first, then =======, then REPLACE");
            }
            let (old, new) =
                (lines(&block.body[search + 1..divider]), lines(&block.body[divider + 1..replace]));
            Action::Edit { path, old, new, occurrence: Position::Unique }
        }
        _ => Action::Bash { command: block.body.join("\n"), timeout_seconds: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Action {
        let reading = read(text);
        assert_eq!(reading.actions.len(), 1, "{reading:?}");
        reading.actions[0].1.clone()
    }

    #[test]
    fn each_kind_of_block_becomes_its_action() {
        let reading = read("A look first.\n\n```bash\nls -l\ncat a\n```\nThen we see.");
        let command = "ls -l\ncat a".to_owned();
        assert_eq!(reading.actions, [(None, Action::Bash { command, timeout_seconds: None })]);
        assert_eq!(reading.reasoning, "A look first.\n\nThen we see.");
        let write = Action::Write { path: "a b.md".into(), content: "# x\n```\ncode\n```\n".into() };
        assert_eq!(one("````write a b.md\n# x\n```\ncode\n```\n````"), write);
        let edit = "```edit f.py\n<<<<<<< SEARCH\n  a\n=======\n  b\n  c\n>>>>>>> REPLACE\n```";
        let (old, new, occurrence) = ("  a\n".into(), "  b\n  c\n".into(), Position::Unique);
        assert_eq!(one(edit), Action::Edit { path: "f.py".into(), old, new, occurrence });
        assert_eq!(one("```submit\nDone.\n```"), Action::Submit { message: Some("Done.".into()) });
    }

    #[test]
    fn quotations_are_no_actions_and_what_is_unclear_is_not_carried_out() {
        assert_eq!(read("It prints\n```python\nprint(1)\n```\nso it works.").actions, []);
        assert!(read("```bash\nls\n```\n```bash\npwd\n```").problem.unwrap().contains("2 actions"));
        assert!(read("```bash\nrm -rf build").problem.unwrap().contains("ended inside"));
        let broken = "```edit f\n<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n```";
        assert!(matches!(one(broken), Action::Invalid { tool, .. } if tool == "edit"));
        assert!(matches!(one("```write\nx\n```"), Action::Invalid { .. }));
    }
}
