//! What a sandbox adds: to an action, to a look at what it changed, to a byte through its tunnel, and to a fork.

mod fork;
mod leaks;
mod tunnel;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;
use trajforge_sandbox::{Sandbox, SandboxExt as _, Sandboxes as _};

use super::action::{exec, shell};
use super::bed::{Bed, Place};
use super::figures::{median, milliseconds, quantile};
use super::{Common, Report, rollouts};
use crate::say;

/// Files of the workspace whose deltas are measured, in folders of fifty.
const FILES: usize = 2000;

/// Arguments of `bench sandbox`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Of each small thing
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Rollouts of the last part, in which the worker is killed again and again; 0 leaves it out
    #[arg(long, default_value_t = 500)]
    leak_rollouts: u64,
    /// Rollouts after which the worker is killed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    kill_every: u64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    command: String,
    place: Place,
    count: u32,
    /// `true` in a session, and through the engine's exec.
    shell_p50_ms: f64,
    shell_p99_ms: f64,
    exec_p50_ms: f64,
    exec_by_shell: f64,
    /// What changed in a workspace of 2,000 files after an action.
    delta_p50_ms: f64,
    delta_p99_ms: f64,
    /// A small request and its answer, through the tunnel and without it.
    tunnel_p50_ms: f64,
    direct_p50_ms: f64,
    /// One way through the tunnel.
    tunnel_mb_per_second: f64,
    fork: fork::Figures,
    rollouts: rollouts::Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaks: Option<leaks::Figures>,
}

/// Measures everything, one after the other, in two containers with the same options.
pub(super) async fn measure(root: &Path, bed: &Bed, arguments: &Arguments) -> anyhow::Result<Figures> {
    let count = arguments.count;
    let sandbox = bed.docker.create(&bed.spec).await?;
    let bare = bed.docker.bare(&bed.spec).await?;
    say::people("actions");
    let shell = shells(&*sandbox, count).await?;
    let mut execs = Vec::new();
    for _ in 0..count.div_ceil(4) {
        execs.push(exec(&bare).await?);
    }
    bare.remove().await?;
    say::people("deltas");
    let delta = deltas(&*sandbox, count).await?;
    say::people("the tunnel");
    let (tunnel, direct) = tunnel::round_trips(&*sandbox, count).await?;
    let tunnel_mb_per_second = tunnel::throughput(&*sandbox).await?;
    sandbox.stop().await?;
    say::people("forks");
    let fork = fork::measure(bed).await?;
    bed.docker.drain().await;
    say::people("rollouts");
    let rollouts = rollouts::measure(bed, &rollouts::Arguments::of(arguments.common.clone())).await?;
    let leaks = match arguments.leak_rollouts {
        0 => None,
        rollouts => Some(leaks::measure(root, bed, rollouts, arguments.kill_every).await?),
    };
    Ok(Figures {
        command: format!(
            "cargo xtask bench sandbox --count {count} --leak-rollouts {} --kill-every {}",
            arguments.leak_rollouts, arguments.kill_every
        ) + if arguments.common.debug_build { " --debug-build" } else { "" },
        place: bed.place.clone(),
        count,
        shell_p50_ms: median(&shell),
        shell_p99_ms: quantile(&shell, 0.99),
        exec_p50_ms: median(&execs),
        exec_by_shell: median(&execs) / median(&shell),
        delta_p50_ms: median(&delta),
        delta_p99_ms: quantile(&delta, 0.99),
        tunnel_p50_ms: median(&tunnel),
        direct_p50_ms: median(&direct),
        tunnel_mb_per_second,
        fork,
        rollouts,
        leaks,
    })
}

async fn shells(sandbox: &dyn Sandbox, count: u32) -> anyhow::Result<Vec<f64>> {
    shell(sandbox, "true").await?;
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        shell(sandbox, "true").await?;
        times.push(milliseconds(began));
    }
    Ok(times)
}

async fn deltas(sandbox: &dyn Sandbox, count: u32) -> anyhow::Result<Vec<f64>> {
    let folders = FILES / 50;
    shell(sandbox, &format!("for d in {{1..{folders}}}; do mkdir -p many/$d; for f in {{1..50}}; do echo $d $f > many/$d/$f.txt; done; done"))
        .await?;
    sandbox.manifest().await?;
    let mut times = Vec::new();
    for number in 0..count {
        shell(sandbox, &format!("echo {number} > many/{}/7.txt", number as usize % folders + 1)).await?;
        let began = Instant::now();
        let delta = sandbox.delta().await?;
        times.push(milliseconds(began));
        ensure!(delta.changed.len() == 1, "{} files changed", delta.changed.len());
    }
    Ok(times)
}

impl Report for Figures {
    fn text(&self) -> String {
        let mut text = format!(
            "**{:.2} ms an action ({:.0} fit into a `docker exec`), {:.1} ms a delta of {FILES} files, {:.0} MB/s through the \
             tunnel**\n\n",
            self.shell_p50_ms, self.exec_by_shell, self.delta_p50_ms, self.tunnel_mb_per_second
        );
        let _ = writeln!(text, "`{}`\n\n{}.\n", self.command, self.place);
        text.push_str("| what | p50 | p99 |\n|---|---|---|\n");
        let rows = [
            ("`true` in a persistent session", self.shell_p50_ms, self.shell_p99_ms),
            ("what one command changed among 2,000 files", self.delta_p50_ms, self.delta_p99_ms),
        ];
        for (what, p50, p99) in rows {
            let _ = writeln!(text, "| {what} | {p50:.2} ms | {p99:.2} ms |");
        }
        let _ = writeln!(text, "| `docker exec true` through the API | {:.2} ms | |", self.exec_p50_ms);
        let _ = writeln!(text, "| a small request through the tunnel | {:.2} ms | |", self.tunnel_p50_ms);
        let _ = writeln!(text, "| the same without it | {:.2} ms | |", self.direct_p50_ms);
        let _ = writeln!(text, "\n{}", self.fork.text());
        let _ = writeln!(text, "{}.\n\n{}", self.rollouts.headline(), self.rollouts.table());
        if let Some(leaks) = &self.leaks {
            text.push_str(&leaks.text());
        }
        text
    }
}
