//! `text`: for models that call no tools; what they want is read from their words, in one of three forms.

mod fenced;
mod react;
mod xml;

use serde_json::Value;

use crate::scaffold::agent::{Reading, Style, call};

/// No tools are sent along.
const NONE: &str = "[]";
/// What can be asked for in words.
const NAMES: [&str; 7] = ["bash", "read", "write", "edit", "search", "list", "submit"];

/// Fenced code blocks, as Aider and mini-swe-agent read them.
pub(super) const FENCED: Style = Style {
    name: "text",
    summary: "no tool calling: one fenced block in each reply",
    system: include_str!("text/fenced.md"),
    nudge: include_str!("text/fenced-nudge.md"),
    tools: NONE,
    read: |message| read(message, fenced::read),
};

/// Calls in XML, as many open models write them.
pub(super) const XML: Style = Style {
    name: "text-xml",
    summary: "no tool calling: one call in XML in each reply",
    system: include_str!("text/xml.md"),
    nudge: include_str!("text/xml-nudge.md"),
    tools: NONE,
    read: |message| read(message, xml::read),
};

/// Thought and action (Yao et al., ReAct, 2022).
pub(super) const REACT: Style = Style {
    name: "text-react",
    summary: "no tool calling: thought, action and input in each reply",
    system: include_str!("text/react.md"),
    nudge: include_str!("text/react-nudge.md"),
    tools: NONE,
    read: |message| read(message, react::read),
};

/// Reads a message's text; what the provider shows of the model's reasoning goes before what it says itself.
fn read(message: &Value, form: fn(&str) -> Reading) -> Reading {
    let reading = form(message["content"].as_str().unwrap_or_default());
    let shown = call::reasoning(message, "");
    let both = [shown.as_str(), reading.reasoning.as_str()];
    let parts: Vec<&str> = both.into_iter().filter(|part| !part.is_empty()).collect();
    Reading { reasoning: parts.join("\n\n"), ..reading }
}

/// A reply with more than one action: what would come of the first is not known when the second is written.
fn several(count: usize) -> String {
    format!("Your reply held {count} actions, and none was carried out.")
}
