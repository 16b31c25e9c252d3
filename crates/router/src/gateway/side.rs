//! Side calls: what a scaffold asks a model for beside its work, such as titles, commit messages and summaries.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// How a side call is told from a step. All the signs that a rule names have to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SideRule {
    /// What the call is for: the word in the records.
    pub name: String,
    /// A regular expression that the system prompt matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The request offers no tools.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_tools: bool,
}

/// The rules of a scaffold, in order.
#[derive(Debug, Clone, Default)]
pub struct SideCalls(Vec<(SideRule, Option<Regex>)>);

impl SideCalls {
    /// Rules, ready to be held against requests.
    pub fn new(rules: Vec<SideRule>) -> Result<Self, Error> {
        let ready =
            |rule: SideRule| {
                let pattern = rule.system.as_deref().map(Regex::new).transpose().map_err(|error| {
                    Error::SideRule { name: rule.name.clone(), message: error.to_string() }
                })?;
                if pattern.is_none() && !rule.without_tools {
                    let message = "it names no sign, and would match every call".to_owned();
                    return Err(Error::SideRule { name: rule.name, message });
                }
                Ok((rule, pattern))
            };
        rules.into_iter().map(ready).collect::<Result<_, _>>().map(Self)
    }

    /// The name of the first rule that a request in the form of chat completions matches.
    pub(super) fn of(&self, chat: &Value) -> Option<String> {
        let matches = |(rule, pattern): &&(SideRule, Option<Regex>)| {
            let has_tools = chat["tools"].as_array().is_some_and(|tools| !tools.is_empty());
            let prompt = || system_prompt(chat);
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(&prompt()))
                && !(rule.without_tools && has_tools)
        };
        self.0.iter().find(matches).map(|(rule, _)| rule.name.clone())
    }
}

fn system_prompt(chat: &Value) -> String {
    let messages = chat["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let system =
        messages.iter().filter(|message| message["role"] == "system" || message["role"] == "developer");
    let texts: Vec<String> = system.map(|message| crate::dialect::all_text(&message["content"])).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_told_by_its_prompt_its_tools_or_both() {
        let rule = |name: &str, system: Option<&str>, without_tools| SideRule {
            name: name.to_owned(),
            system: system.map(str::to_owned),
            without_tools,
        };
        let rules = vec![
            rule("title", Some("(?i)write a title"), true),
            rule("commit", Some("^Commit messages"), false),
        ];
        let side = SideCalls::new(rules).unwrap();
        let call = |system: &str, tools: &Value| {
            side.of(&json!({ "messages": [{ "role": "system", "content": system }], "tools": tools }))
        };
        assert_eq!(call("Write a title.", &json!([])).as_deref(), Some("title"));
        assert_eq!(call("Write a title.", &json!([{ "type": "function" }])), None);
        assert_eq!(call("Commit messages are short.", &json!([1])).as_deref(), Some("commit"));
        assert_eq!(call("You are an agent.", &Value::Null), None);
        assert!(SideCalls::new(vec![rule("all", None, false)]).is_err());
        assert!(SideCalls::new(vec![rule("bad", Some("("), false)]).is_err());
    }
}
