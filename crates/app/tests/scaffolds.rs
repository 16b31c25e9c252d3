//! External scaffolds for real: installed into their layers, in containers without network, on a task that is shipped.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use std::fs;

use program::{Program, containers};
use serde_json::{Value, json};
use trajforge_router::{Scripted, ScriptedReply};

/// A task that is shipped.
const TEMPLATE: &str = "debugging/parcel-rates";
/// The scaffolds, and whether each writes a record of its own that is read.
const SCAFFOLDS: [(&str, bool); 4] =
    [("mini-swe-agent", true), ("openhands", true), ("aider", true), ("opencode", false)];

/// The two ways to look at a page in OpenHands' browser: its elements, and its text.
const LOOKS: [&str; 2] = ["browser_get_state", "browser_get_content"];

/// A home of its own, with a model that plays the oracle without a mistake.
fn home_with_model(program: &Program) -> String {
    let home = program.path("home");
    fs::create_dir_all(home.join("models")).unwrap();
    for name in ["templates", "images", "scaffolds"] {
        std::os::unix::fs::symlink(Program::home().join(name), home.join(name)).unwrap();
    }
    let entry = json!({
        "name": "right", "base_url": "http://127.0.0.1:0/v1", "dialect": "openai_chat", "model": "right",
        "price": { "input": 1.0, "output": 2.0 }, "provenance": "simulated",
        "simulated": { "competence": { "easy": 1.0, "medium": 1.0, "hard": 1.0, "expert": 1.0 }, "recovers": 0.0 },
    });
    fs::write(home.join("models/right.yaml"), entry.to_string()).unwrap();
    home.display().to_string()
}

/// A model that says at once that all is done, in whatever way the scaffold wants to be told.
fn gives_up(request: &Value, number: usize) -> ScriptedReply {
    let says = |text: &str| ScriptedReply::Message(json!({ "role": "assistant", "content": text }));
    let tools = request["tools"].to_string();
    if tools.contains("\"finish\"") {
        call(number, "finish", &json!({ "message": "Done." }))
    } else if request["messages"].to_string().contains("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT") {
        call(number, "bash", &json!({ "command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT" }))
    } else {
        says("DONE")
    }
}

/// One call of a tool.
fn call(number: usize, name: &str, arguments: &Value) -> ScriptedReply {
    let function = json!({ "name": name, "arguments": arguments.to_string() });
    let calls = json!([{ "id": format!("call-{number}"), "type": "function", "function": function }]);
    ScriptedReply::Message(json!({ "role": "assistant", "content": "Step.", "tool_calls": calls }))
}

#[tokio::test(flavor = "multi_thread")]
async fn real_scaffolds_solve_a_shipped_task_and_fail_it_cleanly() {
    let program = Program::new();
    let home = home_with_model(&program);
    let names: Vec<&str> = SCAFFOLDS.iter().map(|(name, _)| *name).collect();
    let names = names.join(",");
    let server = Scripted::start(gives_up).await.unwrap();
    let url = server.base_url();
    let run = [
        "run",
        "--home",
        &home,
        "--template",
        TEMPLATE,
        "--seeds",
        "0",
        "--scaffold",
        &names,
        "--workers",
        "2",
    ];
    let (right, wrong) = (name("right"), name("wrong"));
    let rightly = ["--model", "right", "--out", "runs/right", "--name", &right];
    let scripted = ["--model", "wrong", "--base-url", &url, "--price", "1,2"];
    let wrongly = [&scripted[..], &["--out", "runs/wrong", "--name", &wrong]].concat();
    for rest in [&rightly[..], &wrongly[..]] {
        let said = program.say(&[&run[..], rest].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }
    let mut table = vec!["scaffold        model  requests  side  turns  steps  joined exactly".to_owned()];
    for (scaffold, is_read) in SCAFFOLDS {
        for (model, outcome, reward) in [("right", "success", 1.0), ("wrong", "failure", 0.0)] {
            let id = id(&program, model, scaffold, model);
            let shown = program.say(&["show", &format!("runs/{model}"), &id, "--json"]).well().json();
            assert_eq!(shown["ending"]["kind"], "submitted", "{id}: {}", shown["ending"]);
            assert_eq!(shown["final_result"], outcome, "{id}");
            assert_eq!(shown["total_reward"], reward, "{id}");
            table.push(format!("{scaffold:<14}  {model}  {}", row(&program, model, &id, is_read)));
        }
    }
    tell(&table);
    assert_eq!(containers(&right) + containers(&wrong), 0);
}

/// A run's name that no other process has for its own: containers are counted by it.
fn name(run: &str) -> String {
    format!("{run}-{}", std::process::id())
}

/// What is done on the notice board in a browser, and what a look at the page has to show before; until then it is looked at.
fn in_the_browser(request: &Value, number: usize) -> ScriptedReply {
    let messages = request["messages"].as_array().unwrap();
    let is_deed = |message: &&Value| {
        let name = message["tool_calls"][0]["function"]["name"].as_str();
        name.is_some_and(|name| !LOOKS.contains(&name))
    };
    let first = |tag: &str| elements(messages, tag).first().cloned();
    let (before, tool, arguments) = match messages.iter().filter(is_deed).count() {
        0 => ("", "browser_navigate", json!({ "url": "http://127.0.0.1:8080/workshops" })),
        1 => ("Enter", "browser_type", json!({ "index": first("input"), "text": "harbour" })),
        2 => ("", "browser_click", json!({ "index": first("button") })),
        3 => ("Thursday", "browser_click", json!({ "index": elements(messages, "a").get(1) })),
        4 => ("Vegetarian", "browser_type", json!({ "index": first("input"), "text": "mai" })),
        5 => ("", "browser_type", json!({ "index": first("select"), "text": "Vegetarian" })),
        6 => ("", "browser_click", json!({ "index": elements(messages, "input").last() })),
        _ => ("mai is expected on Thursday.", "finish", json!({ "message": "Signed up." })),
    };
    let last = messages.last().unwrap()["content"].to_string();
    match tool {
        _ if last.contains(before) => call(number, tool, &arguments),
        // A page's text is that of the last look at its elements.
        "finish" if messages.last().unwrap()["name"] == LOOKS[0] => call(number, LOOKS[1], &json!({})),
        _ => call(number, LOOKS[0], &json!({})),
    }
}

/// The numbers of a page's elements, as the last look at it showed them.
fn elements(messages: &[Value], tag: &str) -> Vec<Value> {
    let mut states =
        messages.iter().filter(|message| message["role"] == "tool" && message["name"] == LOOKS[0]);
    let text = states.next_back().and_then(|state| state["content"][0]["text"].as_str());
    let state: Value = serde_json::from_str(text.unwrap_or("{}")).unwrap_or_default();
    let all = state["interactive_elements"].as_array().into_iter().flatten();
    all.filter(|element| element["tag"] == tag).map(|element| element["index"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn openhands_works_a_task_in_a_local_web_service_with_a_real_browser() {
    let server = Scripted::start(in_the_browser).await.unwrap();
    let program = Program::new();
    let (url, templates) = (server.base_url(), Program::home().join("testdata/browse").display().to_string());
    let run = "run --template testing/board --seeds 1 --scaffold openhands-browser --model clicks --price 1,2 --out runs/browser";
    let name = name("browser");
    let with = ["--templates", &templates, "--base-url", &url, "--name", &name];
    program.say(&run.split(' ').chain(with).collect::<Vec<_>>()).well();
    let shown = program.say(&["show", "runs/browser", "board-1", "--json"]).well().json();
    let result = (shown["ending"]["kind"].as_str(), shown["total_reward"].as_f64());
    assert_eq!(result, (Some("submitted"), Some(1.0)), "{:#}\n{:#}", shown["ending"], shown["trajectory"]);
    let steps = shown["trajectory"].as_array().unwrap();
    let deeds: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["action"]["name"].as_str())
        .filter(|tool| !LOOKS.contains(tool))
        .collect();
    let [go, click, fill] = ["browser_navigate", "browser_click", "browser_type"];
    assert_eq!(deeds, [go, fill, click, click, fill, fill, click]);
    let seen = |index: usize| steps[index]["observation"].as_str().unwrap();
    assert_eq!(seen(0), "Navigated to: http://127.0.0.1:8080/workshops");
    assert!(steps.iter().any(|step| step["action"]["name"] == LOOKS[0]), "the page's state was never read");
    assert!(seen(steps.len() - 2).contains("mai is expected on Thursday."), "{}", seen(steps.len() - 2));
    let id = id(&program, "browser", "openhands-browser", "clicks");
    tell(&[row(&program, "browser", &id, true)]);
    assert_eq!(containers(&name), 0);
}

/// The rollout of a scaffold and a model.
fn id(program: &Program, run: &str, scaffold: &str, model: &str) -> String {
    let rollouts = program.rollouts(&format!("runs/{run}"));
    let ids = rollouts.iter().filter_map(|rollout| rollout["id"].as_str());
    let mut of = ids.filter(|id| id.contains(&format!(".{scaffold}.{model}.")));
    of.next().unwrap().to_owned()
}

/// What a rollout's requests, steps and join came to; every step must be where it belongs.
fn row(program: &Program, run: &str, id: &str, is_read: bool) -> String {
    let folder = program.path("runs").join(run).join("rollouts");
    let lines = |text: &[u8]| -> Vec<Value> {
        let text = std::str::from_utf8(text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let packed = fs::File::open(folder.join(format!("{id}.scaffold/exchanges.jsonl.zst"))).unwrap();
    let exchanges = lines(&zstd::decode_all(packed).unwrap());
    let records = lines(&fs::read(folder.join(format!("{id}.jsonl"))).unwrap());
    let of = |kind: &str| records.iter().filter(|record| record["record"] == kind).collect::<Vec<_>>();
    let side = exchanges.iter().filter(|exchange| !exchange["side_call"].is_null()).count();
    let (turns, steps) = (of("turn"), of("step"));
    assert_eq!(exchanges.len() - side, turns.len(), "{id}: a request for a step is no turn");
    let calls = |turn: &&Value| turn["message"]["tool_calls"].as_array().map_or(0, Vec::len);
    // Without tools, each reply is a step.
    let asked: usize = if id.contains(".aider.") { turns.len() } else { turns.iter().map(calls).sum() };
    assert_eq!(steps.len(), asked, "{id}: what was asked for is no step");
    // The observation of each step is what the next request showed to the model.
    let last = exchanges.iter().rfind(|exchange| exchange["side_call"].is_null()).unwrap();
    let shown = last["view"]["messages"].as_array().unwrap();
    for step in &steps {
        let result = shown.iter().find(|message| message["tool_call_id"] == step["tool_call_id"]);
        if let Some(result) = result.filter(|message| message["role"] == "tool") {
            let content = &result["content"];
            let shown = content[0]["text"].as_str().or(content.as_str()).unwrap();
            assert_eq!(shown, step["observation"]["text"], "{id}: step {}", step["step"]);
        }
    }
    let joined = of("joined");
    assert_eq!(joined.len(), usize::from(is_read), "{id}");
    let exact = joined.first().map_or("-".to_owned(), |joined| {
        assert_eq!(joined["exact"], steps.len(), "{id}: {}", joined["differences"]);
        format!("{} of {}", joined["exact"], steps.len())
    });
    format!("{:>8}  {side:>4}  {:>5}  {:>5}  {exact}", exchanges.len(), turns.len(), steps.len())
}

/// The table goes where a test's words go.
#[expect(clippy::print_stdout, reason = "the figures are for whoever runs the test")]
fn tell(table: &[String]) {
    println!("{}", table.join("\n"));
}
