//! HTTP/1.1 spoken by hand, so that a connection can misbehave byte by byte.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Memory, ScriptedPart, ScriptedReply, ScriptedRequest, Shared, words};

/// Takes connections until it is aborted.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // A set of tasks ends its tasks with itself: a server that is gone answers nobody.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, Arc::clone(&shared)))),
                Err(error) => tracing::warn!("the scripted model could not take a connection: {error}"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = exchanges(&mut stream, &shared).await {
        shared.log.hang_ups.fetch_add(1, Ordering::SeqCst);
        tracing::debug!("a client of the scripted model is gone: {error}");
    }
}

async fn exchanges(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = receive(stream, &mut buffer).await? {
        let path = request.target.split(' ').nth(1).unwrap_or_default().to_owned();
        let path = path.split('?').next().unwrap_or_default();
        let Some(dialect) = words::dialect(path) else {
            let body = json!({ "error": { "message": "the scripted model does not serve this path" } });
            let answer = if path.ends_with("/count_tokens") {
                words::whole(200, "application/json", "", br#"{"input_tokens": 42}"#)
            } else {
                words::whole(404, "application/json", "", body.to_string().as_bytes())
            };
            stream.write_all(&answer).await?;
            continue;
        };
        let body = request.body.clone();
        let count = {
            let mut requests = shared.log.requests.lock().unwrap_or_else(PoisonError::into_inner);
            if shared.log.memory == Memory::Whole {
                requests.push(request);
            }
            shared.log.count.fetch_add(1, Ordering::SeqCst)
        };
        let mut reply = (shared.script)(&body, count);
        while let ScriptedReply::After(wait, later) = reply {
            pause(stream, wait).await?;
            reply = *later;
        }
        match reply {
            ScriptedReply::Stall(time) => {
                pause(stream, time).await?;
                return Ok(());
            }
            ScriptedReply::Parts(parts) => return perform(stream, parts).await,
            reply => stream.write_all(&words::answer(dialect, &body, &reply, count)).await?,
        }
    }
    Ok(())
}

async fn perform(stream: &mut TcpStream, parts: Vec<ScriptedPart>) -> io::Result<()> {
    for part in parts {
        match part {
            ScriptedPart::Bytes(bytes) => stream.write_all(&bytes).await?,
            ScriptedPart::Pause(time) => pause(stream, time).await?,
            ScriptedPart::Reset => return stream.set_zero_linger(),
        }
    }
    stream.shutdown().await
}

/// Waits, and notices a client that hangs up meanwhile.
async fn pause(stream: &mut TcpStream, time: Duration) -> io::Result<()> {
    let mut byte = [0];
    match tokio::time::timeout(time, stream.read(&mut byte)).await {
        Ok(Ok(0)) => Err(io::ErrorKind::BrokenPipe.into()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// The next request; nothing where the client has no more.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<ScriptedRequest>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let target =
        lines.next().unwrap_or_default().rsplit_once(' ').map_or("", |(target, _)| target).to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let whole = end + 4 + length;
    while buffer.len() < whole {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let bytes = buffer[end + 4..whole].to_vec();
    buffer.drain(..whole);
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Some(ScriptedRequest { target, headers, bytes, body }))
}
