//! What is left of many rollouts whose worker is killed again and again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use super::super::bed::{Bed, TEMPLATE};
use crate::say;

/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long nothing may happen.
const PATIENCE: u32 = 480;

/// What was there before and after.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    rollouts: u64,
    kills: u32,
    before: BTreeMap<&'static str, u64>,
    after: BTreeMap<&'static str, u64>,
}

/// A run of `trajforge` that is killed with SIGKILL after every so many rollouts, and resumed until it is whole.
pub(super) async fn measure(root: &Path, bed: &Bed, rollouts: u64, every: u64) -> anyhow::Result<Figures> {
    let program = program(root)?;
    let folder = tempfile::tempdir_in(&bed.folder)?;
    let out = folder.path().join("run");
    let begin = |more: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["run", "--out"]).arg(&out).args(more).stdout(Stdio::null()).stderr(Stdio::null());
        command.current_dir(root).spawn().context("start the worker")
    };
    let seeds = format!("0..{rollouts}");
    let templates = root.join("bench/templates").display().to_string();
    let plan = ["--templates", &templates, "--template", TEMPLATE, "--scaffold", "oracle", "--seeds", &seeds];
    let before = look()?;
    let mut worker = begin(&plan)?;
    let mut kills = 0;
    loop {
        let target = (u64::from(kills) + 1) * every;
        if target >= rollouts {
            ensure!(worker.wait()?.success(), "the run did not end well: {}", out.display());
            break;
        }
        wait_for(&program, &out, target, &mut worker).await?;
        worker.kill()?;
        worker.wait()?;
        kills += 1;
        say::people(format!("{target} of {rollouts} rollouts, killed {kills} times"));
        worker = begin(&["--templates", &templates, "--resume"])?;
    }
    let (finished, succeeded) = counts(&program, &out)?;
    ensure!(finished == rollouts && succeeded == rollouts, "{succeeded} of {finished} succeeded");
    Ok(Figures { rollouts, kills, before, after: look()? })
}

/// The program, built as this one is.
fn program(root: &Path) -> anyhow::Result<PathBuf> {
    let (profile, folder) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "trajforge-app", "--profile", profile])
        .current_dir(root)
        .status()?;
    ensure!(built.success(), "trajforge could not be built");
    Ok(root.join("target").join(folder).join("trajforge"))
}

async fn wait_for(program: &Path, out: &Path, target: u64, worker: &mut Child) -> anyhow::Result<()> {
    let (mut last, mut idle) = (0, 0);
    loop {
        let finished = counts(program, out).map_or(last, |(finished, _)| finished);
        if finished >= target {
            return Ok(());
        }
        if let Some(status) = worker.try_wait()? {
            bail!("the worker ended with {status} after {finished} rollouts");
        }
        idle = if finished > last { 0 } else { idle + 1 };
        ensure!(idle < PATIENCE, "nothing happens any more after {finished} rollouts");
        last = finished;
        tokio::time::sleep(LOOK).await;
    }
}

/// How many are finished, and how many of them succeeded.
fn counts(program: &Path, out: &Path) -> anyhow::Result<(u64, u64)> {
    let said = Command::new(program).args(["status", "--json"]).arg(out).output()?;
    let status: Value = serde_json::from_slice(&said.stdout)?;
    let count = |name: &str| status["counts"][name].as_u64().unwrap_or(0);
    let finished = ["success", "partial", "failure", "error"].iter().map(|name| count(name)).sum();
    Ok((finished, count("success")))
}

/// What the engine and the host hold of ours, and what they have to hold it with.
fn look() -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let mut all = BTreeMap::new();
    for (what, arguments) in [
        ("containers", ["ps", "--all", "--quiet"].as_slice()),
        ("volumes", &["volume", "ls", "--quiet"]),
        ("networks", &["network", "ls", "--quiet"]),
    ] {
        let said = Command::new("docker").args(arguments).output().context("ask the engine")?;
        ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        all.insert(what, String::from_utf8_lossy(&said.stdout).lines().count() as u64);
    }
    all.insert("mounts", std::fs::read_to_string("/proc/self/mountinfo")?.lines().count() as u64);
    let mut descriptors = 0;
    let mut memory = 0;
    for process in std::fs::read_dir("/proc")?.flatten() {
        let path = process.path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if ["dockerd", "containerd"].contains(&name.trim()) {
            descriptors += std::fs::read_dir(path.join("fd")).map_or(0, Iterator::count) as u64;
            memory += kilobytes(&std::fs::read_to_string(path.join("status"))?, "VmRSS:") / 1024;
        }
    }
    all.insert("file descriptors of the engine", descriptors);
    all.insert("MB of the engine", memory);
    let host = std::fs::read_to_string("/proc/meminfo")?;
    let used = kilobytes(&host, "MemTotal:") - kilobytes(&host, "MemAvailable:");
    all.insert("MB of the host in use", used / 1024);
    Ok(all)
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

impl Figures {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} rollouts, the worker killed with SIGKILL {} times and the run resumed: every rollout is there once.\n\n\
             | what there is | before | after |\n|---|---|---|\n",
            self.rollouts, self.kills
        );
        for (what, before) in &self.before {
            let _ = writeln!(text, "| {what} | {before} | {} |", self.after.get(what).copied().unwrap_or(0));
        }
        text
    }
}
