//! The host's end of a stream from a shim.

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;
use trajforge_shim::frame::{Frame, Kind};

use super::Call;
use super::outgoing::Outgoing;
use crate::error::Result;

/// A stream from the shim, paid for as it is consumed.
pub(super) struct Receiving {
    pub(super) call: Call,
    pub(super) pieces: mpsc::UnboundedReceiver<Result<Bytes>>,
    pub(super) outgoing: Outgoing,
    pub(super) is_finished: bool,
}

impl Receiving {
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
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
