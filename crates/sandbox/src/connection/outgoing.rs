//! Frames on their way to a shim: into a socket at once where that has room, else through a queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWrite;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Shared;
use super::pump::{write_all, write_rest};

/// Frames that wait to be written, at most.
const QUEUE: usize = 16;

/// Where frames are put; they leave in that order.
#[derive(Clone)]
pub(super) struct Outgoing {
    queue: mpsc::Sender<Vec<u8>>,
    direct: Option<Arc<Direct>>,
}

/// A socket that whoever sends may write to: most frames are small, and handing one to a task takes longer than
/// writing it.
pub(super) struct Direct(Mutex<Way>);

struct Way {
    /// Nothing once the line was hung up.
    socket: Option<Arc<OwnedWriteHalf>>,
    /// Frames, or ends of them, that the queue's task has not written yet.
    waiting: usize,
}

/// Nobody takes in frames any more.
pub(super) struct Closed;

impl Outgoing {
    /// All through a queue.
    pub(super) fn to_writer<W>(writer: W, shared: Arc<Shared>) -> (Self, AbortHandle)
    where
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (queue, frames) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(write_all(writer, frames, shared));
        (Self { queue, direct: None }, writing.abort_handle())
    }

    /// At once, where that can be.
    pub(super) fn to_socket(socket: OwnedWriteHalf, shared: Arc<Shared>) -> (Self, AbortHandle) {
        let (queue, frames) = mpsc::channel(QUEUE);
        let socket = Arc::new(socket);
        let way = Way { socket: Some(Arc::clone(&socket)), waiting: 0 };
        let direct = Arc::new(Direct(Mutex::new(way)));
        let writing = tokio::spawn(write_rest((socket, Arc::clone(&direct)), frames, shared));
        (Self { queue, direct: Some(direct) }, writing.abort_handle())
    }

    /// Puts a frame on its way. Whoever stops waiting has sent nothing; what was begun is finished by the queue's task.
    pub(super) async fn send(&self, wire: Vec<u8>) -> Result<(), Closed> {
        let place = self.queue.reserve().await.map_err(|_| Closed)?;
        self.put(wire, place)
    }

    /// The same, unless too many frames wait.
    pub(super) fn try_send(&self, wire: Vec<u8>) -> Result<(), Closed> {
        let place = self.queue.try_reserve().map_err(|_| Closed)?;
        self.put(wire, place)
    }

    fn put(&self, mut wire: Vec<u8>, place: mpsc::Permit<'_, Vec<u8>>) -> Result<(), Closed> {
        // The lock is held until what is left stands in the queue: no other frame may come between.
        let mut way = self.direct.as_ref().map(|direct| direct.lock());
        if let Some(way) = &mut way {
            let written = way.write(&wire)?;
            if written == wire.len() {
                return Ok(());
            }
            wire.drain(..written);
            way.waiting += 1;
        }
        place.send(wire);
        Ok(())
    }

    /// Hangs up.
    pub(super) fn close(&self) {
        if let Some(direct) = &self.direct {
            direct.lock().socket = None;
        }
    }
}

impl Direct {
    /// Tells that what came first in the queue is written.
    pub(super) fn caught_up(&self) {
        self.lock().waiting -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Way> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    /// Writes as much of a frame as there is room for; nothing while another waits.
    fn write(&self, wire: &[u8]) -> Result<usize, Closed> {
        let socket = self.socket.as_ref().ok_or(Closed)?;
        if self.waiting > 0 {
            return Ok(0);
        }
        // Without room it waits in the queue; and so it does after an error, which the queue's task then tells of.
        Ok(socket.try_write(wire).unwrap_or(0))
    }
}
