//! `trajforge gateway` as its users start it: what it prints, serves, records, replays and refuses.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use program::Program;
use serde_json::{Value, json};
use trajforge_router::{ChatRequest, Endpoint, Lost, Reply, Scripted, ScriptedReply, Secret};
use trajforge_schema::{Dialect, ModelEntry};

/// A gateway that serves, and what it said of itself.
struct Serving {
    child: Child,
    said: Value,
}

/// A folder with one entry that points to a scripted model.
fn program(upstream: &Scripted) -> Program {
    let program = Program::new();
    fs::create_dir(program.path("models")).unwrap();
    let entry = format!(
        "name: tiny\nbase_url: {}\ndialect: openai_chat\nmodel: m\nprice: {{input: 1, output: 2}}\n",
        upstream.base_url()
    );
    fs::write(program.path("models/tiny.yaml"), entry).unwrap();
    let closed = "name: closed\nbase_url: http://127.0.0.1:9/v1\ndialect: openai_chat\nmodel: m\n\
                  price: {input: 1, output: 2}\nkey_variable: TRAJFORGE_TEST_NO_SUCH_KEY\n";
    fs::write(program.path("models/closed.yaml"), closed).unwrap();
    program
}

fn serve(program: &Program, more: &[&str]) -> Serving {
    let arguments = [&["gateway", "--json", "--models", "models"], more].concat();
    let mut command = program.command(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut text = String::new();
    while let Some(Ok(line)) = lines.next() {
        text.push_str(&line);
        if line == "}" {
            break;
        }
    }
    Serving { said: serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), child }
}

impl Serving {
    async fn ask(&self, dialect: Dialect, text: &str) -> Result<Reply, Lost> {
        let url = self.said["base_url"].as_str().unwrap();
        let key = Secret::new(self.said["key"].as_str().unwrap());
        let entry = ModelEntry { dialect, model: "tiny".to_owned(), ..ModelEntry::at("tiny", url) };
        let messages = vec![json!({ "role": "user", "content": text })];
        Endpoint::new(entry, Some(key)).unwrap().ask(&ChatRequest { messages, tools: Vec::new() }).await
    }

    /// Ends it as Ctrl-C does; gives what it said to people.
    fn end(mut self) -> String {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let status = self.child.wait().unwrap();
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        assert!(status.success(), "{words}");
        words
    }
}

async fn upstream() -> Scripted {
    Scripted::start(|_, count| {
        ScriptedReply::Message(json!({ "role": "assistant", "content": format!("reply {count}") }))
    })
    .await
    .unwrap()
}

fn content(reply: Result<Reply, Lost>) -> String {
    reply.unwrap().message["content"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_recorded_and_can_be_replayed_without_the_endpoint() {
    let upstream = upstream().await;
    let program = program(&upstream);
    let serving = serve(&program, &["--capture", "all.jsonl", "--cassette", "tape.jsonl", "--record"]);
    assert_eq!(serving.said["models"], json!(["tiny"]));
    assert_eq!(content(serving.ask(Dialect::OpenaiChat, "one").await), "reply 0");
    assert_eq!(content(serving.ask(Dialect::AnthropicMessages, "two").await), "reply 1");
    let key = serving.said["key"].as_str().unwrap().to_owned();
    assert!(serving.end().contains("2 requests, 2 replies, $0.00"));
    let capture = fs::read_to_string(program.path("all.jsonl")).unwrap();
    let exchanges: Vec<Value> = capture.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[1]["client_dialect"], "anthropic_messages");
    assert_eq!(exchanges[1]["view"]["reply"]["content"], "reply 1");
    assert!(!capture.contains(&key));
    drop(upstream);

    let serving = serve(&program, &["--cassette", "tape.jsonl", "--replay"]);
    assert_eq!(serving.said["models"], json!(["closed", "tiny"]), "nobody needs a key to replay");
    assert_eq!(content(serving.ask(Dialect::AnthropicMessages, "two").await), "reply 1");
    let missing = serving.ask(Dialect::OpenaiChat, "three").await.unwrap_err();
    assert!(missing.message.contains("differs first at messages[0].content"), "{}", missing.message);
    serving.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_hold() {
    let upstream = upstream().await;
    let program = program(&upstream);
    let poor = serve(&program, &["--max-cost", "0.000001"]);
    let refused = poor.ask(Dialect::OpenaiChat, "one").await.unwrap_err();
    assert!(refused.message.contains("for each run is reached"), "{}", refused.message);
    poor.end();
    assert!(upstream.requests().is_empty());
    let short = serve(&program, &["--max-steps", "1"]);
    short.ask(Dialect::OpenaiChat, "one").await.unwrap();
    let refused = short.ask(Dialect::OpenaiChat, "one").await.unwrap_err();
    assert!(refused.message.contains("the cap of 1 steps"), "{}", refused.message);
    short.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_served_is_said_with_a_hint() {
    let upstream = upstream().await;
    let program = program(&upstream);
    let say = |more: &[&str]| program.say(&[&["gateway", "--models", "models"], more].concat());
    let port = upstream.base_url().trim_end_matches("/v1").rsplit(':').next().unwrap().to_owned();
    say(&["--port", &port]).failed(4, "TF206");
    say(&["--model", "closed"]).failed(5, "TF302");
    say(&["--model", "nobody"]).failed(3, "TF102");
    say(&["--cassette", "absent.jsonl", "--replay"]).failed(3, "TF106");
    say(&["--capture", "no/such/folder.jsonl"]).failed(4, "TF204");
    let bare = say(&["--cassette", "tape.jsonl"]);
    assert!(bare.code == 2 && bare.err.contains("--record"), "{}", bare.err);
}
