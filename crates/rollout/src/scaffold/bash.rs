//! `bash`: tool calling with one tool; the work ends with a command of its own.

use trajforge_schema::Action;

use crate::scaffold::agent::{Reading, Style, call};

/// What submits, as the whole of a command.
const SUBMIT: &str = "submit";

/// The style.
pub(super) const STYLE: Style = Style {
    name: "bash",
    summary: "tool calling with bash as the only tool",
    system: include_str!("bash/system.md"),
    nudge: include_str!("bash/nudge.md"),
    tools: include_str!("bash/tools.json"),
    read: |message| {
        let Reading { reasoning, actions, problem } = call::read(message, &["bash"]);
        let actions = actions.into_iter().map(|(id, action)| (id, submitted(action))).collect();
        Reading { reasoning, actions, problem }
    },
};

/// `submit`, alone or with a message after it, is no command of the sandbox.
pub(crate) fn submitted(action: Action) -> Action {
    let Action::Bash { command, .. } = &action else { return action };
    let Some(rest) = command.trim().strip_prefix(SUBMIT) else { return action };
    let message = rest.trim().trim_matches(['"', '\'']);
    let alone = rest.is_empty() || rest.starts_with([' ', '\n', '\t']);
    if !alone || rest.contains([';', '|', '&', '<', '>']) {
        return action;
    }
    Action::Submit { message: Some(message.to_owned()).filter(|message| !message.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash(command: &str) -> Action {
        Action::Bash { command: command.to_owned(), timeout_seconds: None }
    }

    #[test]
    fn only_a_command_that_is_nothing_else_submits() {
        assert_eq!(submitted(bash("submit")), Action::Submit { message: None });
        assert_eq!(
            submitted(bash(" submit 'It is done.'\n")),
            Action::Submit { message: Some("It is done.".into()) }
        );
        for other in ["submit_all.sh", "submit > out", "submit; ls", "git submit", "make submit"] {
            assert_eq!(submitted(bash(other)), bash(other));
        }
    }
}
