//! The command line without Docker: data on stdout, one clear error with a hint and an exit code on stderr.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use std::fs;

use program::Program;

#[test]
fn help_and_lists_read_as_they_did() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

#[test]
fn every_shipped_template_is_listed_with_what_tools_need() {
    let list = Program::new().say(&["template", "list", "--json"]).well().json();
    let list = list.as_array().unwrap();
    assert!(list.len() >= 6);
    for template in list {
        for field in ["id", "version", "category", "difficulty", "languages", "skills", "expected_steps"] {
            assert!(!template[field].is_null(), "{field} is missing in {template}");
        }
    }
}

#[test]
fn a_task_is_the_same_in_two_processes_and_can_be_read() {
    let program = Program::new();
    let make = |out: &str| {
        let arguments =
            ["task", "make", "--template", "testing/greeting", "--seed", "7", "--out", out, "--json"];
        program.say(&arguments).well().json()["digest"].clone()
    };
    assert_eq!(make("one"), make("two"));
    for name in
        ["instruction.md", "workspace/notes.txt", "verify/notes.txt", "solution.md", "traps/nobody.md"]
    {
        assert!(program.path("one").join(name).is_file(), "{name} is missing");
    }
    let (one, two) = (program.path("one/task.json"), program.path("two/task.json"));
    assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
}

#[test]
fn a_task_folder_that_exists_is_left_alone() {
    let program = Program::new();
    fs::create_dir(program.path("there")).unwrap();
    fs::write(program.path("there/mine.txt"), "mine").unwrap();
    let arguments = ["task", "make", "--template", "testing/greeting", "--seed", "7", "--out", "there"];
    program.say(&arguments).failed(3, "TF103");
    assert_eq!(fs::read_dir(program.path("there")).unwrap().count(), 1);
}

#[test]
fn an_unknown_template_is_answered_with_the_nearest() {
    let arguments = ["task", "make", "--template", "testing/greating", "--seed", "7", "--out", "x"];
    let said = Program::new().say(&arguments).failed(3, "TF102");
    assert!(said.err.contains("did you mean testing/greeting?"), "{}", said.err);
}

/// A copy of the greeting with one line changed.
fn with_fault(program: &Program, file: &str, right: &str, wrong: &str) -> program::Said {
    let from = Program::home().join("testdata/templates/testing/greeting");
    let to = program.path("roots/testing/broken");
    copy(&from, &to);
    let path = to.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(right), "{file} has no {right:?}");
    fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
    let roots = program.path("roots").display().to_string();
    program.say(&[
        "task",
        "make",
        "--template",
        "testing/broken",
        "--seed",
        "1",
        "--out",
        "out",
        "--templates",
        &roots,
    ])
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_malformed_template_is_answered_with_file_line_column_and_a_hint() {
    let cases = [
        (
            "template.yaml",
            "difficulty: easy",
            "dificulty: easy",
            "template.yaml:4:1",
            "did you mean `difficulty`?",
        ),
        (
            "template.yaml",
            "loud: {chance: 0.5}",
            "loud: {chanse: 0.5}",
            "template.yaml:",
            "did you mean `chance`?",
        ),
        ("template.yaml", "{{ name }}", "{{ nam }}", "template.yaml:", "did you mean `name`?"),
        ("template.yaml", "answer: [name, loud]", "answer: [nmae]", "template.yaml", "did you mean `name`?"),
        ("template.yaml", "version: 1", "version: one", "template.yaml:1:10", ""),
        (
            "solution/steps.yaml",
            "bash: ls -l; cat notes.txt",
            "think: hm\n    bash: ls",
            "steps.yaml:",
            "exactly one",
        ),
        ("solution/steps.yaml", "'!' if loud", "'!' if lowd", "steps.yaml:5", "did you mean `loud`?"),
        (
            "template.yaml",
            "kind: guard, run: \"cmp notes.txt $WORKSPACE/notes.txt\"",
            "kind: guard",
            "template.yaml",
            "no verify/checks.py",
        ),
        ("traps/nobody.yaml", "fails: [greeting]", "fails: [greting]", "nobody.yaml", ""),
    ];
    for (file, right, wrong, place, hint) in cases {
        let program = Program::new();
        let said = with_fault(&program, file, right, wrong);
        assert_eq!(said.code, 3, "{wrong}: {}{}", said.out, said.err);
        assert!(said.err.contains(place) && said.err.contains(hint), "{wrong}:\n{}", said.err);
        assert!(said.err.contains("TF101"), "{}", said.err);
        assert!(!program.path("out").exists(), "{wrong}: something was left behind");
    }
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let said = Program::new().say(&["template", "show", "no/such", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!((said.code, error["error"]["code"].as_str()), (3, Some("TF102")));
}

#[test]
fn a_run_and_a_dataset_that_are_not_there_are_named() {
    let program = Program::new();
    program.say(&["status", "runs/none"]).failed(3, "TF104");
    program.say(&["show", "runs/none", "x"]).failed(3, "TF104");
    program.say(&["dataset", "stats", "datasets/none"]).failed(3, "TF104");
    program.say(&["dataset", "build", "runs/none", "--out", "d"]).failed(3, "TF104");
    assert!(!program.path("d").exists());
}

#[test]
fn a_dead_docker_engine_is_one_clear_error() {
    let program = Program::new();
    let socket = format!("unix://{}", program.path("none.sock").display());
    let mut command = program.command(&["run", "--template", "testing", "--seeds", "0", "--out", "runs/x"]);
    let said = program::Said::of(&command.env("DOCKER_HOST", &socket).output().unwrap());
    said.failed(4, "TF201");
    assert!(!program.path("runs").exists(), "something half-written was left behind");
    let mut command = program.command(&["doctor"]);
    let said = program::Said::of(&command.env("DOCKER_HOST", &socket).output().unwrap());
    assert_eq!(said.code, 4);
    assert!(said.out.contains("fail") && said.out.contains("hint"), "{}", said.out);
}

#[test]
fn schemas_are_json_and_describe_every_file() {
    for of in ["template", "steps", "trap"] {
        let schema = Program::new().say(&["template", "schema", of]).well().json();
        assert!(schema["properties"].is_object(), "{of}: {schema}");
    }
}
