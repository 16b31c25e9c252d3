//! What scaffolds have written down, read and joined with what the gateway recorded of the same runs.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trajforge_rollout::scaffold::ReaderName;
use trajforge_rollout::scaffold::reader::{Collected, LiveStep, ReadStep, Recording, join, read};
use trajforge_router::gateway::{Exchange, ExchangeEnd};
use trajforge_schema::Action;

/// Reasons for which a field may be nowhere in a recording; the others say that it stands elsewhere.
const GONE: [&str; 4] = [
    "where the model was, and its key",
    "always the same",
    "said by its place in the recording",
    "a mark for the provider's cache",
];

fn reader(scaffold: &str) -> ReaderName {
    serde_json::from_value(json!(scaffold.replace('-', "_"))).unwrap()
}

/// Every recorded run: the scaffold's name, the run's, its folder.
fn cases() -> Vec<(String, String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/scaffolds");
    let folders = |path: &Path| {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut cases = Vec::new();
    for scaffold in folders(&root) {
        cases.extend(folders(&scaffold).into_iter().map(|case| (name(&scaffold), name(&case), case)));
    }
    assert!(cases.len() >= 15, "recordings are missing: {cases:?}");
    cases
}

/// What a scaffold left, without what the gateway recorded.
fn collected(case: &Path) -> Collected {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(case).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_str().unwrap().to_owned();
        if name != "exchanges.jsonl" {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    Collected(files)
}

/// The steps as they are known from the gateway: each call of each reply, and what the next request shows of it.
fn live_steps(case: &Path) -> Vec<LiveStep> {
    let Ok(text) = std::fs::read_to_string(case.join("exchanges.jsonl")) else { return Vec::new() };
    let exchanges = text.lines().map(|line| serde_json::from_str::<Exchange>(line).unwrap());
    let exchanges: Vec<Exchange> = exchanges.filter(|exchange| exchange.side_call.is_none()).collect();
    let mut steps = Vec::new();
    for (number, exchange) in exchanges.iter().enumerate() {
        if exchange.end != ExchangeEnd::Whole {
            continue;
        }
        let known = exchange.view.messages.as_array().unwrap().len();
        let next = exchanges.get(number + 1).and_then(|next| next.view.messages.as_array());
        let fresh = next.map(|messages| messages.get(known..).unwrap_or_default()).unwrap_or_default();
        // A reply in words is an action of a scaffold without tools, as its manifest says.
        let said = json!({ "text": exchange.view.reply["content"] }).to_string();
        let none = [json!({ "function": { "name": "reply", "arguments": said } })];
        let calls = exchange.view.reply["tool_calls"].as_array().map_or(&none[..], Vec::as_slice);
        for call in calls {
            let id = call["id"].as_str();
            let shown = fresh.iter().filter(|message| {
                let of = message["tool_call_id"].as_str();
                message["role"] != "assistant" && (of == id || of.is_none())
            });
            let arguments = call["function"]["arguments"].as_str().unwrap();
            steps.push(LiveStep {
                step: u32::try_from(steps.len() + 1).unwrap(),
                tool_call_id: id.map(str::to_owned),
                response_id: exchange.view.response_id.clone(),
                action: Action::Tool {
                    name: call["function"]["name"].as_str().unwrap().to_owned(),
                    arguments: serde_json::from_str(arguments).unwrap_or(json!(null)),
                },
                observation: shown.map(|message| plain(&message["content"])).collect::<Vec<_>>().join("\n"),
            });
        }
    }
    steps
}

fn plain(content: &Value) -> String {
    let parts = content.as_array().map(|parts| parts.iter().filter_map(|part| part["text"].as_str()));
    parts.map_or_else(
        || content.as_str().unwrap_or_default().to_owned(),
        |parts| parts.collect::<Vec<_>>().join("\n"),
    )
}

/// The scalars and empty containers below a value.
fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) if !items.is_empty() => items.iter().flat_map(leaves).collect(),
        Value::Object(members) if !members.is_empty() => members.values().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    leaves(value).into_iter().filter_map(Value::as_str)
}

fn shown(recording: &Recording) -> Value {
    let mut value = serde_json::to_value(recording).unwrap();
    // Prompts are long; what is kept raw is the source itself.
    value["prompt"] = recording.prompt.iter().map(|text| text.chars().take(40).collect::<String>()).collect();
    value["raw"] = recording.raw.keys().cloned().collect();
    value
}

#[test]
fn each_record_becomes_the_expected_steps_and_joins_with_the_gateways() {
    for (scaffold, case, folder) in cases() {
        let recording = read(reader(&scaffold), &collected(&folder)).unwrap();
        let joined = join(&live_steps(&folder), &recording);
        insta::assert_json_snapshot!(
            format!("{scaffold}-{case}"),
            json!({ "recording": shown(&recording), "joined": joined })
        );
    }
}

#[test]
fn no_field_of_a_record_is_lost() {
    for (scaffold, case, folder) in cases() {
        let files = collected(&folder);
        let recording = read(reader(&scaffold), &files).unwrap();
        let source: Value = serde_json::from_slice(files.0.values().next().unwrap()).unwrap();
        let fields = leaves(&source).len() as u64;
        let account = &recording.account;
        let dropped: u64 = account.dropped.values().sum();
        let sum = account.carried + account.raw + dropped;
        assert_eq!((account.fields, sum), (fields, fields), "{scaffold} {case}: {account:?}");
        let raw: usize = recording.raw.values().map(|value| leaves(value).len()).sum();
        assert_eq!(raw as u64, account.raw, "{scaffold} {case}");
        let kept = serde_json::to_value(&recording).unwrap();
        let inner: Vec<Value> = texts(&kept).filter_map(|text| serde_json::from_str(text).ok()).collect();
        let kept: Vec<&str> = texts(&kept).chain(inner.iter().flat_map(texts)).collect();
        let missing = missing(&source, &kept);
        let gone: u64 = GONE.iter().filter_map(|why| account.dropped.get(*why)).sum();
        assert!(missing.len() as u64 <= gone, "{scaffold} {case} lost {missing:#?}");
    }
}

/// The texts of a source that are in none of the texts of a recording; one that is JSON is there if its own texts are.
fn missing(source: &Value, kept: &[&str]) -> Vec<String> {
    let mut missing = Vec::new();
    for text in texts(source) {
        if kept.iter().any(|kept| kept.contains(text)) {
            continue;
        }
        match serde_json::from_str::<Value>(text) {
            Ok(inner) if !inner.is_string() => missing.extend(self::missing(&inner, kept)),
            _ => missing.push(text.to_owned()),
        }
    }
    missing
}

#[test]
fn no_key_of_a_model_is_kept() {
    let secret = "sk-very-secret";
    let mini = json!({
        "trajectory_format": "mini-swe-agent-1.1", "messages": [],
        "info": { "config": { "model": { "model_kwargs": { "api_key": secret } } } },
    });
    let config = json!({ "agent": { "model": { "api_key": secret } } }).to_string();
    let swe = json!({ "trajectory": [], "history": [], "info": {}, "replay_config": config });
    for (scaffold, name, document) in
        [("mini-swe-agent", "trajectory.json", mini), ("swe-agent", "x.traj", swe)]
    {
        let files = Collected([(name.to_owned(), document.to_string().into_bytes())].into());
        let recording = serde_json::to_string(&read(reader(scaffold), &files).unwrap()).unwrap();
        assert!(!recording.contains(secret), "{scaffold}: {recording}");
    }
}

#[test]
fn a_broken_record_is_an_error_that_names_its_file_and_quotes_nothing() {
    let names = [
        ("mini-swe-agent", "trajectory.json"),
        ("swe-agent", "task.traj"),
        ("openhands", "events.json"),
        ("aider", "rounds.json"),
    ];
    for (scaffold, name) in names {
        let missing = read(reader(scaffold), &Collected::default()).unwrap_err().to_string();
        assert!(missing.contains("left no"), "{missing}");
        for content in ["", "{\"key\": \"secret", "[]", "{\"format\": 3}", "\"secret\"", "\u{0}\u{1}"] {
            let files = Collected([(name.to_owned(), content.as_bytes().to_vec())].into());
            let error = read(reader(scaffold), &files).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("secret"), "{scaffold} {content:?}: {error}");
        }
    }
}

#[test]
fn a_record_that_is_cut_or_bent_anywhere_is_read_or_refused() {
    for (scaffold, _, folder) in cases().into_iter().filter(|(_, case, _)| case == "solved") {
        let files = collected(&folder);
        let (name, content) = files.0.into_iter().next().unwrap();
        let source: Value = serde_json::from_slice(&content).unwrap();
        let mut pointers = Vec::new();
        places(&source, String::new(), &mut pointers);
        for pointer in pointers {
            for other in [json!(null), json!([]), json!({}), json!(7), json!("x")] {
                let mut bent = source.clone();
                *bent.pointer_mut(&pointer).unwrap() = other;
                let files = Collected([(name.clone(), bent.to_string().into_bytes())].into());
                if let Ok(recording) = read(reader(&scaffold), &files) {
                    let account = &recording.account;
                    let sum = account.carried + account.raw + account.dropped.values().sum::<u64>();
                    assert_eq!(account.fields, sum, "{scaffold} {pointer}");
                }
            }
        }
    }
}

/// Pointers to everything in a value, as deep as its steps go.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    if at.matches('/').count() < 5 {
        match value {
            Value::Array(items) => {
                for number in (0..items.len()).take(4) {
                    places(&items[number], format!("{at}/{number}"), found);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    places(member, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
                }
            }
            _ => {}
        }
    }
    found.push(at);
}

fn live(step: u32, response: &str, call: &str, command: &str, observation: &str) -> LiveStep {
    LiveStep {
        step,
        tool_call_id: Some(call.to_owned()),
        response_id: Some(response.to_owned()),
        action: Action::Bash { command: command.to_owned(), timeout_seconds: None },
        observation: observation.to_owned(),
    }
}

fn recorded(response: &str, call: &str, command: &str, observation: &str) -> ReadStep {
    ReadStep {
        response_id: Some(response.to_owned()),
        tool_call_id: Some(call.to_owned()),
        tool: Some("bash".to_owned()),
        arguments: json!({ "command": command }),
        observation: Some(observation.to_owned()),
        exit_code: Some(3),
        cwd: Some("/sub".to_owned()),
        ..ReadStep::default()
    }
}

#[test]
fn steps_join_by_ids_and_every_difference_is_told() {
    // A model that gives the calls of every reply the same id, as some do.
    let steps = [
        live(1, "r1", "call_0", "ls", "a\n"),
        live(2, "r2", "call_0", "pwd", "/w"),
        live(3, "r3", "call_0", "make", "ok"),
        live(4, "r4", "call_0", "make test", ""),
        live(5, "r6", "call_0", "exit", ""),
    ];
    let steps_read = vec![
        recorded("r2", "call_0", "pwd", "/w"),
        recorded("r1", "call_0", "ls", "a"),
        recorded("r3", "call_0", "make all", "no"),
        recorded("r4", "call_0", "make test", "1 passed"),
        recorded("r5", "call_0", "gone", ""),
    ];
    let joined = join(&steps, &Recording { steps: steps_read, ..Recording::default() });
    assert_eq!(joined.exact, 4);
    let known: Vec<_> =
        joined.steps.iter().map(|step| (step.step, step.exit_code, step.observation.as_deref())).collect();
    assert_eq!(
        known,
        [(1, Some(3), None), (2, Some(3), None), (3, Some(3), None), (4, Some(3), Some("1 passed"))]
    );
    assert!(joined.steps.iter().all(|step| step.cwd.as_deref() == Some("/sub")));
    assert_eq!(
        joined.differences,
        [
            "step 1 comes later in its own record",
            "step 3 has other arguments in its own record",
            "step 3 was shown \"ok\", its own record has \"no\"",
            "its step 5 (bash) was not seen here",
            "step 5 is not in its own record",
        ]
    );
}
