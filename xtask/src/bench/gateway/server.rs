//! The two servers, each a process of its own, and what they use of the machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::load::Target;
use crate::say;

/// How long a server may take to begin.
const START: Duration = Duration::from_mins(2);
/// Ticks of a CPU second in `/proc`, on every Linux that is in use.
const TICKS: f64 = 100.0;

/// A server under test; it ends with this.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) target: Target,
    child: Child,
}

/// The folder for what benchmarks make.
fn folder(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/bench/gateway");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// `trajforge gateway`, which records everything into a file and holds a budget.
pub(super) async fn gateway(root: &Path, endpoint: &str, debug: bool) -> anyhow::Result<Server> {
    let profile: &[&str] = if debug { &[] } else { &["--release"] };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "trajforge-app"])
        .args(profile)
        .current_dir(root)
        .status()
        .await?;
    ensure!(built.success(), "trajforge could not be built");
    let folder = folder(root)?;
    let models = tempfile::Builder::new().prefix("models").tempdir_in(&folder)?.keep();
    let entry = format!(
        "name: m\nbase_url: {endpoint}\ndialect: openai_chat\nmodel: m\nprice: {{input: 1, output: 2}}\n\
         limits: {{concurrency: 100000}}\n"
    );
    std::fs::write(models.join("m.yaml"), entry)?;
    let capture = folder.join("capture.jsonl");
    std::fs::write(&capture, "")?;
    let program = root.join("target").join(if debug { "debug" } else { "release" }).join("trajforge");
    let mut child = Command::new(program)
        .args(["gateway", "--json", "--max-cost", "1000000", "--models"])
        .arg(models)
        .arg("--capture")
        .arg(capture)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start trajforge gateway")?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is read")?).lines();
    let mut text = String::new();
    while let Some(line) = lines.next_line().await? {
        text.push_str(&line);
        if line == "}" {
            break;
        }
    }
    let said: Value = serde_json::from_str(&text).context("trajforge gateway says where it is")?;
    let field = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    Ok(Server { name: "the gateway", target: Target::new(&field("base_url"), &field("key"))?, child })
}

/// LiteLLM's proxy, as its documentation says it should run: one worker, no logging.
pub(super) async fn litellm(root: &Path, endpoint: &str) -> anyhow::Result<Server> {
    say::people("installing LiteLLM's proxy, if it is not there");
    let folder = folder(root)?;
    let python = python(root)?;
    let config = folder.join("litellm.yaml");
    let model = format!("{{model: openai/m, api_base: \"{endpoint}\", api_key: none}}");
    std::fs::write(&config, format!("model_list:\n  - model_name: m\n    litellm_params: {model}\n"))?;
    let port = TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port();
    let log = std::fs::File::create(folder.join("litellm.log"))?;
    let child = Command::new(python.with_file_name("litellm"))
        .args(["--host", "127.0.0.1", "--num_workers", "1", "--port", &port.to_string(), "--config"])
        .arg(config)
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_LOG", "ERROR")
        .env("LITELLM_TELEMETRY", "False")
        // Without a key of its own it has less to do, which is in its favour.
        .env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true")
        .env("NO_PROXY", "127.0.0.1")
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("start litellm")?;
    let target = Target::new(&format!("http://127.0.0.1:{port}/v1"), "none")?;
    let mut server = Server { name: "LiteLLM", target, child };
    let listens = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if server.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        true
    };
    let began = tokio::time::timeout(START, listens).await.unwrap_or(false);
    ensure!(began, "litellm did not begin to listen; see {}", folder.join("litellm.log").display());
    Ok(server)
}

/// The Python of the virtual environment that LiteLLM is in; made where it is not there.
fn python(root: &Path) -> anyhow::Result<PathBuf> {
    let made = std::process::Command::new("bash")
        .arg(root.join("tests/python/venv.sh"))
        .args(["litellm", "../../bench/requirements-litellm.txt"])
        .env("TRAJFORGE_TEST_VENVS", root.join("target/bench"))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(made.status.success(), "LiteLLM could not be installed");
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}

/// The version that is installed.
pub(super) fn litellm_version(root: &Path) -> anyhow::Result<String> {
    let code = "import importlib.metadata; print(importlib.metadata.version('litellm'))";
    let said = std::process::Command::new(python(root)?).args(["-c", code]).output()?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

impl Server {
    /// CPU seconds that it and its children have used.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let own = self.child.id().context("the server has ended")?;
        let mut family = vec![own];
        let all = processes()?;
        // A child has a parent that is in the family; the list grows while it is walked.
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.id));
            next += 1;
        }
        let ticks = all.iter().filter(|process| family.contains(&process.id)).map(|process| process.ticks);
        Ok(ticks.sum::<f64>() / TICKS)
    }

    /// Its memory in KiB.
    pub(super) fn kib(&self) -> anyhow::Result<f64> {
        let id = self.child.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it has memory")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }
}

struct Process {
    id: u32,
    parent: u32,
    ticks: f64,
}

/// All processes there are.
fn processes() -> anyhow::Result<Vec<Process>> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in brackets may hold anything; what follows it is plain.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        Some(Process { id, parent: fields.get(1)?.parse().ok()?, ticks })
    };
    Ok(std::fs::read_dir("/proc")?.filter_map(read).collect())
}
