//! A world without an engine: sandboxes of files alone, in which the greeting's check looks at what was written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trajforge_pipeline::run::PlanOrder;
use trajforge_pipeline::{
    Catalog, Error, Home, ImageSource, RunOrder, RunReport, Selection, World, parse_seeds, run,
};
use trajforge_router::{Scripted, ScriptedReply};
use trajforge_sandbox::protocol::{Pack, Packed, Ran, Request, Response, Unpack, Unpacked};
use trajforge_sandbox::{Archive, Command, Result, Sandbox, SandboxSpec, Sandboxes, Scripted as Files};
use trajforge_schema::{Caps, Clock, Event, ModelEntry, Price, Route, Timestamp, Unpriced};

/// The category of the template below.
const TEMPLATE: &str = "testing";

/// A clock that begins at some noon.
struct SinceNoon(Instant);

impl Clock for SinceNoon {
    fn now(&self) -> Timestamp {
        Timestamp(1_767_312_000_000 + u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// Sandboxes of files alone.
struct Desk(Files);

struct Sheet(Box<dyn Sandbox>);

#[async_trait]
impl Sandboxes for Desk {
    async fn create(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>> {
        Ok(Box::new(Sheet(self.0.create(spec).await?)))
    }

    async fn drain(&self) {}
}

#[async_trait]
impl Sandbox for Sheet {
    fn spec(&self) -> &SandboxSpec {
        self.0.spec()
    }

    /// Checks are looked up in the files: the greeting must be there as the check quotes it.
    async fn call(&self, request: Request, payload: Vec<u8>) -> Result<(Response, Vec<u8>)> {
        let passed = match &request {
            Request::Exec(exec) => match &exec.command {
                Command::Bash(script) if script.starts_with("grep -qx ") => {
                    Some(self.is_greeted(script).await?)
                }
                _ => Some(true),
            },
            _ => None,
        };
        match passed {
            Some(passed) => {
                let ran = Ran { exit_code: i32::from(!passed), ..Ran::default() };
                Ok((Response::Ran(ran), Vec::new()))
            }
            None => self.0.call(request, payload).await,
        }
    }

    async fn pack(&self, pack: Pack) -> Result<(Packed, Archive)> {
        self.0.pack(pack).await
    }

    async fn unpack(&self, unpack: Unpack, archive: Archive) -> Result<Unpacked> {
        self.0.unpack(unpack, archive).await
    }

    async fn stop(&self) -> Result<()> {
        self.0.stop().await
    }
}

impl Sheet {
    async fn is_greeted(&self, script: &str) -> Result<bool> {
        let pack = Pack::of(vec!["/workspace".to_owned()], 1 << 20);
        let (_, archive) = self.0.pack(pack).await?;
        let files = archive.into_files(1 << 20).await?;
        let greeting = files.iter().find(|file| file.path.ends_with("greeting.txt"));
        let said = greeting.map(|file| String::from_utf8_lossy(&file.content).trim().to_owned());
        Ok(said.is_some_and(|said| !said.is_empty() && script.contains(&said)))
    }
}

/// A world with some models in it.
pub(crate) struct Bench {
    folder: TempDir,
    catalog: Catalog,
    pub(crate) servers: BTreeMap<String, Arc<Scripted>>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
}

/// What to run.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) seeds: &'static str,
    pub(crate) models: Vec<String>,
    pub(crate) route: Option<Route>,
    pub(crate) caps: Caps,
    pub(crate) workers: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self { seeds: "0..4", models: Vec::new(), route: None, caps: Caps::default(), workers: 3 }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            catalog: Catalog::default(),
            servers: BTreeMap::new(),
            events: Arc::default(),
        }
    }

    /// A model that costs so many dollars per million tokens of input and output and answers as the script says.
    pub(crate) async fn model(
        mut self,
        name: &str,
        dollars: f64,
        script: impl Fn(&Value, usize) -> ScriptedReply + Send + Sync + 'static,
    ) -> Self {
        let server = Arc::new(Scripted::start(script).await.unwrap());
        let price: Price = serde_json::from_value(json!({ "input": dollars, "output": dollars })).unwrap();
        self.catalog.add(ModelEntry { price: Some(price), output_tokens: 500, ..server.entry(name) });
        self.servers.insert(name.to_owned(), server);
        self
    }

    /// The same model with so small a context.
    pub(crate) fn with_context(mut self, name: &str, context_tokens: u64) -> Self {
        let entry = self.catalog.entry(name).unwrap().clone();
        self.catalog.add(ModelEntry { context_tokens, ..entry });
        self
    }

    /// A simulated model that costs a dollar per million tokens and goes right with this probability.
    pub(crate) fn simulated(mut self, name: &str, competence: f64) -> Self {
        let price: Price = serde_json::from_value(json!({ "input": 1, "output": 1 })).unwrap();
        let skill = serde_json::from_value(json!({ "competence": { "easy": competence } })).unwrap();
        let entry = ModelEntry::at(name, "http://127.0.0.1:0/v1");
        self.catalog.add(ModelEntry { price: Some(price), simulated: Some(skill), ..entry });
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn world(&self) -> World {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
        let heard = Arc::clone(&self.events);
        World {
            home: Home {
                templates: vec![home.join("templates")],
                images: home.join("images"),
                models: home.join("models"),
                scaffolds: vec![home.join("scaffolds")],
                cache: self.folder.path().join("cache"),
                engine: None,
                isolation: trajforge_pipeline::Isolation::default(),
            },
            sandboxes: Arc::new(Desk(Files::default())),
            images: ImageSource::Given(BTreeMap::from([("base".to_owned(), "none".to_owned())])),
            catalog: self.catalog.clone(),
            cassette: None,
            key: |_| None,
            clock: Arc::new(SinceNoon(Instant::now())),
            events: Arc::new(move |event| heard.lock().unwrap().push(event)),
            secret: [0; 32],
        }
    }

    /// Plans a run and works on it.
    pub(crate) async fn run(&self, order: &Order) -> Result<RunReport, Error> {
        let plan = PlanOrder {
            templates: Selection(vec![TEMPLATE.to_owned()]),
            seeds: parse_seeds(order.seeds).unwrap(),
            models: order.models.clone(),
            route: order.route.clone(),
            scaffolds: vec!["tools".to_owned()],
            attempts: 1,
        };
        self.work(order, Some(plan)).await
    }

    /// Goes on with the run that is there.
    pub(crate) async fn resume(&self, order: &Order) -> Result<RunReport, Error> {
        self.work(order, None).await
    }

    async fn work(&self, order: &Order, plan: Option<PlanOrder>) -> Result<RunReport, Error> {
        let order = RunOrder {
            folder: self.path(),
            name: "run".parse().unwrap(),
            plan,
            workers: order.workers,
            max_tries: 2,
            caps: order.caps,
            unpriced: Unpriced::Refuse,
            ledger: None,
        };
        run(&self.world(), &order, &CancellationToken::new()).await
    }
}

/// An assistant's message with one tool call.
pub(crate) fn call(tool: &str, arguments: &Value) -> ScriptedReply {
    let function = json!({ "name": tool, "arguments": arguments.to_string() });
    let calls = json!([{ "id": "call", "type": "function", "function": function }]);
    ScriptedReply::Message(json!({ "role": "assistant", "content": "", "tool_calls": calls }))
}

/// What a model does at each turn of a task: it looks, writes the greeting that the instruction asks for, or another
/// one, and submits.
pub(crate) fn greets(request: &Value, rightly: bool) -> ScriptedReply {
    let messages = request["messages"].as_array().unwrap();
    let turn = messages.iter().filter(|message| message["role"] == "assistant").count();
    let instruction = messages[1]["content"].as_str().unwrap();
    let greeting = if rightly { instruction.split('`').nth(1).unwrap() } else { "Good morning" };
    match turn {
        0 => call("list", &json!({})),
        1 => call("write", &json!({ "path": "greeting.txt", "content": format!("{greeting}\n") })),
        _ => call("submit", &json!({})),
    }
}
