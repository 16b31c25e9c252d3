//! An assistant's tool calls become actions: what no tool can be made of becomes an action that says so.

use serde::Deserialize;
use serde_json::Value;
use trajforge_schema::Action;

use super::Reading;

/// What a message with tool calls asks for, where these tools are on offer.
pub(crate) fn read(message: &Value, tools: &[&str]) -> Reading {
    let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let actions =
        calls.iter().map(|call| (call["id"].as_str().map(str::to_owned), of_call(call, tools))).collect();
    Reading { reasoning: reasoning(message, "content"), actions, problem: None }
}

/// What the model thought before it acted: its reasoning where the provider shows it, and the text in a field.
pub(crate) fn reasoning(message: &Value, field: &str) -> String {
    let parts = ["reasoning_content", "reasoning", field];
    let mut said: Vec<&str> = Vec::new();
    for part in parts.map(|name| message[name].as_str().unwrap_or_default().trim()) {
        if !part.is_empty() && !said.contains(&part) {
            said.push(part);
        }
    }
    said.join("\n\n")
}

fn of_call(call: &Value, tools: &[&str]) -> Action {
    let tool = call["function"]["name"].as_str().unwrap_or_default();
    let arguments = match &call["function"]["arguments"] {
        Value::String(text) => text.clone(),
        Value::Null => "{}".to_owned(),
        other => other.to_string(),
    };
    action(tool, &arguments, tools)
}

/// The action that a tool and its arguments, as JSON text, name.
pub(crate) fn action(tool: &str, arguments: &str, tools: &[&str]) -> Action {
    parse(tool, arguments, tools).unwrap_or_else(|problem| Action::Invalid {
        tool: tool.to_owned(),
        arguments: arguments.to_owned(),
        problem,
    })
}

fn parse(tool: &str, arguments: &str, tools: &[&str]) -> Result<Action, String> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the arguments are no JSON: {error}"))?;
    let Value::Object(mut fields) = value else {
        return Err("the arguments must be an object".to_owned());
    };
    if !tools.contains(&tool) {
        return Err(format!("there is no such tool; use {}", tools.join(", ")));
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
        read(&json!({ "tool_calls": [call] }), &["bash", "list", "edit", "submit"]).actions.remove(0).1
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
        assert_eq!(reasoning(&json!({ "content": "plain" }), "content"), "plain");
        assert_eq!(
            reasoning(&json!({ "reasoning_content": "why", "content": "what" }), "content"),
            "why\n\nwhat"
        );
        assert_eq!(reasoning(&json!({ "content": null }), "content"), "");
    }
}
