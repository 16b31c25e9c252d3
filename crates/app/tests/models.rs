//! The `tools` scaffold in real containers, against scripted models over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use program::{Program, Said, containers};
use serde_json::{Value, json};
use trajforge_router::{Scripted, ScriptedReply};

/// An assistant's message with one tool call.
fn call(number: usize, tool: &str, arguments: &Value) -> Value {
    let function = json!({ "name": tool, "arguments": arguments.to_string() });
    let calls = json!([{ "id": format!("call-{number}"), "type": "function", "function": function }]);
    json!({ "role": "assistant", "content": format!("Step {number}."), "tool_calls": calls })
}

/// The replies of a model that works on the greeting's seed 1, and ends with this text in the file.
fn replies(text: &str) -> Vec<Value> {
    let steps = [
        ("bash", json!({ "command": "pwd; ls -l" })),
        ("read", json!({ "path": "notes.txt" })),
        ("search", json!({ "pattern": "greeted" })),
        ("list", json!({})),
        ("think", json!({ "thought": "A greeting is wanted." })),
        ("fly", json!({ "to": "the moon" })),
        ("write", json!({ "path": "greeting.txt", "content": "Hello\n" })),
        ("edit", json!({ "path": "greeting.txt", "old": "Hello", "new": text })),
        ("bash", json!({ "command": "cat greeting.txt" })),
        ("submit", json!({ "message": "Done." })),
    ];
    steps.iter().enumerate().map(|(number, (tool, arguments))| call(number, tool, arguments)).collect()
}

fn run_against(program: &Program, server: &Scripted, name: &str) -> Said {
    let url = server.base_url();
    let out = format!("runs/{name}");
    program.say(&[
        "run",
        "--template",
        "testing",
        "--seeds",
        "1",
        "--scaffold",
        "tools",
        "--model",
        "scripted",
        "--base-url",
        &url,
        "--price",
        "1,2",
        "--out",
        &out,
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_calling_model_works_a_whole_task_to_the_full_reward() {
    let server = Scripted::play(replies("Hello, ines!")).await.unwrap();
    let program = Program::new();
    run_against(&program, &server, "tools").well();
    let shown = program.say(&["show", "runs/tools", "greeting-1", "--json"]).well().json();
    assert_eq!(
        (shown["final_result"].as_str(), shown["llm_model"].as_str()),
        (Some("success"), Some("scripted"))
    );
    let steps = shown["trajectory"].as_array().unwrap();
    let kinds: Vec<&str> = steps.iter().map(|step| step["action"]["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["bash", "read", "search", "list", "think", "invalid", "write", "edit", "bash", "submit"]
    );
    assert!(steps[0]["observation"].as_str().unwrap().starts_with("/workspace\n"));
    assert!(steps[5]["observation"].as_str().unwrap().contains("no such tool"));
    assert!(steps[8]["observation"].as_str().unwrap().contains("Hello, ines!"));
    assert!(shown["total_tokens"].as_u64().unwrap() > 0);
    let requests = server.requests();
    assert_eq!(requests.len(), 10);
    assert_eq!(requests[0]["tools"].as_array().unwrap().len(), 8);
    assert_eq!(requests[1]["messages"].as_array().unwrap().last().unwrap()["role"], "tool");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_it_wrong_earns_nothing() {
    let server = Scripted::play(replies("Good morning.")).await.unwrap();
    let program = Program::new();
    run_against(&program, &server, "wrong").well();
    let shown = program.say(&["show", "runs/wrong", "greeting-1", "--json"]).well().json();
    assert_eq!(
        (shown["final_result"].as_str(), shown["total_reward"].as_f64()),
        (Some("failure"), Some(0.0))
    );
    assert_eq!(shown["trajectory"].as_array().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_refuses_stops_the_run_which_can_be_resumed() {
    let refuses = ScriptedReply::Status { code: 401, body: "no such key".to_owned(), retry_after: None };
    let server = Scripted::start(move |_, _| refuses.clone()).await.unwrap();
    let program = Program::new();
    let said = run_against(&program, &server, "refused");
    assert!(said.err.contains("401"), "{}", said.err);
    assert_eq!(said.code, 5, "{}", said.err);
    assert!(said.err.contains("TF301") && said.err.contains("hint:"), "{}", said.err);
    assert_eq!(program.rollouts("runs/refused")[0]["state"], "waiting");
    let server = Scripted::play(replies("Hello, ines!")).await.unwrap();
    let url = server.base_url();
    let resume = [
        "run",
        "--resume",
        "--out",
        "runs/refused",
        "--model",
        "scripted",
        "--base-url",
        &url,
        "--price",
        "1,2",
    ];
    program.say(&resume).well();
    assert_eq!(program.rollouts("runs/refused")[0]["outcome"], "success");
    assert_eq!(containers("refused"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_talks_nonsense_stops_the_run() {
    let server = Scripted::start(|_, _| ScriptedReply::Raw("<html>".to_owned())).await.unwrap();
    let said = run_against(&Program::new(), &server, "nonsense");
    assert_eq!(said.code, 5, "{}", said.err);
    assert!(said.err.contains("no JSON"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_half_way_leaves_a_partial_trajectory() {
    let good = replies("Hello, ines!");
    let server = Scripted::start(move |_, count| match good.get(count) {
        Some(message) if count < 3 => ScriptedReply::Message(message.clone()),
        _ => {
            ScriptedReply::Status { code: 400, body: "maximum context length".to_owned(), retry_after: None }
        }
    })
    .await
    .unwrap();
    let program = Program::new();
    run_against(&program, &server, "half").well();
    let shown = program.say(&["show", "runs/half", "greeting-1", "--json"]).well().json();
    assert_eq!(shown["trajectory"].as_array().unwrap().len(), 3);
    assert_eq!(
        (shown["final_result"].as_str(), shown["ending"]["failure"]["boundary"].as_str()),
        (Some("failure"), Some("model"))
    );
}
