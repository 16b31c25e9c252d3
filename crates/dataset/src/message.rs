//! One message of a chat, brought from what a provider sends to the columns that every trainer knows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    pub(crate) content: Option<String>,
    pub(crate) reasoning_content: Option<String>,
    pub(crate) tool_calls: Option<Vec<ToolCall>>,
    pub(crate) tool_call_id: Option<String>,
    pub(crate) name: Option<String>,
}

/// One call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToolCall {
    pub(crate) id: Option<String>,
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    /// JSON text, as providers send it.
    pub(crate) arguments: String,
}

impl Message {
    /// Takes what is there; nothing is made up for what is not.
    pub(crate) fn of(message: &Value) -> Self {
        let text = |name: &str| message.get(name).and_then(text_of);
        let calls = message.get("tool_calls").and_then(Value::as_array);
        Self {
            role: text("role").unwrap_or_default(),
            content: text("content"),
            reasoning_content: text("reasoning_content").or_else(|| text("reasoning")),
            tool_calls: calls
                .filter(|calls| !calls.is_empty())
                .map(|calls| calls.iter().map(ToolCall::of).collect()),
            tool_call_id: text("tool_call_id"),
            name: text("name"),
        }
    }
}

impl ToolCall {
    fn of(call: &Value) -> Self {
        let function = call.get("function").unwrap_or(call);
        Self {
            id: call.get("id").and_then(text_of),
            kind: call.get("type").and_then(text_of).unwrap_or_else(|| "function".to_owned()),
            name: function.get("name").and_then(text_of),
            arguments: function.get("arguments").and_then(text_of).unwrap_or_default(),
        }
    }
}

/// Text as it is; of a list of parts, the text parts, one after another; of anything else its JSON.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let part = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
            let texts: Option<Vec<String>> = parts.iter().map(part).collect();
            texts.map(|texts| texts.concat()).or_else(|| Some(value.to_string()))
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_providers_send_is_brought_to_one_form() {
        let message = Message::of(&json!({
            "role": "assistant",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "reasoning": "because",
            "tool_calls": [{"id": "1", "function": {"name": "bash", "arguments": {"command": "ls"}}}],
            "refusal": null,
        }));
        assert_eq!(message.content.as_deref(), Some("ab"));
        assert_eq!(message.reasoning_content.as_deref(), Some("because"));
        let call = &message.tool_calls.unwrap()[0];
        assert_eq!((call.kind.as_str(), call.arguments.as_str()), ("function", r#"{"command":"ls"}"#));
    }

    #[test]
    fn what_is_absent_stays_absent() {
        let message = Message::of(&json!({"role": "user", "content": "hello", "tool_calls": []}));
        let expected =
            Message { role: "user".to_owned(), content: Some("hello".to_owned()), ..Message::default() };
        assert_eq!(message, expected);
    }
}
