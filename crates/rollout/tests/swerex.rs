//! PyPI's `swe-rex`, the protocol's own client, at work in a real container through the server here.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use trajforge_rollout::swerex::Server;
use trajforge_sandbox::{
    Docker, Images, Network, Sandbox, SandboxExt as _, SandboxSpec, Sandboxes as _, User,
};
use trajforge_schema::Event;

const KEY: &str = "a-key-of-the-test";

async fn sandbox() -> (Docker, Arc<dyn Sandbox>) {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../images");
    let images = Images::open(None, &recipes, &cache).await.unwrap();
    let tags = images.ensure(&["base"], &mut |event: Event| drop(event)).await.unwrap();
    let docker = Docker::connect(None, &cache).await.unwrap();
    let spec = SandboxSpec {
        image: tags["base"].clone(),
        run: "swerex-tests".parse().unwrap(),
        rollout: format!("test-{}", std::process::id()).parse().unwrap(),
        user: User::Agent,
        workspace: "/workspace".to_owned(),
        limits: trajforge_schema::Limits::default(),
        variables: std::collections::BTreeMap::new(),
        network: Network::None,
        output_bytes: SandboxSpec::OUTPUT_BYTES,
        layers: Vec::new(),
    };
    let sandbox = docker.create(&spec).await.unwrap();
    (docker, Arc::from(sandbox))
}

async fn server(sandbox: &Arc<dyn Sandbox>) -> Server {
    Server::start(Arc::clone(sandbox), KEY, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_works_in_a_sandbox_without_network() {
    let (docker, sandbox) = sandbox().await;
    let server = server(&sandbox).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/check_swerex.sh");
    let port = server.address().port().to_string();
    let checked = Command::new("bash").arg(script).args([&port, KEY]).output().await.unwrap();
    let words =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{words}");
    server.stop().await;
    assert!(TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await.is_err(), "it listens on");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_twice_under_one_id_is_done_once_and_what_leads_out_is_refused() {
    let (docker, sandbox) = sandbox().await;
    let server = server(&sandbox).await;
    let execute = r#"{"command": "echo x >> count; wc -l < count", "shell": true}"#;
    let first = post(&server, "execute", "X-Request-ID: one\r\n", execute.as_bytes()).await;
    assert!(first.contains(r#""stdout":"1\n""#), "{first}");
    assert_eq!(post(&server, "execute", "X-Request-ID: one\r\n", execute.as_bytes()).await, first);
    let other = post(&server, "execute", "X-Request-ID: two\r\n", execute.as_bytes()).await;
    assert!(other.contains(r#""stdout":"2\n""#), "{other}");

    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("../../etc/outside", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(b"x").unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let mut form =
        b"--b\r\nContent-Disposition: form-data; name=\"target_path\"\r\n\r\n/workspace/in\r\n".to_vec();
    form.extend(b"--b\r\nContent-Disposition: form-data; name=\"unzip\"\r\n\r\ntrue\r\n");
    form.extend(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
    form.extend(archive);
    form.extend(b"\r\n--b--\r\n");
    let refused = post(&server, "upload", "Content-Type: multipart/form-data; boundary=b\r\n", &form).await;
    assert!(refused.starts_with("HTTP/1.1 511") && refused.contains("leads out of it"), "{refused}");
    assert!(
        !sandbox
            .shell("look", "ls /etc/outside", std::time::Duration::from_secs(9))
            .await
            .unwrap()
            .succeeded()
    );

    for broken in ["", "{", "[]", r#"{"command": 7}"#] {
        let answer = post(&server, "execute", "", broken.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{broken}: {answer}");
    }
    sandbox.stop().await.unwrap();
    let lost = post(&server, "execute", "", execute.as_bytes()).await;
    assert!(lost.starts_with("HTTP/1.1 511") && lost.contains("swerex.exceptions.SwerexException"), "{lost}");
    server.stop().await;
    docker.drain().await;
}

/// One request, byte by byte, and its answer without the date.
async fn post(server: &Server, route: &str, header: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let kind = if header.contains("Content-Type") { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    let head = format!(
        "POST /{route} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n{kind}{header}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
}
