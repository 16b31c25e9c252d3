//! Frames from a queue to a writer, and from a reader to whoever waits for them.

use std::io;
use std::sync::Arc;

use futures_util::stream::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use trajforge_shim::frame::Decoder;

use super::outgoing::Direct;
use super::{Arrival, Shared};

/// Writes frames out, until there are no more.
pub(super) async fn write_all<W: AsyncWrite + Unpin>(
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

/// Writes to a socket what others could not write there themselves, until there is no more.
pub(super) async fn write_rest(
    (socket, direct): (Arc<OwnedWriteHalf>, Arc<Direct>),
    mut queue: mpsc::Receiver<Vec<u8>>,
    shared: Arc<Shared>,
) {
    while let Some(wire) = queue.recv().await {
        let mut left = wire.as_slice();
        while !left.is_empty() {
            let room = socket.writable().await;
            match room.and_then(|()| socket.try_write(left)) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    shared.lose(format!("writing to it failed: {error}"));
                    return;
                }
            }
        }
        direct.caught_up();
    }
}

/// Takes in what arrives, until nothing more does; says why.
pub(super) async fn read_all<R>(mut arriving: R, shared: &Shared) -> String
where
    R: Stream<Item = Result<Arrival, String>> + Unpin,
{
    let mut decoder = Decoder::default();
    loop {
        match arriving.next().await {
            None => return "its container ended".to_owned(),
            Some(Err(reason)) => return reason,
            Some(Ok(Arrival::Diagnostics(words))) => shared.remember(&words),
            Some(Ok(Arrival::Protocol(bytes))) => {
                decoder.feed(&bytes);
                if let Err(reason) = take_all(&mut decoder, shared) {
                    return reason;
                }
            }
        }
    }
}

fn take_all(decoder: &mut Decoder, shared: &Shared) -> Result<(), String> {
    while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
        shared.take(frame)?;
    }
    Ok(())
}
