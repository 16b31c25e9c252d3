//! What a user can set for all sandboxes: another runtime, a read-only root, a list of what may be reached.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use trajforge_sandbox::{
    Docker, Error, Exec, File, Isolation, Network, Owner, Sandbox, SandboxExt, SandboxSpec, Sandboxes,
};

use super::engine::{cache, spec};

const TIMEOUT: Duration = Duration::from_secs(30);

async fn walled(isolation: Isolation) -> Docker {
    Docker::connect_isolated(None, &cache(), 0, isolation).await.unwrap()
}

async fn sh(sandbox: &dyn Sandbox, command: &str) -> String {
    sandbox.shell("main", command, TIMEOUT).await.unwrap().output.text()
}

#[tokio::test]
async fn a_runtime_is_used_and_one_that_is_missing_is_named() {
    let docker = walled(Isolation { runtime: Some("runc".to_owned()), ..Isolation::default() }).await;
    let sandbox = docker.create(&spec().await).await.unwrap();
    assert_eq!(sh(&*sandbox, "echo here").await, "here\n");
    sandbox.stop().await.unwrap();
    docker.drain().await;
    let missing = Isolation { runtime: Some("no-such-runtime".to_owned()), ..Isolation::default() };
    let error = Docker::connect_isolated(None, &cache(), 0, missing).await.unwrap_err();
    assert!(matches!(&error, Error::RuntimeMissing { known, .. } if known.contains("runc")), "{error}");
}

#[tokio::test]
async fn on_a_read_only_root_the_agent_and_the_checks_work() {
    let docker = walled(Isolation { read_only_root: true, ..Isolation::default() }).await;
    let sandbox = docker.create(&spec().await).await.unwrap();
    let tried = sh(&*sandbox, "for d in / /etc /usr/bin /var/lib; do touch $d/x 2>/dev/null && echo $d; done; echo a > a; echo b > /tmp/b; echo c > ~/c; cat a /tmp/b ~/c; getent ahosts localhost | grep -c STREAM").await;
    assert!(tried.starts_with("a\nb\nc\n") && !tried.contains('/'), "{tried}");
    assert!(!sandbox.write("main", "folder/file", "text\n").await.unwrap().is_error);
    let manifest = sandbox.manifest().await.unwrap();
    assert_eq!(manifest.0.keys().collect::<Vec<_>>(), ["a", "folder", "folder/file"]);
    let root = Exec::bash("touch /usr/x").as_root();
    assert_ne!(sandbox.exec(root).await.unwrap().exit_code, 0);
    let secret = File { path: "check".to_owned(), mode: 0o700, content: b"#!/bin/sh\necho checked".to_vec() };
    sandbox.put("/verify", Owner::Secret, &[secret]).await.unwrap();
    assert!(sandbox.read("main", "/verify/check", None, None).await.unwrap().is_error);
    let check = Exec::bash("./check; as-agent id -u").as_root().in_folder("/verify");
    assert_eq!(sandbox.exec(check).await.unwrap().output.text(), "checked\n1000\n");
    let other = docker.create(&spec().await).await.unwrap();
    sh(&*other, "echo left > left").await;
    sandbox.carry(&["/workspace".to_owned()], &*other).await.unwrap();
    assert_eq!(
        sh(&*other, "ls; cat a").await,
        "a\nfolder\na\n",
        "a workspace is handed over, as for verification"
    );
    other.stop().await.unwrap();
    sandbox.stop().await.unwrap();
    docker.drain().await;
}

/// A server that answers every request with its first line; gives back its port.
async fn server() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut link, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let count = link.read(&mut head).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&head[..count]).into_owned();
                let line = text.lines().next().unwrap_or_default();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}",
                    line.len()
                );
                let _ = link.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

/// Asks for two ports of the host, each in both ways that a proxy is asked.
const CLIENT: &str = "
import http.client, sys
def ask(tunnel, port):
    link = http.client.HTTPConnection('127.0.0.1', 3128, timeout=20)
    try:
        if tunnel:
            link.set_tunnel('127.0.0.1', port)
            link.request('GET', '/inside?q')
        else:
            link.request('GET', f'http://127.0.0.1:{port}/inside?q')
        answer = link.getresponse()
        print(answer.status, answer.read().decode().strip())
    except OSError as error:
        print(error)
for port in map(int, sys.argv[1:]):
    ask(False, port)
    ask(True, port)
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_is_reached_and_nothing_else() {
    let (listed, other) = (server().await, server().await);
    let egress = vec![format!("127.0.0.1:{listed}").parse().unwrap()];
    let docker = walled(Isolation { egress, ..Isolation::default() }).await;
    let spec = spec().await;
    let agent = SandboxSpec { network: Network::Listed, ..spec.clone() };
    let sandbox = docker.create(&agent).await.unwrap();
    let argv = ["python3", "-c", CLIENT, &listed.to_string(), &other.to_string()].map(str::to_owned);
    let said = sandbox.exec(Exec::argv(argv.clone())).await.unwrap().output.text();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["200 GET /inside?q HTTP/1.1"; 2], "{said}");
    assert!(lines[2].starts_with("403") && lines[2].contains("not on the list"), "{said}");
    assert!(lines[3].contains("403"), "{said}");
    assert_eq!(
        sh(&*sandbox, "echo $https_proxy $NO_PROXY").await,
        "http://127.0.0.1:3128 localhost,127.0.0.1,::1\n"
    );
    sandbox.stop().await.unwrap();

    // The same engine, for a sandbox of verification.
    let sandbox = docker.create(&spec).await.unwrap();
    let said = sandbox.exec(Exec::argv(argv)).await.unwrap().output.text();
    assert!(said.lines().all(|line| line.contains("refused")), "{said}");
    assert_eq!(sh(&*sandbox, "echo [$https_proxy]").await, "[]\n");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}
