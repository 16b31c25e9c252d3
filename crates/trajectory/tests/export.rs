//! The promised JSON shape of one trajectory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use serde_json::Value;
use trajforge_schema::sample::Sample;
use trajforge_trajectory::Export;

fn exported(sample: &Sample) -> Value {
    serde_json::to_value(Export::of(&sample.trajectory())).unwrap()
}

#[test]
fn version_1_looks_as_it_did_then() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/format/export-v1.json");
    let mut text = serde_json::to_string_pretty(&Export::of(&Sample::default().trajectory())).unwrap();
    text.push('\n');
    assert_eq!(text, fs::read_to_string(path).unwrap());
}

#[test]
fn the_promised_names_are_there_with_their_types() {
    let document = exported(&Sample::default());
    for name in ["task_id", "task_instruction", "difficulty", "llm_model", "scaffold", "final_result"] {
        assert!(document[name].is_string(), "{name}");
    }
    for name in ["total_reward", "execution_time_seconds", "total_tokens"] {
        assert!(document[name].is_number(), "{name}");
    }
    let steps = document["trajectory"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        assert_eq!(step["step"], index + 1);
        assert!(step["state"]["files"].is_object());
        assert!(step["state"]["cwd"].is_string());
        assert!(step["action"]["type"].is_string());
        assert!(step["observation"].is_string());
        assert!(step["reward"].is_f64());
        assert!(step["reasoning"].is_string());
    }
    assert_eq!(document["total_tokens"], 480);
    assert_eq!(document["final_result"], "success");
}

#[test]
fn every_state_names_every_file_of_its_moment() {
    let document = exported(&Sample::default());
    let files = |step: usize| -> Vec<String> {
        let files = document["trajectory"][step]["state"]["files"].as_object().unwrap();
        files.keys().cloned().collect()
    };
    assert_eq!(files(0), ["src/main.py"]);
    assert_eq!(files(1), ["out-2.txt", "src/main.py"]);
    assert_eq!(files(2), ["out-3.txt", "src/main.py"]);
    let state = &document["trajectory"][2]["state"];
    assert_eq!(state["changed"][0], "out-3.txt");
    assert_eq!(state["removed"][0], "out-2.txt");
    assert!(document["final_state"]["files"]["out-5.txt"].is_string());
}

#[test]
fn who_acted_is_named_even_where_no_model_did() {
    assert_eq!(exported(&Sample::default())["llm_model"], "small-model");
    assert_eq!(exported(&Sample::oracle())["llm_model"], "oracle");
    assert_eq!(exported(&Sample::nop())["llm_model"], "none");
}

#[test]
fn a_rollout_that_did_not_finish_is_exported_as_far_as_it_came() {
    let mut trajectory = Sample::default().trajectory();
    trajectory.summary = None;
    trajectory.steps.pop();
    let export = Export::of(&trajectory);
    assert_eq!(export.final_result, "incomplete");
    assert_eq!(export.trajectory.len(), 3);
    assert_eq!(export.total_tokens, 480);
    assert!(!export.is_success());
}

#[test]
fn what_the_hidden_checks_printed_stays_hidden() {
    let mut trajectory = Sample::default().trajectory();
    let summary = trajectory.summary.as_mut().unwrap();
    summary.checks[0].output = "the answer is 42".to_owned();
    let text = serde_json::to_string(&Export::of(&trajectory)).unwrap();
    assert!(!text.contains("the answer is 42"));
}
