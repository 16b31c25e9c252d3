//! What a sandbox adds: to an action, to a look at what it changed, to a byte through its tunnel, and to a fork.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use trajforge_sandbox::{Exec, Sandbox, SandboxExt as _, Sandboxes as _};

use super::action::{exec, shell};
use super::bed::{Bed, Place};
use super::figures::{median, milliseconds, quantile};
use super::{Common, Report};
use crate::say;

/// Files of the workspace whose deltas are measured, in folders of fifty.
const FILES: usize = 2000;
/// Bytes that are sent through the tunnel for its throughput.
const BULK: usize = 400 << 20;

/// Arguments of `bench sandbox`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Of each small thing
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
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
}

/// Measures everything, one after the other, in two containers with the same options.
pub(super) async fn measure(bed: &Bed, arguments: &Arguments) -> anyhow::Result<Figures> {
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
    let (tunnel, direct) = round_trips(&*sandbox, count).await?;
    let tunnel_mb_per_second = throughput(&*sandbox).await?;
    sandbox.stop().await?;
    bed.docker.drain().await;
    Ok(Figures {
        command: format!("cargo xtask bench sandbox --count {count}")
            + if arguments.common.debug_build { " --debug-build" } else { "" },
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

/// Requests of 100 bytes, each answered with 100, on one connection: from inside through the tunnel, and on the host.
async fn round_trips(sandbox: &dyn Sandbox, count: u32) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        while let Ok((mut link, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = link.set_nodelay(true);
                let mut request = [0; 100];
                while link.read_exact(&mut request).await.is_ok() && link.write_all(&request).await.is_ok() {}
            });
        }
    });
    let script = |port: u16| {
        format!(
            "import socket, time\nlink = socket.create_connection(('127.0.0.1', {port}))\n\
             link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n\
             for _ in range({count} + 20):\n    began = time.perf_counter()\n    link.sendall(b'x' * 100)\n    \
             link.recv(100, socket.MSG_WAITALL)\n    print((time.perf_counter() - began) * 1000)\n"
        )
    };
    let port = sandbox.tunnel(0, address).await?;
    let inside = sandbox.exec(Exec::argv(["python3", "-c", &script(port)])).await?.output.text();
    let here = tokio::process::Command::new("python3").args(["-c", &script(address.port())]).output().await?;
    server.abort();
    Ok((numbers(&inside)?, numbers(&String::from_utf8(here.stdout)?)?))
}

fn numbers(lines: &str) -> anyhow::Result<Vec<f64>> {
    let all: Vec<f64> = lines.lines().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(all.len() > 20, "there is nothing to measure");
    Ok(all[20..].to_vec())
}

/// Megabytes a second from a program inside to a service of the host.
async fn throughput(sandbox: &dyn Sandbox) -> anyhow::Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = sandbox.tunnel(0, listener.local_addr()?).await?;
    let server = tokio::spawn(async move {
        let (mut link, _) = listener.accept().await?;
        swallow(&mut link).await
    });
    let script = format!(
        "import socket\nlink = socket.create_connection(('127.0.0.1', {port}))\npiece = b'x' * (1 << 20)\n\
         for _ in range({}): link.sendall(piece)\nlink.close()\n",
        BULK >> 20
    );
    let ran = sandbox.exec(Exec::argv(["python3", "-c", &script])).await?;
    ensure!(ran.succeeded(), "{}", ran.output.text());
    let (bytes, seconds) = server.await??;
    ensure!(bytes == BULK, "{bytes} bytes of {BULK} arrived");
    Ok(bytes as f64 / 1e6 / seconds)
}

async fn swallow(link: &mut TcpStream) -> anyhow::Result<(usize, f64)> {
    let mut piece = vec![0; 1 << 20];
    let mut bytes = link.read(&mut piece).await?;
    let began = Instant::now();
    loop {
        match link.read(&mut piece).await? {
            0 => return Ok((bytes, began.elapsed().as_secs_f64())),
            count => bytes += count,
        }
    }
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
        text
    }
}
