//! What a tunnel takes, beside a connection on the host.

use std::time::Instant;

use anyhow::ensure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use trajforge_sandbox::{Exec, Sandbox, SandboxExt as _};

/// Bytes that are sent through the tunnel for its throughput.
const BULK: usize = 400 << 20;

/// Requests of 100 bytes, each answered with 100, on one connection: from inside through the tunnel, and on the host.
pub(super) async fn round_trips(sandbox: &dyn Sandbox, count: u32) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
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
pub(super) async fn throughput(sandbox: &dyn Sandbox) -> anyhow::Result<f64> {
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
