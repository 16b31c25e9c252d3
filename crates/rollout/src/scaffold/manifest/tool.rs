//! A scaffold's own tool calls, as the actions that they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trajforge_schema::Action;

/// Which action a tool is, and which of its arguments is which field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolRule {
    /// The action's kind: `bash`, `read`, `write`, `edit`, `search`, `list`, `think` or `submit`.
    pub action: String,
    /// Arguments that say nothing about what is done, such as a description for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// The action's fields, each with the name of the argument that fills it.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

impl ToolRule {
    /// The action that a call is; nothing where an argument has no place in it, so that nothing is lost.
    pub fn action(&self, arguments: &Value) -> Option<Action> {
        let arguments = arguments.as_object()?;
        for (name, value) in arguments {
            let says_something = !matches!(value, Value::Null | Value::Bool(false));
            let has_a_place = self.fields.values().chain(&self.ignore).any(|known| known == name);
            if says_something && !has_a_place {
                return None;
            }
        }
        let mut fields = Map::from_iter([("type".to_owned(), Value::from(self.action.as_str()))]);
        for (field, argument) in &self.fields {
            if let Some(value) = arguments.get(argument).filter(|value| !value.is_null()) {
                fields.insert(field.clone(), value.clone());
            }
        }
        Action::deserialize(Value::Object(fields)).ok()
    }

    /// What is wrong with the rule, if anything is.
    pub(super) fn problem(&self) -> Option<String> {
        const FIELDS: [(&str, &[&str]); 8] = [
            ("bash", &["command", "timeout_seconds"]),
            ("read", &["path", "offset", "limit"]),
            ("write", &["path", "content"]),
            ("edit", &["path", "old", "new"]),
            ("search", &["pattern", "path"]),
            ("list", &["path"]),
            ("think", &["thought"]),
            ("submit", &["message"]),
        ];
        let Some((_, fields)) = FIELDS.iter().find(|(kind, _)| *kind == self.action) else {
            let kinds = FIELDS.map(|(kind, _)| kind).join(", ");
            return Some(format!("{:?} is no action; there is {kinds}", self.action));
        };
        let wrong = self.fields.keys().find(|field| !fields.contains(&field.as_str()))?;
        Some(format!("{} has no field {wrong:?}; it has {}", self.action, fields.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(rule: Value) -> ToolRule {
        serde_json::from_value(rule).unwrap()
    }

    #[test]
    fn a_call_becomes_its_action_and_one_with_more_to_say_does_not() {
        let bash = rule(json!({ "action": "bash", "command": "cmd", "ignore": ["description"] }));
        let expected = Action::Bash { command: "ls".to_owned(), timeout_seconds: None };
        let with_words = json!({ "cmd": "ls", "description": "look" });
        assert_eq!(bash.action(&with_words), Some(expected.clone()));
        assert_eq!(bash.action(&json!({ "cmd": "ls", "in_background": false })), Some(expected));
        assert_eq!(bash.action(&json!({ "cmd": "ls", "in_background": true })), None);
        assert_eq!(bash.action(&json!({ "command": "ls" })), None);
        assert_eq!(bash.action(&json!("ls")), None);
    }

    #[test]
    fn a_rule_for_what_is_no_action_or_no_field_is_told_of() {
        assert!(rule(json!({ "action": "fly", "to": "moon" })).problem().unwrap().contains("fly"));
        assert!(rule(json!({ "action": "bash", "cmd": "command" })).problem().unwrap().contains("cmd"));
        assert_eq!(rule(json!({ "action": "bash", "command": "cmd" })).problem(), None);
    }
}
