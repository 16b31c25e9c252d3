//! The way back to the host: whole frames, one at a time.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use trajforge_shim::frame::{Frame, FrameError, Kind};
use trajforge_shim::protocol::{Problem, ProblemKind, Response};

/// Standard output, or what has taken its place; shared by all threads.
pub(crate) struct Outlet {
    out: Mutex<File>,
}

impl Outlet {
    pub(crate) fn new(out: OwnedFd) -> Self {
        Self { out: Mutex::new(File::from(out)) }
    }

    /// Sends the response to a call, and everything after it on another line: nothing comes between, so that no stream is
    /// ever torn in two.
    pub(crate) fn reply_and_move(&self, id: u32, response: &Response, line: OwnedFd) {
        let wire = reply(id, response, Vec::new()).encode().expect("a greeting is no large frame");
        let mut out = self.lock();
        if out.write_all(&wire).is_err() {
            crate::end();
        }
        *out = File::from(line);
    }

    /// Sends the response to a call.
    pub(crate) fn reply(&self, id: u32, response: &Response, payload: Vec<u8>) {
        if let Err(error) = self.send(&reply(id, response, payload)) {
            self.fail(id, &problem(ProblemKind::Limit, error.to_string()));
        }
    }

    /// Sends a failure.
    pub(crate) fn fail(&self, id: u32, problem: &Problem) {
        self.reply(id, &Response::Failed(problem.clone()), Vec::new());
    }

    /// Sends any frame. If the host is gone there is nobody to act for, and nothing may be left.
    pub(crate) fn send(&self, frame: &Frame) -> Result<(), FrameError> {
        let wire = frame.encode()?;
        if self.lock().write_all(&wire).is_err() {
            crate::end();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reply(id: u32, response: &Response, payload: Vec<u8>) -> Frame {
    let header = serde_json::to_vec(response).expect("a response of plain values always serialises");
    Frame { kind: Kind::Reply, id, header, payload }
}

/// A problem in words.
pub(crate) fn problem(kind: ProblemKind, message: impl Into<String>) -> Problem {
    Problem { kind, message: message.into() }
}

/// An error of the system, sorted: no room and no processes are limits, the rest is what it is.
pub(crate) fn failed_to(doing: &str, error: &std::io::Error) -> Problem {
    let kind = match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOMEM | libc::ENOSPC | libc::EDQUOT | libc::EMFILE | libc::ENFILE) => {
            ProblemKind::Limit
        }
        Some(libc::ENOENT | libc::ENOTDIR) => ProblemKind::NoSuchFile,
        _ => ProblemKind::Io,
    };
    problem(kind, format!("failed to {doing}: {error}"))
}
