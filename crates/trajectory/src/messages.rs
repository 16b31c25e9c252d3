//! A trajectory as a chat: the messages and tools that a trainer reads.

use serde_json::{Value, json};
use trajforge_schema::{Action, Condensation, CondensationMethod, Header, Step, Trajectory};

/// A chat in the style of OpenAI's chat completions.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// `{role, content, tool_calls?, tool_call_id? ...}`, in order.
    pub messages: Vec<Value>,
    /// The tools' schemas.
    pub tools: Vec<Value>,
}

/// The chat of a trajectory.
///
/// With a model it is what was sent and received: the prompt, then for each turn what the scaffold put in, the model's
/// message with every field that the provider sent, and the tools' results. Without one (an oracle, a control: the
/// header's provenance says so) it is the canonical rendering: the recorded prompt, or the instruction alone, then for
/// each step an assistant's message with the reasoning as its content and the action as its tool call, and the
/// observation as the tool's result.
pub fn transcript(trajectory: &Trajectory) -> Transcript {
    let header = &trajectory.header;
    if trajectory.turns.is_empty() { canonical(header, &trajectory.steps) } else { recorded(trajectory) }
}

/// What the model was sent for a turn: as the record has it, but for what condensations left out until then.
pub fn sent(trajectory: &Trajectory, turn: u32) -> Vec<Value> {
    let before = trajectory.turns.iter().take_while(|one| one.turn <= turn);
    let condensations: Vec<&Condensation> = before.flat_map(|one| &one.condensations).collect();
    let last = |method| condensations.iter().rev().find(move |one| one.method == method);
    let summary = last(CondensationMethod::Summary);
    let masked = last(CondensationMethod::Masked);
    let mut messages = trajectory.header.prompt.clone();
    messages.extend(summary.map(|one| json!({"role": "user", "content": one.text})));
    for one in
        trajectory.turns.iter().filter(|one| summary.is_none_or(|summary| one.turn > summary.last_turn))
    {
        if one.turn <= turn {
            messages.extend(one.inserted.iter().cloned());
        }
        if one.turn >= turn {
            break;
        }
        messages.push(one.message.clone());
        for step in trajectory.steps.iter().filter(|step| step.turn == Some(one.turn)) {
            let mut result = result_of(step, step.tool_call_id.as_deref());
            if let Some(masked) = masked.filter(|masked| one.turn <= masked.last_turn) {
                result["content"] = json!(masked.text);
            }
            messages.push(result);
        }
    }
    messages
}

fn recorded(trajectory: &Trajectory) -> Transcript {
    let mut messages = trajectory.header.prompt.clone();
    let mut steps = trajectory.steps.iter().peekable();
    for turn in &trajectory.turns {
        messages.extend(turn.inserted.iter().cloned());
        messages.push(turn.message.clone());
        while let Some(step) = steps.next_if(|step| step.turn <= Some(turn.turn)) {
            messages.push(result_of(step, step.tool_call_id.as_deref()));
        }
    }
    Transcript { messages, tools: trajectory.header.tools.clone() }
}

fn canonical(header: &Header, steps: &[Step]) -> Transcript {
    let mut messages = header.prompt.clone();
    if messages.is_empty() {
        messages.push(json!({"role": "user", "content": header.instruction}));
    }
    for step in steps {
        let id = step.tool_call_id.clone().unwrap_or_else(|| format!("call_{}", step.step));
        let (name, arguments) = call_of(&step.action);
        messages.push(json!({
            "role": "assistant",
            "content": step.reasoning,
            "tool_calls": [{
                "id": id,
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }],
        }));
        messages.push(result_of(step, Some(&id)));
    }
    Transcript { messages, tools: header.tools.clone() }
}

fn result_of(step: &Step, tool_call_id: Option<&str>) -> Value {
    let text = &step.observation.text;
    match tool_call_id {
        Some(id) => json!({"role": "tool", "tool_call_id": id, "content": text}),
        None => json!({"role": "user", "content": text}),
    }
}

/// The tool's name and its arguments as JSON text.
fn call_of(action: &Action) -> (String, String) {
    if let Action::Invalid { tool, arguments, .. } = action {
        return (tool.clone(), arguments.clone());
    }
    let mut arguments = serde_json::to_value(action).expect("an action is plain data with string keys");
    if let Some(fields) = arguments.as_object_mut() {
        fields.shift_remove("type");
    }
    (action.kind().to_owned(), arguments.to_string())
}

#[cfg(test)]
mod tests {
    use trajforge_schema::sample::Sample;

    use super::*;

    #[test]
    fn a_recorded_chat_keeps_the_order_of_prompt_turns_insertions_and_results() {
        let mut trajectory = Sample::default().trajectory();
        trajectory.turns[1].inserted = vec![json!({"role": "user", "content": "go on"})];
        trajectory.steps[2].tool_call_id = None;
        let chat = transcript(&trajectory);
        let roles: Vec<&str> = chat.messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
        let expected = [
            "system",
            "user",
            "assistant",
            "tool",
            "user",
            "assistant",
            "tool",
            "assistant",
            "user",
            "assistant",
            "tool",
        ];
        assert_eq!(roles, expected);
        assert_eq!(chat.messages[3]["tool_call_id"], "call-1");
        assert_eq!(chat.messages[5], trajectory.turns[1].message);
        assert_eq!(chat.tools, trajectory.header.tools);
    }

    #[test]
    fn several_calls_of_one_turn_are_answered_together() {
        let mut trajectory = Sample::default().trajectory();
        trajectory.turns.truncate(2);
        trajectory.steps[1].turn = Some(1);
        trajectory.steps[2].turn = Some(2);
        trajectory.steps[3].turn = Some(2);
        let roles: Vec<Value> = transcript(&trajectory).messages.iter().map(|m| m["role"].clone()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "assistant", "tool", "tool"]);
    }

    #[test]
    fn an_oracle_is_rendered_as_one_call_per_step() {
        let trajectory = Sample::oracle().trajectory();
        let chat = transcript(&trajectory);
        let before = trajectory.header.prompt.len().max(1);
        assert_eq!(chat.messages.len(), before + 2 * trajectory.steps.len());
        assert_eq!(chat.messages[0]["content"], trajectory.header.instruction);
        assert_eq!(chat.messages[1]["content"], trajectory.steps[0].reasoning);
        let function = &chat.messages[1]["tool_calls"][0]["function"];
        assert_eq!(function["name"], "bash");
        assert!(function["arguments"].as_str().unwrap().contains("sed -i"));
        assert_eq!(chat.messages[2]["content"], trajectory.steps[0].observation.text);
        assert_eq!(chat.messages[2]["tool_call_id"], chat.messages[1]["tool_calls"][0]["id"]);
    }

    #[test]
    fn a_control_is_the_instruction_alone() {
        let chat = transcript(&Sample::nop().trajectory());
        assert_eq!(chat.messages.len(), 1);
    }
}
