//! Requests over plain connections: as little work as can be on the side that measures.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// How the reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// In one piece.
    Whole,
    /// As a stream of events.
    Stream,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Stream => "streamed",
        }
    }
}

/// Where requests go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    address: String,
    whole: Vec<u8>,
    stream: Vec<u8>,
}

impl Target {
    /// A base URL of chat completions, and the key for it.
    pub(super) fn new(base_url: &str, key: &str) -> anyhow::Result<Self> {
        let rest = base_url.strip_prefix("http://").context("the URL is plain HTTP")?;
        let (address, path) = rest.split_once('/').context("the URL has a path")?;
        let request = |stream: bool| {
            let body = body(stream).to_string();
            format!(
                "POST /{path}/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        };
        Ok(Self { address: address.to_owned(), whole: request(false), stream: request(true) })
    }
}

/// A conversation of an agent in its first steps.
fn body(stream: bool) -> serde_json::Value {
    let parameters = json!({ "type": "object", "properties": { "command": { "type": "string" } } });
    let function = json!({ "name": "bash", "description": "Runs a command.", "parameters": parameters });
    json!({
        "model": "m", "max_tokens": 500, "stream": stream,
        "messages": [
            { "role": "system", "content": "You are an engineer. ".repeat(50) },
            { "role": "user", "content": "Find out why the test fails, and mend it. ".repeat(20) },
        ],
        "tools": [{ "type": "function", "function": function }],
    })
}

/// A kept connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&target.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    async fn send(&mut self, target: &Target, kind: Kind) -> anyhow::Result<()> {
        let request = if kind == Kind::Stream { &target.stream } else { &target.whole };
        self.0.get_mut().write_all(request).await.context("send a request")
    }

    /// Sends a request and reads its whole reply.
    async fn ask(&mut self, target: &Target, kind: Kind) -> anyhow::Result<()> {
        let length = if let Ok(length) = self.begin(target, kind).await {
            length
        } else {
            // A server may close a kept connection between two replies.
            *self = Self::open(target).await?;
            self.begin(target, kind).await?
        };
        let mut rest = Vec::new();
        if let Some(length) = length {
            rest.resize(length, 0);
            self.0.read_exact(&mut rest).await?;
            return Ok(());
        }
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            let size = usize::from_str_radix(line.trim(), 16).context("a chunk has a size")?;
            rest.resize(size + 2, 0);
            self.0.read_exact(&mut rest).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn begin(&mut self, target: &Target, kind: Kind) -> anyhow::Result<Option<usize>> {
        self.send(target, kind).await?;
        self.head().await
    }

    /// Reads a reply's head; gives the length of the body where it is known.
    async fn head(&mut self) -> anyhow::Result<Option<usize>> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        ensure!(line.contains(" 200 "), "the reply begins with {line:?}");
        let mut length = None;
        loop {
            line.clear();
            self.0.read_line(&mut line).await?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                return Ok(length);
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
    }
}

/// Asks one after the other over one connection; gives the milliseconds of each.
pub(super) async fn one_by_one(target: &Target, kind: Kind, count: usize) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(target).await?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        connection.ask(target, kind).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

/// Asks over many connections for so long; gives the requests that were answered, and the seconds that it took.
pub(super) async fn at_once(
    target: &Target,
    kind: Kind,
    connections: usize,
    time: Duration,
) -> anyhow::Result<(usize, f64)> {
    let began = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                let mut connection = Connection::open(&target).await?;
                let mut answered = 0;
                while began.elapsed() < time {
                    connection.ask(&target, kind).await?;
                    answered += 1;
                }
                anyhow::Ok(answered)
            })
        })
        .collect();
    let mut answered = 0;
    for client in clients {
        answered += client.await??;
    }
    Ok((answered, began.elapsed().as_secs_f64()))
}

/// Streams that have begun; they stay open until this is dropped.
pub(super) struct Begun(#[expect(dead_code, reason = "it keeps the connections open")] Vec<Connection>);

/// Opens streams and reads the first bytes of each.
pub(super) async fn begun(target: &Target, count: usize) -> anyhow::Result<Begun> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(target).await?;
        connection.send(target, Kind::Stream).await?;
        connection.head().await?;
        connection.0.read_u8().await?;
        connections.push(connection);
    }
    Ok(Begun(connections))
}
