//! `tools`: tool calling against any model that can do it: bash, read, write, edit, search, list, think, submit.

use crate::scaffold::agent::{Style, call};

/// The names of the tools.
pub(crate) const NAMES: [&str; 8] = ["bash", "read", "write", "edit", "search", "list", "think", "submit"];

/// The style.
pub(super) const STYLE: Style = Style {
    name: "tools",
    summary: "tool calling: bash, read, write, edit, search, list, think, submit",
    system: include_str!("tools/system.md"),
    nudge: include_str!("tools/nudge.md"),
    tools: include_str!("tools/tools.json"),
    read: |message| call::read(message, &NAMES),
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use trajforge_schema::{Action, Position};

    use super::*;

    fn every_action_in_full() -> Vec<Action> {
        let text = || "x".to_owned();
        vec![
            Action::Bash { command: text(), timeout_seconds: Some(1) },
            Action::Read { path: text(), offset: Some(1), limit: Some(1) },
            Action::Write { path: text(), content: text() },
            Action::Edit { path: text(), old: text(), new: text(), occurrence: Position::All },
            Action::Search { pattern: text(), path: Some(text()) },
            Action::List { path: Some(text()) },
            Action::Think { thought: text() },
            Action::Submit { message: Some(text()) },
        ]
    }

    #[test]
    fn the_tools_name_every_action_and_every_argument() {
        let tools: Vec<Value> = serde_json::from_str(STYLE.tools).unwrap();
        let actions = every_action_in_full();
        assert_eq!(tools.len(), actions.len());
        for (tool, action) in tools.iter().zip(&actions) {
            assert_eq!(tool["function"]["name"], action.kind());
            let mut fields = serde_json::to_value(action).unwrap();
            fields.as_object_mut().unwrap().shift_remove("type");
            let keys =
                |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
            assert_eq!(keys(&tool["function"]["parameters"]["properties"]), keys(&fields));
        }
    }
}
