//! External scaffolds in real containers: small programs that misbehave in every way, against a scripted model.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use std::fs;
use std::path::Path;

use program::{Program, containers};
use serde_json::{Value, json};
use trajforge_router::{Scripted, ScriptedReply};

/// How an agent behaves, and what has to come of it: steps, ending, failure's boundary, what the ending says, outcome.
type Manner = (&'static str, usize, &'static str, Option<&'static str>, &'static str, &'static str);

/// The agents of `testdata/fakes/agent.py`.
const MANNERS: [Manner; 10] = [
    ("well", 3, "submitted", None, "", "success"),
    ("crash", 0, "failed", Some("scaffold"), "no configuration", "failure"),
    ("mute", 0, "failed", Some("scaffold"), "without having asked its model", "failure"),
    ("hang", 2, "limit_reached", None, "time", "success"),
    ("smooth", 2, "failed", Some("model"), "it went wrong", "success"),
    ("flood", 3, "submitted", None, "", "success"),
    ("torn", 3, "submitted", None, "", "success"),
    ("deaf", 5, "limit_reached", None, "steps", "success"),
    ("forks", 3, "submitted", None, "", "success"),
    ("unknown-model", 2, "failed", Some("scaffold"), "no-such-model", "success"),
];

/// A scaffold's folder for a manner.
fn scaffold(folder: &Path, manner: &str) {
    let folder = folder.join(manner);
    fs::create_dir_all(&folder).unwrap();
    let agent = fs::read_to_string(Program::home().join("testdata/fakes/agent.py")).unwrap();
    let reader = if manner == "torn" { "mini_swe_agent" } else { "" };
    let manifest = json!({
        "name": manner, "version": "1", "summary": "A fake", "license": "none", "homepage": "none", "runs": "container",
        "command": ["python3", "{output}/agent.py", manner, "{instruction_file}", "{output}"],
        "environment": { "MODEL": "{model}", "KEY": "{key}", "BASE_URL": "{base_url}" },
        "files": { "{output}/agent.py": agent },
        "limits": { "grace_seconds": 1 },
        "tools": { "bash": { "action": "bash", "command": "command" } },
    });
    let mut manifest = manifest;
    if !reader.is_empty() {
        manifest["reader"] = json!(reader);
        manifest["collect"] = json!([{ "path": "{output}/trajectory.json" }]);
    }
    fs::write(folder.join("scaffold.yaml"), manifest.to_string()).unwrap();
}

/// The greeting, with little time and few steps.
fn short_greeting(root: &Path) {
    let (from, to) =
        (Program::home().join("testdata/templates/testing/greeting"), root.join("testing/greeting"));
    fs::create_dir_all(root.join("testing")).unwrap();
    let copied = std::process::Command::new("cp").arg("-r").args([&from, &to]).status().unwrap();
    assert!(copied.success());
    let file = to.join("template.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let short = text.replace("rollout_seconds: 120, steps: 20", "rollout_seconds: 12, steps: 5");
    assert_ne!(short, text);
    fs::write(file, short).unwrap();
}

/// The greeting of seed 1, done in three steps; one manner goes on for ever, one meets an error.
fn model(request: &Value, _: usize) -> ScriptedReply {
    let messages = request["messages"].as_array().unwrap();
    let manner = messages[0]["content"].as_str().unwrap().trim_start_matches("manner: ");
    let turn = messages.iter().filter(|message| message["role"] == "assistant").count();
    if manner == "smooth" && turn == 2 {
        return ScriptedReply::Status { code: 400, body: "it went wrong".to_owned(), retry_after: None };
    }
    let commands = ["ls -l", "echo 'Hello, ines!' > greeting.txt", "cat greeting.txt"];
    let command = match (commands.get(turn), manner) {
        (Some(command), _) => command,
        (None, "deaf") => "true",
        (None, _) => return ScriptedReply::Message(json!({ "role": "assistant", "content": "It is done." })),
    };
    let arguments = json!({ "command": command }).to_string();
    let call = json!({ "id": format!("{manner}-{turn}"), "type": "function", "function": { "name": "bash", "arguments": arguments } });
    ScriptedReply::Message(json!({ "role": "assistant", "content": "On it.", "tool_calls": [call] }))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_scaffold_does_its_rollout_ends_at_the_right_boundary_and_the_next_one_is_unaffected() {
    let server = Scripted::start(model).await.unwrap();
    let program = Program::new();
    run_all(&program, &server.base_url());
    for (manner, steps, ending, boundary, word, outcome) in MANNERS {
        let shown = show(&program, manner);
        let said = &shown["ending"];
        assert_eq!(shown["trajectory"].as_array().unwrap().len(), steps, "{manner}: {shown}");
        assert_eq!(said["kind"], ending, "{manner}: {said}");
        assert_eq!(said["failure"]["boundary"].as_str(), boundary, "{manner}: {said}");
        assert!(said.to_string().contains(word), "{manner}: {said}");
        assert_eq!(shown["final_result"], outcome, "{manner}");
        assert!(!shown.to_string().contains("tf-"), "{manner}: a key is in the record");
    }
    assert!(
        records(&program, "torn").contains("trajectory.json can't be read"),
        "the torn file is not told of"
    );
    assert_eq!(containers(&name()), 0);
}

/// A run's name that no other process has for its own: containers are counted by it.
fn name() -> String {
    format!("fakes-{}", std::process::id())
}

/// One run of all of them.
fn run_all(program: &Program, url: &str) {
    for (manner, ..) in MANNERS {
        scaffold(&program.path("scaffolds"), manner);
    }
    short_greeting(&program.path("templates"));
    let names: Vec<&str> = MANNERS.iter().map(|(manner, ..)| *manner).collect();
    let names = names.join(",");
    let content =
        ["--templates", "templates", "--scaffolds", "scaffolds", "--template", "testing", "--seeds", "1"];
    let model = ["--model", "scripted", "--base-url", url, "--price", "1,2"];
    let run = ["--scaffold", &names, "--workers", "2", "--out", "runs/fakes", "--name", &name()];
    let said = program.say(&[&["run"][..], &content[..], &model[..], &run[..]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

/// A rollout's journal, by its scaffold.
fn records(program: &Program, scaffold: &str) -> String {
    let journals = fs::read_dir(program.path("runs/fakes/rollouts")).unwrap();
    let mut journals = journals.map(|entry| entry.unwrap().path());
    let of = |path: &std::path::PathBuf| {
        path.to_string_lossy().contains(&format!(".{scaffold}.")) && path.is_file()
    };
    fs::read_to_string(journals.find(of).unwrap()).unwrap()
}

/// A rollout's record by its scaffold.
fn show(program: &Program, scaffold: &str) -> Value {
    let rollouts = program.rollouts("runs/fakes");
    let of = |id: &&str| id.contains(&format!(".{scaffold}."));
    let id = rollouts.iter().filter_map(|rollout| rollout["id"].as_str()).find(of).unwrap();
    program.say(&["show", "runs/fakes", id, "--json"]).well().json()
}
