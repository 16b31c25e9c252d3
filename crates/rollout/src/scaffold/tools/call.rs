//! An assistant's message to actions: what no tool can be made of becomes an action that says so.

use serde::Deserialize;
use serde_json::Value;
use trajforge_schema::Action;

/// The actions that a message asks for, each with its call's id.
pub(crate) fn actions(message: &Value) -> Vec<(Option<String>, Action)> {
    let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    calls.iter().map(|call| (call["id"].as_str().map(str::to_owned), action(call))).collect()
}

/// What the model thought before it acted: its reasoning where the provider shows it, and its text.
pub(crate) fn reasoning(message: &Value) -> String {
    let parts = ["reasoning_content", "reasoning", "content"]
        .map(|name| message[name].as_str().unwrap_or_default().trim());
    let mut said: Vec<&str> = Vec::new();
    for part in parts {
        if !part.is_empty() && !said.contains(&part) {
            said.push(part);
        }
    }
    said.join("\n\n")
}

fn action(call: &Value) -> Action {
    let tool = call["function"]["name"].as_str().unwrap_or_default().to_owned();
    let arguments = match &call["function"]["arguments"] {
        Value::String(text) => text.clone(),
        Value::Null => "{}".to_owned(),
        other => other.to_string(),
    };
    parse(&tool, &arguments).unwrap_or_else(|problem| Action::Invalid { tool, arguments, problem })
}

fn parse(tool: &str, arguments: &str) -> Result<Action, String> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the arguments are no JSON: {error}"))?;
    let Value::Object(mut fields) = value else {
        return Err("the arguments must be an object".to_owned());
    };
    if !["bash", "read", "write", "edit", "search", "list", "think", "submit"].contains(&tool) {
        return Err(
            "there is no such tool; use bash, read, write, edit, search, list, think or submit".to_owned()
        );
    }
    fields.insert("type".to_owned(), Value::from(tool));
    Action::deserialize(Value::Object(fields)).map_err(|error| format!("the arguments do not fit: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(name: &str, arguments: &str) -> Action {
        let call = json!({ "id": "c1", "function": { "name": name, "arguments": arguments } });
        actions(&json!({ "tool_calls": [call] })).remove(0).1
    }

    #[test]
    fn every_tool_becomes_its_action() {
        assert_eq!(
            of("bash", r#"{"command": "ls"}"#),
            Action::Bash { command: "ls".into(), timeout_seconds: None }
        );
        assert_eq!(of("list", ""), Action::List { path: None });
        assert_eq!(of("submit", r#"{"message": "done"}"#), Action::Submit { message: Some("done".into()) });
        let edit = of("edit", r#"{"path": "a", "old": "x", "new": "y", "occurrence": "all"}"#);
        assert!(matches!(edit, Action::Edit { occurrence: trajforge_schema::Position::All, .. }));
    }

    #[test]
    fn nonsense_becomes_an_action_that_says_what_is_wrong() {
        for (name, arguments, sign) in [
            ("bash", "{not json", "no JSON"),
            ("bash", "[1]", "object"),
            ("bash", r#"{"cmd": "ls"}"#, "command"),
            ("fly", "{}", "no such tool"),
        ] {
            let Action::Invalid { problem, .. } = of(name, arguments) else {
                panic!("{name} {arguments} was taken")
            };
            assert!(problem.contains(sign), "{problem}");
        }
    }

    #[test]
    fn reasoning_is_taken_from_wherever_the_provider_puts_it() {
        assert_eq!(reasoning(&json!({ "content": "plain" })), "plain");
        assert_eq!(reasoning(&json!({ "reasoning_content": "why", "content": "what" })), "why\n\nwhat");
        assert_eq!(reasoning(&json!({ "content": null })), "");
    }
}
