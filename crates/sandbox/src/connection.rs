//! The host's end of the line to a shim: many calls and streams at once, over a pair of pipes or a socket.

mod outgoing;
mod pump;
mod receiving;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use tokio::io::AsyncWrite;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::io::ReaderStream;
use trajforge_shim::frame::{CHUNK, Frame, Kind, WINDOW};
use trajforge_shim::protocol::{Pack, Packed, Request, Response, Unpack, Unpacked};

use self::outgoing::Outgoing;
use self::pump::read_all;
use self::receiving::Receiving;
use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::sandbox::unexpected;

/// Bytes that are read at once from a socket.
const PIECE: usize = 64 << 10;
/// How long the first line may take to say why the sandbox has ended, when the one that took its place is closed.
const LAST_WORDS: Duration = Duration::from_secs(1);
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
    outgoing: Outgoing,
    /// Into the first line, once another has taken its place: closing it would hang up.
    first: Option<Outgoing>,
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
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
        let (outgoing, writing) = Outgoing::to_writer(writer, Arc::clone(&shared));
        let hearing = Arc::clone(&shared);
        let reading = tokio::spawn(async move {
            let reason = read_all(arriving, &hearing).await;
            hearing.lose(reason);
        });
        Self { outgoing, first: None, shared, tasks: vec![writing, reading.abort_handle()] }
    }

    /// Has every later call go through a socket that the shim has called on. The first line is heard on, for what is
    /// said on standard error and for the sandbox's end.
    pub(crate) fn redirect(&mut self, socket: UnixStream) {
        let (reader, writer) = socket.into_split();
        let (outgoing, writing) = Outgoing::to_socket(writer, Arc::clone(&self.shared));
        let pieces = ReaderStream::with_capacity(reader, PIECE)
            .map(|piece| piece.map(Arrival::Protocol).map_err(|error| error.to_string()));
        let shared = Arc::clone(&self.shared);
        let reading = tokio::spawn(async move {
            let reason = read_all(pieces, &shared).await;
            tokio::time::sleep(LAST_WORDS).await;
            shared.lose(reason);
        });
        self.tasks.extend([reading.abort_handle(), writing]);
        self.first = Some(std::mem::replace(&mut self.outgoing, outgoing));
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
        self.outgoing.close();
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
