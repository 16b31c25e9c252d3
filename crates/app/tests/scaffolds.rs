//! Scaffolds without Docker: what is listed, what is begun, and what a check says of one that breaks the rules.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use std::fs;

use program::{Program, Said};
use serde_json::Value;

/// A scaffold of this program text in a folder of the test's own.
fn probe(program: &Program, text: &str) {
    program.say(&["scaffold", "new", "probe", "--root", "mine"]).well();
    fs::write(program.path("mine/probe/agent.py"), text).unwrap();
}

fn check(program: &Program, name: &str) -> Said {
    program.say(&["scaffold", "check", name, "--scaffolds", "mine", "--json"])
}

/// The rules that a report calls broken, with what it says of them.
fn broken(report: &Value) -> Vec<(&str, &str)> {
    let rules = report["rules"].as_array().unwrap().iter();
    let broken = rules.filter(|rule| rule["holds"] == false);
    broken.map(|rule| (rule["rule"].as_str().unwrap(), rule["detail"].as_str().unwrap())).collect()
}

#[test]
fn native_scaffolds_and_manifests_are_listed() {
    let program = Program::new();
    let list = program.say(&["scaffold", "list", "--json"]).well().json();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|facts| facts["name"].as_str().unwrap()).collect();
    for name in ["oracle", "nop", "tools", "bash", "text", "text-xml", "text-react", "example-python"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    fs::create_dir_all(program.path("mine/odd")).unwrap();
    fs::write(program.path("mine/odd/scaffold.yaml"), "name: odd\n").unwrap();
    let list = program.say(&["scaffold", "list", "--json", "--scaffolds", "mine"]).well().json();
    let odd = list.as_array().unwrap().iter().find(|facts| facts["name"] == "odd").unwrap().clone();
    assert_eq!(odd["runs"], "nowhere");
    assert!(odd["summary"].as_str().unwrap().contains("missing"), "{odd}");
}

#[test]
fn a_new_scaffold_works_as_it_is_and_is_not_written_over() {
    let program = Program::new();
    program.say(&["scaffold", "new", "my-agent", "--root", "mine"]).well();
    let report = check(&program, "my-agent").well().json();
    assert_eq!((report["passed"].as_bool(), broken(&report)), (Some(true), Vec::new()));
    let holds = report["rules"].as_array().unwrap().iter().filter(|rule| rule["holds"] == true).count();
    assert_eq!(holds, 6);
    program.say(&["scaffold", "new", "my-agent", "--root", "mine"]).failed(3, "TF103");
    assert_ne!(program.say(&["scaffold", "new", "My Agent"]).code, 0);
    program.say(&["scaffold", "check", "nosuch"]).failed(3, "TF102");
}

#[test]
fn the_shipped_example_keeps_to_the_rules() {
    let report = check(&Program::new(), "example-python").well().json();
    assert_eq!(broken(&report), []);
}

#[test]
fn a_check_says_what_is_wrong() {
    let ready = "import json, subprocess, sys, time\n\
                 def say(**m): print(json.dumps(m), flush=True)\n\
                 task = json.loads(sys.stdin.readline())\nsay(type='ready', protocol=1)\n";
    for (text, rule, words) in [
        ("raise SystemExit('no luck')".to_owned(), "protocol", "no luck"),
        (format!("{ready}print('hello')"), "protocol", "\"hello\""),
        (
            format!(
                "{ready}say(type='action', action={{'type': 'fly'}}); sys.stdin.readline(); say(type='end')"
            ),
            "actions",
            "no such tool",
        ),
        (format!("{ready}say(type='end')"), "actions", "it sent none"),
        (
            format!("{ready}say(type='action', action={{'type': 'submit'}}); time.sleep(99)"),
            "stop",
            "was killed",
        ),
        (
            format!(
                "{ready}subprocess.Popen(['sleep', '99'], start_new_session=True, stdout=2)\nsay(type='action', action={{'type': 'submit'}})"
            ),
            "processes",
            "it left 1 behind",
        ),
    ] {
        let program = Program::new();
        probe(&program, &text);
        let manifest = program.path("mine/probe/scaffold.yaml");
        let quick = fs::read_to_string(&manifest).unwrap() + "limits: {grace_seconds: 2}\n";
        fs::write(&manifest, quick).unwrap();
        let said = check(&program, "probe");
        assert_eq!(said.code, 1, "{text}: {}", said.err);
        let report = said.json();
        let broken = broken(&report);
        assert!(
            broken.iter().any(|(name, detail)| *name == rule && detail.contains(words)),
            "{text}: {broken:?}"
        );
    }
    let program = Program::new();
    probe(&program, "");
    let manifest = program.path("mine/probe/scaffold.yaml");
    let wrong = fs::read_to_string(&manifest).unwrap() + "port: 80\n";
    fs::write(&manifest, wrong).unwrap();
    let report = check(&program, "probe").json();
    assert!(broken(&report)[0].1.contains("port has no meaning"), "{report}");
}
