//! Tunnels: a port of the sandbox's own loopback that leads to a socket which the host listens on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use trajforge_shim::protocol::{HOST_FOLDER, Problem, Response, Tunnel};

use crate::outlet::failed_to;

/// Bytes that are read at once, and so the most that waits for a receiver that is slower than its sender.
const PIECE: usize = 128 << 10;
/// Pieces of one connection before the others have their turn.
const TURN: usize = 8;
/// Connections of one tunnel at a time; further ones wait in the listener's queue.
const MOST: usize = 4096;

/// Begins to listen; one thread carries all of the tunnel's connections, for as long as the sandbox lives.
pub(crate) fn open(tunnel: &Tunnel) -> Result<(Response, Vec<u8>), Problem> {
    let failed = |error| failed_to(&format!("listen on port {}", tunnel.port), &error);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, tunnel.port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let socket = PathBuf::from(HOST_FOLDER).join(&tunnel.socket);
    let mut relay = Relay { listener, socket, pairs: Vec::new(), piece: vec![0; PIECE] };
    thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || relay.serve())
        .map_err(|error| failed_to("start a tunnel", &error))?;
    Ok((Response::Tunnel { port }, Vec::new()))
}

struct Relay {
    listener: TcpListener,
    socket: PathBuf,
    pairs: Vec<Pair>,
    piece: Vec<u8>,
}

/// A connection from inside, and the one to the host that it is joined with.
struct Pair {
    near: TcpStream,
    far: UnixStream,
    up: Flow,
    down: Flow,
}

/// One direction of a pair.
#[derive(Default)]
struct Flow {
    /// What was read and could not be written yet; nothing more is read before it is gone.
    pending: Vec<u8>,
    written: usize,
    /// The sender has said its last.
    is_ended: bool,
    /// And the receiver has been told.
    is_shut: bool,
}

impl Relay {
    fn serve(&mut self) {
        loop {
            self.wait();
            self.accept();
            let piece = &mut self.piece;
            // A connection that is over, or broken, is closed by being dropped.
            self.pairs.retain_mut(|pair| pair.carry(piece).unwrap_or(false));
        }
    }

    fn wait(&self) {
        let mut waiting = Vec::with_capacity(1 + 2 * self.pairs.len());
        if self.pairs.len() < MOST {
            waiting.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        for pair in &self.pairs {
            let wanted = |reads: &Flow, writes: &Flow| {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, !reads.is_ended && reads.pending.is_empty());
                flags.set(PollFlags::OUT, !writes.pending.is_empty());
                flags
            };
            for (end, flags) in [
                (pair.near.as_fd(), wanted(&pair.up, &pair.down)),
                (pair.far.as_fd(), wanted(&pair.down, &pair.up)),
            ] {
                if !flags.is_empty() {
                    waiting.push(PollFd::from_borrowed_fd(end, flags));
                }
            }
        }
        let _ = poll(&mut waiting, None);
    }

    fn accept(&mut self) {
        while self.pairs.len() < MOST {
            let Ok((near, _)) = self.listener.accept() else { return };
            // Where the host does not listen the caller sees its connection end, as with any server that is down.
            if let Ok(pair) = UnixStream::connect(&self.socket).and_then(|far| Pair::new(near, far)) {
                self.pairs.push(pair);
            }
        }
    }
}

impl Pair {
    fn new(near: TcpStream, far: UnixStream) -> io::Result<Self> {
        near.set_nonblocking(true)?;
        near.set_nodelay(true)?;
        far.set_nonblocking(true)?;
        Ok(Self { near, far, up: Flow::default(), down: Flow::default() })
    }

    /// Moves what can be moved; says whether there may be more some time.
    fn carry(&mut self, piece: &mut [u8]) -> io::Result<bool> {
        self.up.carry(&mut &self.near, &mut &self.far, piece)?;
        if self.up.is_ended && !self.up.is_shut && self.up.pending.is_empty() {
            self.far.shutdown(Shutdown::Write)?;
            self.up.is_shut = true;
        }
        self.down.carry(&mut &self.far, &mut &self.near, piece)?;
        if self.down.is_ended && !self.down.is_shut && self.down.pending.is_empty() {
            self.near.shutdown(Shutdown::Write)?;
            self.down.is_shut = true;
        }
        Ok(!(self.up.is_shut && self.down.is_shut))
    }
}

impl Flow {
    fn carry(&mut self, from: &mut impl Read, to: &mut impl Write, piece: &mut [u8]) -> io::Result<()> {
        for _ in 0..TURN {
            if !self.pending.is_empty() {
                self.written += some(to.write(&self.pending[self.written..]))?;
                if self.written < self.pending.len() {
                    return Ok(());
                }
                self.pending.clear();
                self.written = 0;
            }
            if self.is_ended {
                return Ok(());
            }
            let count = match from.read(piece) {
                Ok(0) => {
                    self.is_ended = true;
                    return Ok(());
                }
                other => some(other)?,
            };
            if count == 0 {
                return Ok(());
            }
            let written = some(to.write(&piece[..count]))?;
            self.pending.extend_from_slice(&piece[written..count]);
        }
        Ok(())
    }
}

/// How much went through; nothing, where the other side is not ready.
fn some(done: io::Result<usize>) -> io::Result<usize> {
    match done {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes and gives a little at a time, and is not ready in between.
    struct Slow<'a> {
        bytes: &'a mut Vec<u8>,
        is_ready: bool,
    }

    impl Write for Slow<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.is_ready = !self.is_ready;
            if !self.is_ready {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(7);
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_lost_on_a_slow_receiver_and_nothing_more_is_read_for_it() {
        let sent: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let (mut source, mut received, mut piece) = (sent.as_slice(), Vec::new(), vec![0; 64]);
        let mut flow = Flow::default();
        while !(flow.is_ended && flow.pending.is_empty()) {
            let mut to = Slow { bytes: &mut received, is_ready: false };
            flow.carry(&mut source, &mut to, &mut piece).unwrap();
            assert!(flow.pending.len() <= 64);
        }
        assert_eq!(received, sent);
    }
}
