//! Scaffolds on the host as real processes: the example, and everything that a program can do wrong.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod ground;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ground::{Rolled, call, roll_with, says, task, terms};
use serde_json::{Value, json};
use tempfile::TempDir;
use trajforge_rollout::scaffold::stdio::protocol::schema;
use trajforge_rollout::scaffold::{Access, MANIFEST, Manifest, Stdio};
use trajforge_router::gateway::Served;
use trajforge_router::pressure::Pressures;
use trajforge_router::{Account, Gateway, GatewaySpec, Meter, Scripted, ScriptedReply};
use trajforge_schema::sample::Sample;
use trajforge_schema::{Boundary, Caps, Ending, FailureCode, Limit, Limits, Outcome, Tokens, Unpriced};

fn scaffolds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scaffolds")
}

/// A scaffold of one Python program.
fn program(text: &str) -> (TempDir, PathBuf) {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("probe");
    fs::create_dir(&folder).unwrap();
    let manifest = "name: probe\nversion: '1'\nsummary: s\nlicense: none\nhomepage: none\nruns: host\n\
                    command: [python3, agent.py]\nlimits: {grace_seconds: 1}\n";
    fs::write(folder.join(MANIFEST), manifest).unwrap();
    let head = "import json, os, subprocess, sys, time\n\
                def say(**m): print(json.dumps(m), flush=True)\n\
                def hear(): return json.loads(sys.stdin.readline())\n\
                def bash(c): say(type='action', action={'type': 'bash', 'command': c}); return hear()\n\
                task = hear()\n";
    fs::write(folder.join("agent.py"), format!("{head}{text}")).unwrap();
    (root, folder)
}

/// A rollout of the scaffold in a folder; `ls` prints `a`. Gives how many processes it left behind, too.
async fn roll(folder: &Path, server: &Scripted, limits: Limits) -> (Rolled, usize) {
    let manifest = Arc::new(Manifest::read(&folder.join(MANIFEST)).unwrap());
    let (terms, spec) = (terms(Caps::default()), Sample::default().rollout());
    let gateway = Gateway::start(GatewaySpec {
        address: ([127, 0, 0, 1], 0).into(),
        seed: [7; 32],
        budget: Arc::clone(&terms.budget),
        pressures: Arc::new(Pressures::new(1)),
        cassette: None,
    });
    let account = Account { rollout: Some(spec.id.clone()), ..Account::default() };
    let entry = server.entry("m");
    let access = Access {
        gateway: Arc::new(gateway.await.unwrap()),
        meter: Meter::new(&terms.budget, &account, &entry),
        served: Served { entry, key: None },
        account,
        unpriced: Unpriced::Refuse,
        capture: Arc::new(|_| {}),
        keep: Box::new(|_| {}),
    };
    let task = task(&spec, limits);
    let mut scaffold = Stdio::new(manifest, folder.to_owned(), access, &task);
    let rolled = roll_with(&mut scaffold, &task, &[("ls", "a\n")]).await;
    (rolled, scaffold.left_behind().processes)
}

/// What becomes of a program that never needs its model.
async fn probe(text: &str) -> (Rolled, usize) {
    let server = Scripted::play(Vec::new()).await.unwrap();
    let (_root, folder) = program(text);
    let limits = Limits { rollout_seconds: 20, ..Limits::default() };
    roll(&folder, &server, limits).await
}

/// The message of a failure at the scaffold's boundary.
fn crash(rolled: &Rolled) -> &str {
    let Ending::Failed { failure } = &rolled.summary.ending else { panic!("{:?}", rolled.summary.ending) };
    assert_eq!((failure.boundary, failure.code), (Boundary::Scaffold, FailureCode::ScaffoldCrashed));
    assert_eq!(rolled.summary.outcome, Outcome::Success, "what was done before is judged");
    &failure.message
}

#[tokio::test]
async fn the_example_works_a_task_with_its_model_and_the_record_has_every_reply() {
    let replies = vec![
        call("bash", &json!({ "command": "ls" })),
        says("Hm."),
        call("fly", &json!({ "to": "the moon" })),
        call("submit", &json!({ "message": "Done." })),
    ];
    let server = Scripted::play(replies.clone()).await.unwrap();
    let (rolled, left) = roll(&scaffolds().join("example-python"), &server, Limits::default()).await;
    assert_eq!((rolled.summary.ending.clone(), left), (Ending::Submitted, 0));
    let kinds: Vec<&str> = rolled.steps().iter().map(|step| step.action.kind()).collect();
    assert_eq!(kinds, ["bash", "invalid", "submit"]);
    let of_turns: Vec<Option<u32>> = rolled.steps().iter().map(|step| step.turn).collect();
    assert_eq!(of_turns, [Some(1), Some(3), Some(4)]);
    assert!(rolled.steps().iter().all(|step| step.tool_call_id.as_deref() == Some("c")));
    let turns = rolled.turns();
    assert_eq!(turns.len(), 4);
    for (turn, reply) in turns.iter().zip(&replies) {
        assert_eq!(turn.message["content"], reply["content"]);
    }
    // What was put in is told; results are not told twice.
    assert_eq!(turns.iter().map(|turn| turn.inserted.len()).collect::<Vec<_>>(), [0, 0, 1, 0]);
    assert_eq!(server.requests()[1]["messages"][3]["content"], "a\n");
    assert!(rolled.summary.usage.total() > Tokens(0) && rolled.summary.cost.unwrap().0 > 0);
    let trajforge_schema::Record::Header(header) = &rolled.records[0] else { panic!("no header") };
    assert_eq!((header.prompt.len(), header.tools.len()), (2, 8));
    assert_eq!(header.prompt[1]["content"], "Do it.");
}

#[tokio::test]
async fn a_crash_is_the_scaffolds_and_tells_its_last_words_without_the_key() {
    let text = "say(type='ready', protocol=1)\nbash('ls')\nsys.exit('I had ' + task['model']['key'])\n";
    let (rolled, _) = probe(text).await;
    let message = crash(&rolled);
    assert!(message.contains("exit status: 1") && message.contains("I had [key]"), "{message}");
    assert_eq!(rolled.steps().len(), 1);
    assert_eq!(rolled.steps()[0].observation.text, "a\n");
}

#[tokio::test]
async fn one_that_never_starts_or_speaks_another_version_is_told_of() {
    let (rolled, _) = probe("sys.exit(3)").await;
    assert!(crash(&rolled).contains("ended before it said that it is ready"));
    let (rolled, _) = probe("say(type='ready', protocol=9)").await;
    assert!(crash(&rolled).contains("speaks version 9 of the protocol, and not 1"));
    let (_root, folder) = program("");
    let manifest = fs::read_to_string(folder.join(MANIFEST)).unwrap().replace("python3,", "no-such-program,");
    fs::write(folder.join(MANIFEST), manifest).unwrap();
    let server = Scripted::play(Vec::new()).await.unwrap();
    let (rolled, _) = roll(&folder, &server, Limits::default()).await;
    assert!(crash(&rolled).contains("could not be started (no-such-program)"));
}

#[tokio::test]
async fn garbage_is_quoted_and_what_came_before_it_is_kept() {
    let (rolled, _) =
        probe("say(type='ready', protocol=1)\nbash('ls')\nprint('debug: here', flush=True)\ntime.sleep(60)")
            .await;
    let message = crash(&rolled);
    assert!(message.contains("\"debug: here\"") && message.contains("standard error"), "{message}");
    assert_eq!(rolled.steps().len(), 1);
    let (rolled, _) = probe("say(type='ready', protocol=1)\nsys.stdout.write('x' * (5 << 20)); sys.stdout.flush(); time.sleep(60)").await;
    assert!(crash(&rolled).contains("more than 4 MiB"));
    let (rolled, _) =
        probe("say(type='ready', protocol=1)\nsay(type='action', action={'type': 'bash'}, speed=1)").await;
    assert!(crash(&rolled).contains("speed"));
}

#[tokio::test]
async fn unknown_actions_are_answered_and_the_third_in_a_row_ends_it() {
    let (rolled, _) = probe(
        "say(type='ready', protocol=1)\nwhile True:\n  say(type='action', action={'type': 'fly'}); hear()",
    )
    .await;
    assert_eq!(rolled.summary.ending, Ending::LimitReached { limit: Limit::Malformed });
    assert_eq!(rolled.steps().len(), 3);
    assert!(rolled.steps()[0].observation.text.contains("there is no such tool"));
}

#[tokio::test]
async fn a_hang_ends_with_the_tasks_time_and_what_was_done() {
    let server = Scripted::play(Vec::new()).await.unwrap();
    let text = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(type='ready', protocol=1)\nbash('ls')\ntime.sleep(600)";
    let (_root, folder) = program(text);
    let limits = Limits { rollout_seconds: 2, ..Limits::default() };
    let (rolled, _) = roll(&folder, &server, limits).await;
    assert_eq!(rolled.summary.ending, Ending::LimitReached { limit: Limit::Time });
    assert_eq!((rolled.steps().len(), rolled.summary.outcome), (1, Outcome::Success));
}

#[tokio::test]
async fn one_that_forks_away_leaves_nothing_and_the_next_rollout_is_as_ever() {
    let text = "say(type='ready', protocol=1)\n\
                for _ in range(3): subprocess.Popen(['sleep', '611'], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n\
                if os.fork() == 0:\n  os.setsid(); os.close(1); os.close(2); time.sleep(600)\n\
                say(type='action', action={'type': 'submit'}); sys.exit(0)";
    let (rolled, left) = probe(text).await;
    assert_eq!((rolled.summary.ending.clone(), left), (Ending::Submitted, 4));
    let still_there = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter(|entry| {
                fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x00611\x00")
            })
            .count()
    };
    for _ in 0..100 {
        if still_there() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(still_there(), 0);
    let (rolled, left) =
        probe("say(type='ready', protocol=1)\nbash('ls')\nsay(type='end', reason='nothing more')").await;
    assert_eq!((rolled.summary.ending.clone(), left, rolled.steps().len()), (Ending::Stopped, 0, 1));
}

#[tokio::test]
async fn one_that_asks_for_another_model_or_ends_well_after_a_failure_is_seen_through() {
    let ask = "import urllib.request\n\
               def ask(name):\n  m = task['model']; body = json.dumps({'model': name, 'messages': []}).encode()\n  \
               r = urllib.request.Request(m['base_url'] + '/chat/completions', body, {'authorization': 'Bearer ' + m['key']})\n  \
               return urllib.request.urlopen(r).read()\nsay(type='ready', protocol=1)\n";
    let (rolled, _) = probe(&format!("{ask}ask('gpt-9')")).await;
    assert!(crash(&rolled).contains("HTTP Error 404"), "{:?}", rolled.summary.ending);
    let refuses = ScriptedReply::status(401, "no such key");
    let server = Scripted::start(move |_, _| refuses.clone()).await.unwrap();
    let (_root, folder) = program(&format!("{ask}try: ask('m')\nexcept Exception: pass\nsys.exit(0)"));
    let (rolled, _) = roll(&folder, &server, Limits::default()).await;
    let Ending::Failed { failure } = &rolled.summary.ending else { panic!("{:?}", rolled.summary.ending) };
    assert_eq!((failure.boundary, failure.code), (Boundary::Model, FailureCode::ModelRefused));
}

#[tokio::test]
async fn a_flood_on_the_standard_error_and_secrets_of_the_host_do_no_harm() {
    let text = "say(type='ready', protocol=1)\nsys.stderr.write('x' * (8 << 20))\n\
                seen = [n for n in os.environ if n not in ('PATH', 'LANG', 'LC_CTYPE', 'PYTHONUNBUFFERED')]\n\
                bash('ls')\nsys.exit(' '.join(sorted(seen)))";
    let (rolled, _) = probe(text).await;
    let message = crash(&rolled);
    let own =
        "ANTHROPIC_API_KEY ANTHROPIC_BASE_URL OPENAI_API_KEY OPENAI_BASE_URL TRAJFORGE_SCAFFOLD_PROCESS";
    assert!(message.ends_with(own), "{}", &message[message.len() - 200..]);
    assert!(message.len() < 6_000);
}

#[test]
fn the_published_schema_is_the_protocols() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scaffolds-stdio.schema.json");
    let published: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(
        published,
        schema(),
        "renew it: trajforge scaffold schema stdio > docs/scaffolds-stdio.schema.json"
    );
}
