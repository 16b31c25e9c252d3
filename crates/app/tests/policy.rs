//! A run under a policy, in real containers, with simulated models over HTTP; and the same run from its cassette.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod program;

use std::collections::BTreeMap;
use std::path::Path;

use program::{Program, containers};
use serde_json::Value;

fn run(program: &Program, name: &str, tape: &str) {
    let out = format!("runs/{name}");
    let models = "simulated-weak,simulated-strong";
    let arguments = [
        "run",
        "--template",
        "testing",
        "--seeds",
        "0..6",
        "--scaffold",
        "tools",
        "--policy",
        "cascade",
        "--model",
        models,
        "--workers",
        "1",
        "--max-cost",
        "5",
        "--cassette",
        "tape.jsonl",
        tape,
        "--out",
        &out,
    ];
    program.say(&arguments).well();
    assert_eq!(containers(name), 0);
}

/// What a run recorded, by rollout, without clocks and what is made of them.
fn records(run: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for file in std::fs::read_dir(run.join("rollouts")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| without_clocks(serde_json::from_str(line).unwrap())).collect();
        all.insert(path.file_name().unwrap().to_string_lossy().into_owned(), lines);
    }
    all
}

fn without_clocks(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, _| {
            let is_clock =
                name.ends_with("seconds") || ["started", "finished", "crc", "run"].contains(&name.as_str());
            !is_clock
        });
        for field in fields.values_mut() {
            *field = without_clocks(field.take());
        }
    } else if let Value::Array(items) = &mut value {
        for item in items {
            *item = without_clocks(item.take());
        }
    }
    value
}

#[test]
fn a_cascade_over_simulated_models_runs_in_containers_and_again_from_its_cassette() {
    let program = Program::new();
    run(&program, "first", "--record");
    let status = program.say(&["status", "runs/first", "--json"]).well().json();
    let rollouts = status["rollouts"].as_array().unwrap();
    let of = |model: &str| rollouts.iter().filter(|rollout| rollout["model"] == model).count();
    assert_eq!(of("simulated-weak"), 6, "the cheapest model is asked first: {rollouts:#?}");
    let failed = rollouts
        .iter()
        .filter(|rollout| rollout["model"] == "simulated-weak" && rollout["outcome"] != "success")
        .count();
    assert!(failed > 0, "nothing had to be escalated");
    assert_eq!(of("simulated-strong"), failed, "the other one is asked where it failed");
    assert!(status["spending"]["run"].as_u64().unwrap() > 0);
    let first = records(&program.path("runs/first"));
    for lines in first.values() {
        assert_eq!(lines[0]["provenance"], "simulated");
        assert_eq!(lines[0]["choice"]["policy"], "cascade");
    }

    run(&program, "again", "--replay");
    let again = records(&program.path("runs/again"));
    assert_eq!(first.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    for (name, lines) in &first {
        assert_eq!(lines, &again[name], "{name}");
    }
}
