//! The whole way in real containers: runs, crashes, signals, full disks, datasets, the gate.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use program::{Program, containers};
use serde_json::Value;

/// Waits until a condition holds; false after the time is up.
fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < time {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

fn start(program: &Program, arguments: &[&str]) -> Child {
    program.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
fn the_oracle_earns_everything_and_doing_nothing_earns_nothing() {
    let program = Program::new();
    let arguments =
        ["run", "--template", "testing", "--seeds", "0..3", "--scaffold", "oracle,nop", "--out", "runs/a"];
    program.say(&arguments).well();
    for rollout in program.rollouts("runs/a") {
        let id = rollout["id"].as_str().unwrap();
        let expected = if id.contains(".oracle.") { ("success", 1.0) } else { ("failure", 0.0) };
        assert_eq!(
            (rollout["outcome"].as_str().unwrap(), rollout["reward"].as_f64().unwrap()),
            expected,
            "{id}"
        );
    }
    program.say(&arguments).failed(3, "TF103");
    assert_eq!(containers("a"), 0);
}

#[test]
fn one_trajectory_has_exactly_the_shape_that_was_promised() {
    let program = Program::new();
    program.say(&["run", "--template", "testing", "--seeds", "1", "--out", "runs/shape"]).well();
    let shown = program.say(&["show", "runs/shape", "greeting-1", "--json"]).well().json();
    for field in [
        "task_id",
        "task_instruction",
        "difficulty",
        "llm_model",
        "scaffold",
        "trajectory",
        "final_result",
        "total_reward",
        "execution_time_seconds",
        "total_tokens",
    ] {
        assert!(!shown[field].is_null(), "{field} is missing");
    }
    let steps = shown["trajectory"].as_array().unwrap();
    for step in steps {
        for field in ["step", "state", "action", "observation", "reward", "reasoning"] {
            assert!(!step[field].is_null(), "{field} is missing in {step}");
        }
        assert!(step["state"]["files"].is_object() && step["state"]["cwd"] == "/workspace");
        assert!(step["action"]["type"].is_string() && step["observation"].is_string());
    }
    assert_eq!(shown["final_result"], "success");
    let sum: f64 = steps.iter().map(|step| step["reward"].as_f64().unwrap()).sum();
    assert!((sum - shown["total_reward"].as_f64().unwrap()).abs() < 1e-9);
    assert!(steps[0]["state"]["files"].get("greeting.txt").is_none());
    assert!(steps[3]["state"]["files"].get("greeting.txt").is_some());
}

#[test]
fn after_kill_9_nothing_that_was_finished_is_lost_or_done_twice() {
    let program = Program::new();
    let arguments =
        ["run", "--template", "testing", "--seeds", "0..24", "--workers", "3", "--out", "runs/killed"];
    let mut child = start(&program, &arguments);
    let finished = |program: &Program| {
        let done = |rollout: &Value| rollout["state"] == "finished";
        let said = program.say(&["status", "runs/killed", "--json"]);
        if said.code != 0 {
            return BTreeSet::new();
        }
        let rollouts = said.json()["rollouts"].as_array().unwrap().clone();
        rollouts.iter().filter(|rollout| done(rollout)).map(|rollout| rollout["id"].to_string()).collect()
    };
    assert!(within(Duration::from_mins(2), || finished(&program).len() >= 4), "the run did not get going");
    signal(&child, "-KILL");
    child.wait().unwrap();
    let before: BTreeSet<String> = finished(&program);
    let journals = |names: &BTreeSet<String>| -> Vec<Vec<u8>> {
        let path = |id: &String| {
            program.path("runs/killed/rollouts").join(format!("{}.jsonl", id.trim_matches('"')))
        };
        names.iter().map(|id| fs::read(path(id)).unwrap()).collect()
    };
    let bytes_before = journals(&before);
    program.say(&["run", "--resume", "--out", "runs/killed", "--workers", "3"]).well();
    assert_eq!(journals(&before), bytes_before, "a finished rollout was done again");
    let rollouts = program.rollouts("runs/killed");
    assert_eq!(rollouts.len(), 24);
    assert!(rollouts.iter().all(|rollout| rollout["outcome"] == "success"), "{rollouts:?}");
    let no_lost_summary = fs::read_dir(program.path("runs/killed/rollouts")).unwrap().all(|entry| {
        let path = entry.unwrap().path();
        let is_lost = path.to_string_lossy().contains(".lost-");
        !is_lost || !fs::read_to_string(path).unwrap().contains("\"record\":\"summary\"")
    });
    assert!(no_lost_summary, "a finished rollout was set aside");
    assert!(within(Duration::from_secs(10), || containers("killed") == 0), "containers were left");
}

#[test]
fn ctrl_c_stops_cleanly_and_leaves_no_container() {
    let program = Program::new();
    let mut child =
        start(&program, &["run", "--template", "testing", "--seeds", "0..40", "--out", "runs/stopped"]);
    assert!(within(Duration::from_mins(1), || containers("stopped") > 0), "the run did not get going");
    signal(&child, "-INT");
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(130));
    assert_eq!(containers("stopped"), 0);
    let rollouts = program.rollouts("runs/stopped");
    assert!(rollouts.iter().all(|rollout| rollout["state"] != "running"), "{rollouts:?}");
}

#[test]
fn a_full_disk_stops_the_run_and_a_resume_finishes_it() {
    let program = Program::new();
    let disk = program.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount =
        |arguments: &[&str]| Command::new("mount").args(arguments).arg(&disk).status().unwrap().success();
    assert!(
        mount(&["-t", "tmpfs", "-o", "size=200k", "tmpfs"]),
        "this test needs the right to mount a small disk"
    );
    let run = disk.join("full").display().to_string();
    let said = program.say(&["run", "--template", "testing", "--seeds", "0..40", "--out", &run]);
    let resized = mount(&["-o", "remount,size=20m"]);
    let resumed = program.say(&["run", "--resume", "--out", &run]);
    let rollouts = program.rollouts(&run);
    let unmounted = Command::new("umount").arg(&disk).status().unwrap().success();
    assert!(resized && unmounted);
    assert_eq!((said.code, said.err.contains("TF203")), (4, true), "{}", said.err);
    resumed.well();
    assert!(rollouts.iter().all(|rollout| rollout["outcome"] == "success"), "{rollouts:?}");
    assert_eq!(containers("full"), 0);
}

#[test]
fn a_missing_image_and_an_unwritable_folder_leave_nothing_behind() {
    let program = Program::new();
    let to = program.path("roots/testing");
    fs::create_dir_all(&to).unwrap();
    let from = Program::home().join("testdata/templates/testing/greeting");
    assert!(Command::new("cp").arg("-r").arg(&from).arg(&to).status().unwrap().success());
    let file = to.join("greeting/template.yaml");
    let text = fs::read_to_string(&file).unwrap().replace("image: base", "image: nosuch");
    fs::write(&file, text).unwrap();
    let roots = program.path("roots").display().to_string();
    let run = ["run", "--template", "testing", "--seeds", "0", "--out", "runs/x", "--templates", &roots];
    program.say(&run).failed(4, "TF202");
    assert!(!program.path("runs").exists());
    program
        .say(&["run", "--template", "testing", "--seeds", "0", "--out", "/proc/nowhere"])
        .failed(4, "TF204");
}

#[test]
fn a_second_process_on_the_same_run_is_refused() {
    let program = Program::new();
    let mut child =
        start(&program, &["run", "--template", "testing", "--seeds", "0..40", "--out", "runs/twice"]);
    assert!(within(Duration::from_mins(1), || containers("twice") > 0), "the run did not get going");
    program.say(&["run", "--resume", "--out", "runs/twice"]).failed(3, "TF105");
    signal(&child, "-INT");
    child.wait().unwrap();
}

#[test]
fn a_dataset_is_the_same_bytes_each_time_and_reads_in_python() {
    let program = Program::new();
    program
        .say(&[
            "run",
            "--template",
            "testing",
            "--seeds",
            "0..12",
            "--scaffold",
            "oracle,nop",
            "--out",
            "runs/d",
        ])
        .well();
    for out in ["one", "two"] {
        program.say(&["dataset", "build", "runs/d", "--out", out, "--name", "d"]).well();
    }
    let files = ["train.parquet", "validation.parquet", "test.parquet", "metadata.json", "README.md"];
    for name in files {
        let bytes = |out: &str| fs::read(program.path(out).join(name)).unwrap();
        assert!(bytes("one") == bytes("two"), "{name} differs");
    }
    program.say(&["dataset", "build", "runs/d", "--out", "one"]).failed(3, "TF103");
    let stats = program.say(&["dataset", "stats", "one", "--json"]).well().json();
    assert_eq!(stats["raw"]["submitted"], 24);
    assert_eq!(stats["raw"]["dropped"]["control"], 12);
    assert_eq!(
        stats["total_trajectories"].as_u64().unwrap()
            + stats["raw"]["dropped"]["duplicate"].as_u64().unwrap_or(0),
        12
    );

    let script = Program::home().join("tests/python/check.sh");
    let checked = Command::new("bash").arg(script).arg(program.path("one")).output().unwrap();
    let words =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{words}");
}

#[test]
fn the_gate_finds_a_template_whose_trap_succeeds() {
    let program = Program::new();
    let from = Program::home().join("testdata/templates/testing/greeting");
    let to = program.path("roots/testing/careless");
    let copied = Command::new("cp").arg("-r").arg(&from).arg(program.path("x")).status().unwrap();
    assert!(copied.success());
    fs::create_dir_all(program.path("roots/testing")).unwrap();
    fs::rename(program.path("x"), &to).unwrap();
    let careless = fs::read_to_string(to.join("template.yaml")).unwrap();
    let start = careless.find("run: \"grep").unwrap();
    let end = start + careless[start..].find("\"}").unwrap();
    let careless =
        format!("{}run: \"test -e $WORKSPACE/greeting.txt{}", &careless[..start], &careless[end..]);
    fs::write(to.join("template.yaml"), careless).unwrap();
    let roots = program.path("roots").display().to_string();
    let said = program.say(&[
        "template",
        "check",
        "testing/careless",
        "--seeds",
        "0..2",
        "--templates",
        &roots,
        "--json",
    ]);
    assert_eq!(said.code, 1, "{}", said.err);
    let report = said.json();
    let rules: BTreeSet<&str> = report["templates"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert!(rules.contains("traps") && rules.contains("cross"), "{rules:?}");
}
