//! Streams: data that belongs to a call, flowing only as fast as the receiver takes it.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use trajforge_shim::frame::{Frame, Kind, WINDOW};

use crate::outlet::Outlet;

/// All streams under way, by the id of their call.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<u32, Flow>>,
}

enum Flow {
    In(Sender<Piece>),
    Out(Arc<Credit>),
}

/// What arrives on a stream.
pub(crate) enum Piece {
    /// Some bytes.
    Data(Vec<u8>),
    /// The stream is complete.
    End,
    /// The sender gave up.
    Cancel,
}

/// How much may be sent.
#[derive(Default)]
pub(crate) struct Credit {
    state: Mutex<Allowance>,
    changed: Condvar,
}

#[derive(Default)]
struct Allowance {
    bytes: u64,
    is_cancelled: bool,
}

impl Streams {
    /// Opens the stream that follows a call.
    pub(crate) fn receive(&self, id: u32) -> Receiver<Piece> {
        let (sender, receiver) = channel();
        self.lock().insert(id, Flow::In(sender));
        receiver
    }

    /// Opens the stream that follows a response.
    pub(crate) fn send(&self, id: u32) -> Arc<Credit> {
        let credit = Arc::new(Credit::default());
        credit.grant(u64::from(WINDOW));
        self.lock().insert(id, Flow::Out(Arc::clone(&credit)));
        credit
    }

    /// Forgets a stream; what still arrives on it is dropped.
    pub(crate) fn close(&self, id: u32) {
        self.lock().remove(&id);
    }

    /// Takes in a frame that belongs to a stream.
    pub(crate) fn take(&self, frame: Frame) {
        let open = self.lock();
        match (open.get(&frame.id), frame.kind) {
            (Some(Flow::In(sender)), Kind::Data) => drop(sender.send(Piece::Data(frame.payload))),
            (Some(Flow::In(sender)), Kind::End) => drop(sender.send(Piece::End)),
            (Some(Flow::In(sender)), Kind::Cancel) => drop(sender.send(Piece::Cancel)),
            (Some(Flow::Out(credit)), Kind::Credit) => credit.grant(u64::from(frame.granted())),
            (Some(Flow::Out(credit)), Kind::Cancel) => credit.cancel(),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Flow>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Credit {
    fn grant(&self, bytes: u64) {
        self.lock().bytes += bytes;
        self.changed.notify_all();
    }

    fn cancel(&self) {
        self.lock().is_cancelled = true;
        self.changed.notify_all();
    }

    /// Waits until that many bytes may be sent; false if nobody wants them any more.
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        let mut state = self.lock();
        while state.bytes < bytes && !state.is_cancelled {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        !state.is_cancelled
    }

    fn lock(&self) -> MutexGuard<'_, Allowance> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the sender of a stream that some of it has been used up.
pub(crate) fn grant(outlet: &Outlet, id: u32, bytes: usize) {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let _ = outlet.send(&Frame::credit(id, bytes));
}
