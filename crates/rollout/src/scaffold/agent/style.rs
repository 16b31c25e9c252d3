//! What one native scaffold has for itself: its prompts and tools, each in a file, and how it reads a reply.

use serde_json::{Value, json};
use trajforge_schema::{Action, Digest, Task};

use super::condense::{MASKED, SUMMARISE, SUMMARY};
use super::stuck::STUCK;
use super::wrap_up::WRAP_UP;
use crate::scaffold::Offer;

/// Raised when the agent does something else with the same prompts.
const AGENT_VERSION: u32 = 2;

/// A native scaffold's own part.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What the model is told before the task; `{workspace}` stands for the workspace.
    pub system: &'static str,
    /// What it is told after a reply that asks for nothing; `{problem}` stands for what is wrong with the reply.
    pub nudge: &'static str,
    /// The tools' schemas, as a JSON list; empty for models that call none.
    pub tools: &'static str,
    /// How a reply is read.
    pub read: fn(&Value) -> Reading,
}

/// What a reply asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// What was thought before it.
    pub reasoning: String,
    /// The actions, each with its call's id.
    pub actions: Vec<(Option<String>, Action)>,
    /// Why a reply that seems to ask for something asks for nothing.
    pub problem: Option<String>,
}

impl Style {
    /// The prompt and tools for a task.
    pub fn offer(&self, task: &Task) -> Offer {
        let prompt = vec![
            json!({ "role": "system", "content": self.system.replace("{workspace}", &task.environment.workspace) }),
            json!({ "role": "user", "content": task.instruction }),
        ];
        let tools = serde_json::from_str(self.tools).expect("the files beside this one are lists");
        Offer { version: self.version(), prompt, tools }
    }

    /// The agent's version, with a digest of every text that a model may be shown by it.
    pub fn version(&self) -> String {
        let texts = [self.system, self.nudge, self.tools, STUCK, WRAP_UP, SUMMARISE, SUMMARY, MASKED];
        format!("{AGENT_VERSION}+{}", Digest::of(texts.join("\n").as_bytes()).short())
    }

    /// What a reply asks for.
    pub(super) fn read(&self, message: &Value) -> Reading {
        (self.read)(message)
    }

    /// What is said to a reply that asks for nothing.
    pub(super) fn nudge(&self, problem: Option<&str>) -> String {
        self.nudge.replace("{problem}", problem.unwrap_or("Your reply asked for no action."))
    }
}

/// What is said to an agent that goes in circles.
pub(super) fn stuck(how: &str) -> String {
    STUCK.replace("{how}", how)
}
