//! Scaffolds that run on the host and work in a task's container through SWE-ReX's protocol, with its own client.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use std::fs;
use std::path::Path;
use std::process::Command;

use program::{Program, containers};
use serde_json::{Value, json};
use trajforge_router::{Scripted, ScriptedReply};

/// The greeting of seed 1, done in three steps.
fn model(request: &Value, _: usize) -> ScriptedReply {
    let messages = request["messages"].as_array().unwrap();
    let turn = messages.iter().filter(|message| message["role"] == "assistant").count();
    let commands =
        ["pwd; ls", "echo 'Hello, ines!' > greeting.txt; (exit 3)", "cat greeting.txt; cat ~root/notes"];
    let Some(command) = commands.get(turn) else {
        return ScriptedReply::Message(json!({ "role": "assistant", "content": "It is done." }));
    };
    let call = json!({
        "id": format!("call-{turn}"), "type": "function",
        "function": { "name": "bash", "arguments": json!({ "command": command }).to_string() },
    });
    ScriptedReply::Message(json!({ "role": "assistant", "content": "On it.", "tool_calls": [call] }))
}

/// The Python that has SWE-ReX's client.
fn python() -> String {
    let script = Program::home().join("tests/python/venv.sh");
    let made = Command::new("bash").arg(script).args(["swerex", "requirements-swerex.txt"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn scaffold(folder: &Path, manner: &str, sleep: &str) {
    let folder = folder.join(manner);
    fs::create_dir_all(&folder).unwrap();
    let agent = Program::home().join("testdata/fakes/outside.py");
    let manifest = json!({
        "name": manner, "version": "1", "summary": "A fake", "license": "none", "homepage": "none", "runs": "swerex",
        "command": [python(), agent, manner, "{instruction_file}"],
        "environment": {
            "MODEL": "{model}", "KEY": "{key}", "BASE_URL": "{base_url}", "PORT": "{swerex_port}", "SECONDS": sleep,
        },
        "limits": { "grace_seconds": 1 },
        "tools": { "bash": { "action": "bash", "command": "command" } },
        "collect": [{ "path": "{output}/left.txt" }, { "path": "/etc/hostname" }],
    });
    fs::write(folder.join("scaffold.yaml"), manifest.to_string()).unwrap();
}

/// The greeting, with little time.
fn short_greeting(root: &Path) {
    let from = Program::home().join("testdata/templates/testing/greeting");
    fs::create_dir_all(root.join("testing")).unwrap();
    let copied = Command::new("cp").arg("-r").arg(&from).arg(root.join("testing/greeting")).status().unwrap();
    assert!(copied.success());
    let file = root.join("testing/greeting/template.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let short = text.replace("rollout_seconds: 120", "rollout_seconds: 12");
    assert_ne!(short, text);
    fs::write(file, short).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaffold_on_the_host_works_in_the_container_and_leaves_nothing_on_the_host() {
    let server = Scripted::start(model).await.unwrap();
    let program = Program::new();
    // A number that no other process sleeps for.
    let sleep = format!("9{:07}", std::process::id());
    for manner in ["well", "hang"] {
        scaffold(&program.path("scaffolds"), manner, &sleep);
    }
    short_greeting(&program.path("templates"));
    let url = server.base_url();
    let mut order =
        vec!["run", "--templates", "templates", "--scaffolds", "scaffolds", "--template", "testing"];
    order.extend(["--seeds", "1", "--scaffold", "well,hang", "--model", "scripted", "--base-url", &url]);
    order.extend(["--price", "1,2", "--out", "runs/outside"]);
    let said = program.say(&order);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    for (manner, ending, steps) in [("well", "submitted", 3), ("hang", "limit_reached", 2)] {
        let rollouts = program.rollouts("runs/outside");
        let mut ids = rollouts.iter().filter_map(|rollout| rollout["id"].as_str());
        let id = ids.rfind(|id| id.contains(&format!(".{manner}."))).unwrap().to_owned();
        let shown = program.say(&["show", "runs/outside", &id, "--json"]).well().json();
        assert_eq!(shown["ending"]["kind"], ending, "{manner}: {}", shown["ending"]);
        assert_eq!(shown["final_result"], "success", "{manner}: {shown}");
        let trajectory = shown["trajectory"].as_array().unwrap();
        assert_eq!(trajectory.len(), steps, "{manner}: {shown}");
        assert!(!shown.to_string().contains("tf-"), "{manner}: a key is in the record");
        let kept = program.path("runs/outside/rollouts").join(format!("{id}.scaffold"));
        assert!(!kept.join("hostname").exists(), "a file of the host was collected");
        if manner == "well" {
            assert!(shown.to_string().contains("Hello, ines!\\nas SWE-agent does"), "{shown}");
            assert_eq!(fs::read_to_string(kept.join("left.txt")).unwrap(), "the key was [key]");
        }
    }
    let left = Command::new("pgrep").args(["-f", &format!("sleep {sleep}")]).output().unwrap();
    assert!(left.stdout.is_empty(), "a process outlived its rollout");
    assert_eq!(containers("outside"), 0);
}
