//! The host's end of the line to a shim: many calls and streams at once over one pair of pipes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use trajforge_shim::frame::{CHUNK, Decoder, Frame, Kind, WINDOW};
use trajforge_shim::protocol::{Pack, Packed, Request, Response, Unpack, Unpacked};

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::sandbox::unexpected;

/// Frames that wait to be written, at most.
const QUEUE: usize = 16;
/// What the shim says on its standard error is kept up to here, for the message when it is lost.
const DIAGNOSTICS: usize = 4096;
/// How much longer than its own time limit a request may take before the sandbox counts as lost.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long requests may take that have no limit of their own.
const UNLIMITED: Duration = Duration::from_mins(10);

type Reply = (Response, Vec<u8>);

/// What arrives from a shim.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Bytes of the protocol.
    Protocol(Bytes),
    /// Words for people.
    Diagnostics(Bytes),
}

/// An open line. Dropping it hangs up, on which the shim ends itself and everything with it.
pub(crate) struct Connection {
    outgoing: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u32,
    lost: Option<String>,
    calls: HashMap<u32, oneshot::Sender<Reply>>,
    incoming: HashMap<u32, mpsc::UnboundedSender<Result<Bytes>>>,
    outgoing: HashMap<u32, Arc<Semaphore>>,
    diagnostics: VecDeque<u8>,
}

impl Connection {
    /// A line over a pair of streams; `name` is what messages call the sandbox.
    pub(crate) fn open<W, R>(name: String, writer: W, arriving: R) -> Self
    where
        W: AsyncWrite + Send + Unpin + 'static,
        R: Stream<Item = Result<Arrival, String>> + Send + Unpin + 'static,
    {
        let shared = Arc::new(Shared { name, state: Mutex::default() });
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(write_all(writer, queue, Arc::clone(&shared)));
        let reading = tokio::spawn(read_all(arriving, Arc::clone(&shared)));
        Self { outgoing, shared, tasks: [writing.abort_handle(), reading.abort_handle()] }
    }

    /// One request and its response.
    pub(crate) async fn call(&self, request: &Request, payload: Vec<u8>) -> Result<Reply> {
        let (call, reply) = self.register()?;
        self.send(call.id, request, payload).await?;
        self.within(limit(request), reply).await
    }

    /// A request that is followed by a stream to the shim.
    pub(crate) async fn unpack(&self, unpack: Unpack, mut archive: Archive) -> Result<Unpacked> {
        let (call, mut reply) = self.register()?;
        let id = call.id;
        let credit = Arc::new(Semaphore::new(WINDOW as usize));
        self.shared.lock().outgoing.insert(id, Arc::clone(&credit));
        self.send(id, &Request::Unpack(unpack), Vec::new()).await?;
        while let Some(piece) = archive.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    let why = Frame::bare(Kind::Cancel, id, error.to_string().into_bytes());
                    self.write(&why).await?;
                    return Err(error);
                }
            };
            for chunk in piece.chunks(CHUNK) {
                let room = credit.acquire_many(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
                tokio::select! {
                    biased;
                    // The shim has refused the archive before its end.
                    early = &mut reply => return unpacked(early.map_err(|_| self.shared.lost())?),
                    room = room => room.map_err(|_| self.shared.lost())?.forget(),
                }
                self.write(&Frame::bare(Kind::Data, id, chunk.to_vec())).await?;
            }
        }
        self.write(&Frame::bare(Kind::End, id, Vec::new())).await?;
        unpacked(self.within(UNLIMITED, reply).await?)
    }

    /// A request whose response is followed by a stream from the shim.
    pub(crate) async fn pack(&self, pack: Pack) -> Result<(Packed, Archive)> {
        let (call, reply) = self.register()?;
        let (sender, pieces) = mpsc::unbounded_channel();
        self.shared.lock().incoming.insert(call.id, sender);
        self.send(call.id, &Request::Pack(pack), Vec::new()).await?;
        match self.within(UNLIMITED, reply).await? {
            (Response::Packed(packed), _) => {
                let receiving =
                    Receiving { call, pieces, outgoing: self.outgoing.clone(), is_finished: false };
                Ok((packed, Archive::from_stream(receiving.into_stream())))
            }
            (other, _) => Err(unexpected(other)),
        }
    }

    fn register(&self) -> Result<(Call, oneshot::Receiver<Reply>)> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.lost.is_some() {
            drop(state);
            return Err(self.shared.lost());
        }
        state.next = state.next.wrapping_add(1);
        let id = state.next;
        state.calls.insert(id, sender);
        let shared = Arc::clone(&self.shared);
        Ok((Call { id, shared }, receiver))
    }

    async fn within(&self, limit: Duration, reply: oneshot::Receiver<Reply>) -> Result<Reply> {
        match tokio::time::timeout(limit, reply).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(self.shared.lost()),
            Err(_) => {
                self.shared.lose(format!("it did not answer within {} s", limit.as_secs()));
                Err(self.shared.lost())
            }
        }
    }

    async fn send(&self, id: u32, request: &Request, payload: Vec<u8>) -> Result<()> {
        let header =
            serde_json::to_vec(request).map_err(|error| Error::Protocol { reason: error.to_string() })?;
        let frame = Frame { kind: Kind::Call, id, header, payload };
        self.write(&frame).await
    }

    async fn write(&self, frame: &Frame) -> Result<()> {
        let wire = frame.encode().map_err(|error| Error::Limit { reason: error.to_string() })?;
        self.outgoing.send(wire).await.map_err(|_| self.shared.lost())
    }

    /// Hangs up.
    pub(crate) fn close(&self) {
        self.shared.lose("it was stopped".to_owned());
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// A call under way; whatever becomes of it, nothing of it stays in the tables.
struct Call {
    id: u32,
    shared: Arc<Shared>,
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.calls.remove(&self.id);
        state.incoming.remove(&self.id);
        state.outgoing.remove(&self.id);
    }
}

/// A stream from the shim, paid for as it is consumed.
struct Receiving {
    call: Call,
    pieces: mpsc::UnboundedReceiver<Result<Bytes>>,
    outgoing: mpsc::Sender<Vec<u8>>,
    is_finished: bool,
}

impl Receiving {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
        stream::unfold(self, |mut receiving| async move {
            let piece = receiving.pieces.recv().await;
            match &piece {
                Some(Ok(bytes)) => {
                    let grant =
                        Frame::credit(receiving.call.id, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    if let Ok(wire) = grant.encode() {
                        let _ = receiving.outgoing.send(wire).await;
                    }
                }
                Some(Err(_)) | None => receiving.is_finished = true,
            }
            piece.map(|piece| (piece, receiving))
        })
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let stop = Frame::bare(Kind::Cancel, self.call.id, Vec::new());
        if !self.is_finished
            && let Ok(wire) = stop.encode()
        {
            let _ = self.outgoing.try_send(wire);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything that waits; the first reason is the one that counts.
    fn lose(&self, reason: String) {
        let mut state = self.lock();
        state.lost.get_or_insert(reason);
        state.calls.clear();
        for credit in state.outgoing.values() {
            credit.close();
        }
        let waiting: Vec<_> = state.incoming.drain().collect();
        drop(state);
        for (_, pieces) in waiting {
            let _ = pieces.send(Err(self.lost()));
        }
    }

    fn lost(&self) -> Error {
        let state = self.lock();
        let mut reason = state.lost.clone().unwrap_or_else(|| "it hung up".to_owned());
        let said: Vec<u8> = state.diagnostics.iter().copied().collect();
        if !said.is_empty() {
            reason = format!("{reason}; it said: {}", String::from_utf8_lossy(&said).trim());
        }
        Error::Lost { sandbox: self.name.clone(), reason }
    }

    fn take(&self, frame: Frame) -> Result<(), String> {
        let mut state = self.lock();
        match frame.kind {
            Kind::Reply => {
                let response = serde_json::from_slice(&frame.header)
                    .map_err(|error| format!("a response makes no sense: {error}"))?;
                if let Some(call) = state.calls.remove(&frame.id) {
                    let _ = call.send((response, frame.payload));
                }
            }
            Kind::Data => {
                if let Some(pieces) = state.incoming.get(&frame.id) {
                    let _ = pieces.send(Ok(frame.payload.into()));
                }
            }
            Kind::End => drop(state.incoming.remove(&frame.id)),
            Kind::Cancel => {
                if let Some(pieces) = state.incoming.remove(&frame.id) {
                    let reason = String::from_utf8_lossy(&frame.payload).into_owned();
                    let _ = pieces.send(Err(Error::Refused { reason }));
                }
            }
            Kind::Credit => {
                if let Some(credit) = state.outgoing.get(&frame.id) {
                    credit.add_permits(frame.granted() as usize);
                }
            }
            Kind::Call => return Err("the shim sent a call".to_owned()),
        }
        Ok(())
    }
}

async fn write_all<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut queue: mpsc::Receiver<Vec<u8>>,
    shared: Arc<Shared>,
) {
    while let Some(wire) = queue.recv().await {
        let written = async {
            writer.write_all(&wire).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            shared.lose(format!("writing to it failed: {error}"));
            return;
        }
    }
}

async fn read_all<R>(mut arriving: R, shared: Arc<Shared>)
where
    R: Stream<Item = Result<Arrival, String>> + Unpin,
{
    let mut decoder = Decoder::default();
    let reason = loop {
        match arriving.next().await {
            None => break "its container ended".to_owned(),
            Some(Err(reason)) => break reason,
            Some(Ok(Arrival::Diagnostics(words))) => shared.remember(&words),
            Some(Ok(Arrival::Protocol(bytes))) => {
                decoder.feed(&bytes);
                if let Err(reason) = take_all(&mut decoder, &shared) {
                    break reason;
                }
            }
        }
    };
    shared.lose(reason);
}

fn take_all(decoder: &mut Decoder, shared: &Shared) -> Result<(), String> {
    while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
        shared.take(frame)?;
    }
    Ok(())
}

impl Shared {
    fn remember(&self, words: &[u8]) {
        let mut state = self.lock();
        state.diagnostics.extend(words);
        let over = state.diagnostics.len().saturating_sub(DIAGNOSTICS);
        state.diagnostics.drain(..over);
    }
}

fn unpacked((response, _): Reply) -> Result<Unpacked> {
    match response {
        Response::Unpacked(unpacked) => Ok(unpacked),
        other => Err(unexpected(other)),
    }
}

fn limit(request: &Request) -> Duration {
    let own = match request {
        Request::Exec(exec) => exec.timeout_ms,
        Request::Shell(shell) => shell.timeout_ms,
        Request::StartService(service) => service.ready_ms,
        Request::Hello(_) | Request::Usage | Request::Kill(_) | Request::StopServices => 0,
        _ => return UNLIMITED,
    };
    Duration::from_millis(own).saturating_add(PATIENCE)
}
