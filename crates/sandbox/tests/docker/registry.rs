//! A registry for one image on the loopback, which Docker trusts without TLS: what a pull needs of the protocol.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use bollard::Docker as Client;
use futures_util::TryStreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Serves until it is dropped.
pub(crate) struct Registry {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Registry {
    /// Serves what the engine exports of an image, under any name with the image's tag.
    pub(crate) async fn serve(client: &Client, image: &str) -> Self {
        let exported: Vec<u8> = client
            .export_image(image)
            .try_fold(Vec::new(), |mut whole, piece| async move {
                whole.extend_from_slice(&piece);
                Ok(whole)
            })
            .await
            .unwrap();
        let tag = image.rsplit_once(':').unwrap().1;
        let answers = Arc::new(answers(&exported, tag).await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&answers)));
            }
        });
        Self { address, serving }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Path ends, each with its content type and body.
type Answers = HashMap<String, (&'static str, Vec<u8>)>;

async fn answers(exported: &[u8], tag: &str) -> Answers {
    let mut files = HashMap::new();
    for entry in tar::Archive::new(exported).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(path, content);
    }
    let index: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let mut answers = Answers::new();
    let mut blob = async |path: &str, kind: &'static str| {
        let content = files[path].clone();
        let digest = format!("sha256:{}", sha256(&content).await);
        let described = serde_json::json!({"mediaType": kind, "size": content.len(), "digest": digest});
        answers.insert(format!("/blobs/{digest}"), ("application/octet-stream", content));
        described
    };
    let config = blob(index[0]["Config"].as_str().unwrap(), CONFIG).await;
    let mut layers = Vec::new();
    for layer in index[0]["Layers"].as_array().unwrap() {
        layers.push(blob(layer.as_str().unwrap(), LAYER).await);
    }
    let manifest =
        serde_json::json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    let manifest = serde_json::to_vec(&manifest).unwrap();
    answers.insert(format!("/manifests/sha256:{}", sha256(&manifest).await), (MANIFEST, manifest.clone()));
    answers.insert(format!("/manifests/{tag}"), (MANIFEST, manifest));
    answers.insert("/v2/".to_owned(), ("application/json", b"{}".to_vec()));
    answers
}

async fn sha256(bytes: &[u8]) -> String {
    let mut program = tokio::process::Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    input.write_all(bytes).await.unwrap();
    drop(input);
    let output = program.wait_with_output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

async fn converse(stream: TcpStream, answers: Arc<Answers>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if !matches!(stream.read_line(&mut request).await, Ok(1..)) {
            return;
        }
        let mut header = String::new();
        while stream.read_line(&mut header).await.is_ok_and(|count| count > 2) {
            header.clear();
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let found = answers.iter().find(|(end, _)| path.ends_with(end.as_str()));
        let nothing = ("application/json", br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec());
        let (status, (kind, body)) =
            found.map_or(("404 Not Found", &nothing), |(_, answer)| ("200 OK", answer));
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\r\n",
            body.len()
        );
        let body: &[u8] = if method == "HEAD" { &[] } else { body };
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(body).await.is_err() {
            return;
        }
    }
}
