//! One shell action that does nothing, beside one `docker exec true` through the API.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use trajforge_sandbox::{Bare, Sandbox, SandboxExt as _, Sandboxes as _};

use super::bed::{Bed, Place};
use super::figures::{median, milliseconds, quantile};
use super::{Common, Report};

/// Of each kind in a round.
const BATCH: u32 = 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `bench action`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Rounds of twenty of each kind, in turn
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// What was measured; milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    command: String,
    place: Place,
    count: usize,
    /// One command in a persistent session.
    shell_p50_ms: f64,
    shell_p99_ms: f64,
    /// The same, and what it changed in the workspace: what a step of a rollout asks for.
    step_p50_ms: f64,
    step_p99_ms: f64,
    /// One `docker exec true`.
    exec_p50_ms: f64,
    exec_p99_ms: f64,
    /// An exec by a shell action: how many actions fit into one.
    ratio: f64,
}

#[derive(Default)]
struct Times {
    shell: Vec<f64>,
    step: Vec<f64>,
    exec: Vec<f64>,
}

/// Measures both in turn, in two containers with the same options.
pub(super) async fn measure(bed: &Bed, arguments: &Arguments) -> anyhow::Result<Figures> {
    let sandbox = bed.docker.create(&bed.spec).await?;
    let bare = bed.docker.bare(&bed.spec).await?;
    let times = times(&*sandbox, &bare, arguments.rounds).await;
    bare.remove().await?;
    sandbox.stop().await?;
    bed.docker.drain().await;
    let Times { shell, step, exec } = times?;
    Ok(Figures {
        command: format!("cargo xtask bench action --rounds {}", arguments.rounds)
            + if arguments.common.debug_build { " --debug-build" } else { "" },
        place: bed.place.clone(),
        count: shell.len(),
        shell_p50_ms: median(&shell),
        shell_p99_ms: quantile(&shell, 0.99),
        step_p50_ms: median(&step),
        step_p99_ms: quantile(&step, 0.99),
        exec_p50_ms: median(&exec),
        exec_p99_ms: quantile(&exec, 0.99),
        ratio: median(&exec) / median(&shell),
    })
}

async fn times(sandbox: &dyn Sandbox, bare: &Bare<'_>, rounds: u32) -> anyhow::Result<Times> {
    // The first of each pays for what the others share: the session, the engine's caches, the first manifest.
    shell(sandbox, "true").await?;
    sandbox.manifest().await?;
    bare.exec(&["true"]).await?;
    let mut times = Times::default();
    for _ in 0..rounds {
        for _ in 0..BATCH {
            let began = Instant::now();
            shell(sandbox, "true").await?;
            times.shell.push(milliseconds(began));
        }
        for _ in 0..BATCH {
            let began = Instant::now();
            shell(sandbox, "true").await?;
            sandbox.delta().await?;
            times.step.push(milliseconds(began));
        }
        for _ in 0..BATCH {
            times.exec.push(exec(bare).await?);
        }
    }
    Ok(times)
}

/// A command in the persistent session, which has to succeed.
pub(super) async fn shell(sandbox: &dyn Sandbox, command: &str) -> anyhow::Result<()> {
    let ran = sandbox.shell("main", command, TIMEOUT).await?;
    ensure!(ran.succeeded(), "`{command}` ended with {}", ran.exit_code);
    Ok(())
}

/// Milliseconds of one `docker exec true`.
pub(super) async fn exec(bare: &Bare<'_>) -> anyhow::Result<f64> {
    let began = Instant::now();
    let code = bare.exec(&["true"]).await?;
    let time = milliseconds(began);
    ensure!(code == 0, "`true` ended with {code}");
    Ok(time)
}

impl Report for Figures {
    fn text(&self) -> String {
        let mut text = format!(
            "**{:.2} ms for a shell action, {:.1} ms for a `docker exec`: {:.0} actions fit into one**\n\n",
            self.shell_p50_ms, self.exec_p50_ms, self.ratio
        );
        let _ = writeln!(text, "`{}`\n\n{}.\n", self.command, self.place);
        let _ = writeln!(text, "{} of each, twenty at a time in turn, one after the other.\n", self.count);
        text.push_str("| what | p50 | p99 |\n|---|---|---|\n");
        let rows = [
            ("`true` in a persistent session", self.shell_p50_ms, self.shell_p99_ms),
            ("the same, and what it changed in the workspace", self.step_p50_ms, self.step_p99_ms),
            (
                "`docker exec true` through the API: create, start, wait, inspect",
                self.exec_p50_ms,
                self.exec_p99_ms,
            ),
        ];
        for (what, p50, p99) in rows {
            let _ = writeln!(text, "| {what} | {p50:.2} ms | {p99:.2} ms |");
        }
        text
    }
}
