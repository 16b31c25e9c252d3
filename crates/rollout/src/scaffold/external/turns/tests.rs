//! Replies and requests in, turns and steps out.

use serde_json::json;
use trajforge_schema::{Tokens, Usage};

use super::*;

fn turns() -> Turns {
    let manifest = json!({
        "name": "x", "version": "1", "summary": "", "license": "", "homepage": "", "runs": "container", "command": ["x"],
        "tools": { "bash": { "action": "bash", "command": "command" } },
    });
    Turns::new(&serde_json::from_value(manifest).unwrap())
}

fn call(id: &str, tool: &str, arguments: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": tool, "arguments": arguments } })
}

fn exchange(end: &str, view: &Value) -> Exchange {
    let usage = Usage { input: Tokens(10), output: Tokens(1), ..Usage::default() };
    serde_json::from_value(json!({
        "wire_version": 1, "session": "s", "number": 1, "started": 0, "seconds": 0.5, "end": end, "status": 200,
        "client_dialect": "openai_chat", "dialect": "openai_chat", "path": "/", "request": "", "response": "",
        "view": view, "usage": usage,
    }))
    .unwrap()
}

fn reply(calls: &[Value]) -> Exchange {
    let message = json!({ "role": "assistant", "content": "On it.", "tool_calls": calls });
    exchange("whole", &json!({ "messages": [], "reply": message, "response_id": "r" }))
}

fn knock(repeated: u32, messages: &Value) -> Knock {
    Knock { number: 2, repeated, messages: messages.clone(), tools: Value::Null }
}

fn result(id: &str, text: &str) -> Value {
    json!({ "role": "tool", "tool_call_id": id, "content": text })
}

#[test]
fn several_calls_of_a_reply_are_several_steps_each_with_its_own_result() {
    let mut turns = turns();
    turns.take(reply(&[
        call("a", "bash", r#"{"command": "ls"}"#),
        call("b", "fly", r#"{"to": 1}"#),
        call("c", "bash", "{"),
    ]));
    let shown =
        turns.shown(&knock(0, &json!([result("b", "no wings"), result("a", "x.txt"), result("c", "what?")])));
    let [decision] = shown.as_slice() else { panic!("{shown:?}") };
    let observed: Vec<&str> = decision
        .intents
        .iter()
        .map(|intent| intent.done.as_ref().unwrap().observation.text.as_str())
        .collect();
    assert_eq!(observed, ["x.txt", "no wings", "what?"]);
    let kinds: Vec<&str> = decision.intents.iter().map(|intent| intent.action.kind()).collect();
    assert_eq!(kinds, ["bash", "tool", "invalid"]);
    assert_eq!(decision.intents[0].reasoning, "On it.");
    assert_eq!(decision.intents[1].reasoning, "");
}

#[test]
fn a_request_beside_a_call_that_is_not_done_does_not_complete_it() {
    let mut turns = turns();
    turns.take(reply(&[call("task-1", "task", r#"{"prompt": "look"}"#)]));
    assert!(turns.shown(&knock(0, &json!([{ "role": "user", "content": "look" }]))).is_empty());
    turns.take(reply(&[call("b", "bash", r#"{"command": "ls"}"#)]));
    let below = turns.shown(&knock(0, &json!([result("b", "x.txt")])));
    assert_eq!(below[0].intents[0].action.kind(), "bash");
    let above = turns.shown(&knock(0, &json!([result("task-1", "there is x.txt")])));
    assert_eq!(above[0].intents[0].done.as_ref().unwrap().observation.text, "there is x.txt");
    assert_eq!((above[0].turn.as_ref().unwrap().turn, below[0].turn.as_ref().unwrap().turn), (1, 2));
}

#[test]
fn a_reply_that_its_client_never_took_is_a_turn_without_steps() {
    let mut turns = turns();
    turns.text_action = Some("reply".to_owned());
    let said =
        exchange("whole", &json!({ "messages": [], "reply": { "role": "assistant", "content": "Hm." } }));
    turns.take(said.clone());
    let repeated = turns.shown(&knock(1, &json!([{ "role": "user", "content": "x" }])));
    assert!(repeated[0].turn.is_some() && repeated[0].intents.is_empty());
    turns.take(said);
    let messages = json!([
        { "role": "assistant", "content": "Hm." }, { "role": "user", "content": "one" },
        { "role": "assistant", "content": "Ok." }, { "role": "user", "content": [{ "type": "text", "text": "two" }] },
    ]);
    let taken = turns.shown(&knock(0, &messages));
    assert_eq!(taken[0].intents[0].done.as_ref().unwrap().observation.text, "one\n\ntwo");
}

#[test]
fn what_brings_no_reply_is_counted_and_told_of_until_one_comes() {
    let mut turns = turns();
    let mut refused = exchange("refused", &json!({ "messages": [] }));
    refused.response = trajforge_schema::Content::from(r#"{"error": {"message": "no such model"}}"#);
    turns.take(refused);
    let failure = turns.failure.clone().unwrap();
    assert_eq!(failure.code, FailureCode::ScaffoldCrashed);
    assert!(failure.message.contains("no such model"), "{failure}");
    let mut title = exchange("whole", &json!({ "messages": [] }));
    title.side_call = Some("title".to_owned());
    turns.take(title);
    assert!(turns.failure.is_some(), "a side call says nothing about the work");
    turns.take(reply(&[]));
    assert_eq!((turns.failure.as_ref(), turns.side_usage.total()), (None, Tokens(22)));
    assert_eq!(turns.rest()[0].turn.as_ref().unwrap().requests, 2);
}
