//! An action in the words of whatever tools a scaffold offers: its own tool where there is one, else a shell command.

use serde_json::{Map, Value, json};
use trajforge_schema::{Action, Position};

/// What ends the work where a prompt asks for this line: mini-swe-agent's way of submitting.
const SUBMIT_LINE: &str = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT";
/// What tools that end the work are called.
const ENDS: [&str; 4] = ["submit", "finish", "done", "attempt_completion"];
/// Where an edit finds its text.
const EDIT: &str = "import sys, pathlib\n\
    path, old, new, many = pathlib.Path(sys.argv[1]), *sys.argv[2:5]\n\
    text = path.read_text()\n\
    assert text.count(old) == 1 or many == 'all' and old in text, 'the text is not there exactly once'\n\
    path.write_text(text.replace(old, new))\n";

/// A tool call: name and arguments.
pub(super) type ToolCall = (String, Value);

/// The call that is an action; nothing where words alone say it.
pub(super) fn call(action: &Action, request: &Value) -> Option<ToolCall> {
    let tools = request["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |name: &str| tools.iter().map(|tool| &tool["function"]).find(|tool| tool["name"] == name);
    let mut arguments = serde_json::to_value(action).unwrap_or_default();
    if let Value::Object(fields) = &mut arguments {
        fields.shift_remove("type");
    }
    let takes = |tool: &Value| match &arguments {
        Value::Object(fields) => fields.keys().all(|name| tool["parameters"]["properties"][name].is_object()),
        _ => false,
    };
    if tools.is_empty() || named(action.kind()).is_some_and(takes) {
        let name = action.kind().to_owned();
        let filled = named(&name).map_or(arguments.clone(), |tool| filled(tool, &arguments));
        return Some((name, filled));
    }
    if let Action::Submit { message } = action {
        return submitted(message.as_deref().unwrap_or("Done."), tools, request);
    }
    let shell = shell(tools)?;
    let arguments = json!({ "command": command(action)? });
    Some((shell["name"].as_str()?.to_owned(), filled(shell, &arguments)))
}

fn submitted(message: &str, tools: &[Value], request: &Value) -> Option<ToolCall> {
    let ends = |tool: &&Value| ENDS.iter().any(|name| tool["name"] == **name);
    if let Some(tool) = tools.iter().map(|tool| &tool["function"]).find(ends) {
        let arguments = json!({ "message": message });
        return Some((tool["name"].as_str()?.to_owned(), filled(tool, &arguments)));
    }
    if !request["messages"].to_string().contains(SUBMIT_LINE) {
        return None;
    }
    let shell = shell(tools)?;
    Some((
        shell["name"].as_str()?.to_owned(),
        filled(shell, &json!({ "command": format!("echo {SUBMIT_LINE}") })),
    ))
}

/// The first tool that takes a command.
fn shell(tools: &[Value]) -> Option<&Value> {
    let takes_command = |tool: &&Value| tool["parameters"]["properties"]["command"]["type"] == "string";
    let is_shell = |tool: &&Value| {
        let name = tool["name"].as_str().unwrap_or_default();
        ["bash", "shell", "terminal", "exec"].iter().any(|part| name.contains(part))
    };
    let functions = || tools.iter().map(|tool| &tool["function"]).filter(takes_command);
    functions().find(is_shell).or_else(|| functions().next())
}

/// Arguments that the tool takes, with something for each that it insists on.
fn filled(tool: &Value, arguments: &Value) -> Value {
    let properties = &tool["parameters"]["properties"];
    let mut filled = Map::new();
    for (name, value) in arguments.as_object().into_iter().flatten() {
        if properties[name].is_object() {
            filled.insert(name.clone(), value.clone());
        }
    }
    for name in tool["parameters"]["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !filled.contains_key(name) {
            filled.insert(name.to_owned(), something(&properties[name]));
        }
    }
    Value::Object(filled)
}

fn something(property: &Value) -> Value {
    match (&property["enum"][0], property["type"].as_str()) {
        (first @ Value::String(_), _) => first.clone(),
        (_, Some("boolean")) => json!(false),
        (_, Some("integer" | "number")) => json!(60),
        (_, Some("array")) => json!([]),
        (_, Some("object")) => json!({}),
        _ => json!("Work on the task"),
    }
}

/// The action as a shell would do it; nothing for a mere thought.
pub(super) fn command(action: &Action) -> Option<String> {
    Some(match action {
        Action::Bash { command, .. } => command.clone(),
        Action::Read { path, offset, limit } => {
            let first = offset.unwrap_or(1);
            let last = limit.map_or("$".to_owned(), |limit| (first + limit).saturating_sub(1).to_string());
            format!("sed -n '{first},{last}p' {}", quoted(path))
        }
        Action::Write { path, content } => {
            let path = quoted(path);
            format!("mkdir -p \"$(dirname {path})\" && printf %s {} > {path}", quoted(content))
        }
        Action::Edit { path, old, new, occurrence } => {
            let many = if *occurrence == Position::All { "all" } else { "one" };
            let texts: Vec<String> = [EDIT, path, old, new, many].iter().map(|text| quoted(text)).collect();
            format!("python3 -c {}", texts.join(" "))
        }
        Action::Search { pattern, path } => {
            format!("grep -rnE -- {} {}", quoted(pattern), quoted(path.as_deref().unwrap_or(".")))
        }
        Action::List { path } => {
            format!("find {} -maxdepth 2 -not -path '*/.git/*'", quoted(path.as_deref().unwrap_or(".")))
        }
        Action::Think { thought } => format!("true {}", quoted(thought)),
        Action::Submit { .. } | Action::Tool { .. } | Action::Invalid { .. } => return None,
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(tools: &Value) -> Value {
        json!({ "messages": [{ "role": "user", "content": "x" }], "tools": tools })
    }

    fn tool(name: &str, properties: &Value, required: &Value) -> Value {
        let parameters = json!({ "type": "object", "properties": properties, "required": required });
        json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
    }

    #[test]
    fn an_action_is_said_with_the_scaffolds_own_shell_where_it_has_no_such_tool() {
        let properties = json!({ "command": { "type": "string" }, "description": { "type": "string" } });
        let request = offering(&json!([tool("bash", &properties, &json!(["command", "description"]))]));
        let write = Action::Write { path: "a/b".to_owned(), content: "it's\n".to_owned() };
        let (name, arguments) = call(&write, &request).unwrap();
        assert_eq!(name, "bash");
        let expected = "mkdir -p \"$(dirname 'a/b')\" && printf %s 'it'\\''s\n' > 'a/b'";
        assert_eq!(arguments["command"], expected);
        assert!(arguments["description"].is_string());
    }

    #[test]
    fn the_work_ends_as_the_scaffold_wants_it() {
        let submit = Action::Submit { message: None };
        let message = json!({ "message": { "type": "string" } });
        let finish = offering(&json!([tool("finish", &message, &json!(["message"]))]));
        assert_eq!(call(&submit, &finish).unwrap().0, "finish");
        let command = json!({ "command": { "type": "string" } });
        let mut shell = offering(&json!([tool("bash", &command, &json!([]))]));
        assert_eq!(call(&submit, &shell), None);
        shell["messages"][0]["content"] = json!(format!("say {SUBMIT_LINE}"));
        assert!(call(&submit, &shell).unwrap().1["command"].as_str().unwrap().contains(SUBMIT_LINE));
    }
}
