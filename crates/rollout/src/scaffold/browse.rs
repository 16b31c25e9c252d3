//! `browse`: the tools of `tools`, and a text browser for the web services of the task.

use crate::scaffold::agent::{Style, call};

/// The names of the tools.
const NAMES: [&str; 13] = [
    "bash", "read", "write", "edit", "search", "list", "think", "submit", "open", "follow", "back", "find",
    "fill",
];

/// The style.
pub(super) const STYLE: Style = Style {
    name: "browse",
    summary: "tool calling: the tools, and a text browser for local web services",
    system: include_str!("browse/system.md"),
    nudge: include_str!("tools/nudge.md"),
    tools: &[include_str!("tools/tools.json"), include_str!("browse/tools.json")],
    read: |message| call::read(message, &NAMES),
};

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;
    use trajforge_schema::Action;

    use super::*;

    #[test]
    fn the_tools_name_every_action_of_the_browser_and_every_argument() {
        let text = || "x".to_owned();
        let actions = [
            Action::Open { url: text(), line: Some(1) },
            Action::Follow { link: 1 },
            Action::Back {},
            Action::Find { text: text() },
            Action::Fill { form: 1, fields: BTreeMap::new() },
        ];
        let tools = STYLE.schemas();
        let names: Vec<&str> = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, NAMES);
        for (tool, action) in tools[8..].iter().zip(&actions) {
            assert_eq!(tool["function"]["name"], action.kind());
            let mut fields = serde_json::to_value(action).unwrap();
            fields.as_object_mut().unwrap().shift_remove("type");
            let keys =
                |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
            assert_eq!(keys(&tool["function"]["parameters"]["properties"]), keys(&fields));
        }
    }
}
