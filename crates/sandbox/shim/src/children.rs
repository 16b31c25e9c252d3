//! Children and orphans: as PID 1 the shim reaps both, and tells whoever waits for a child how it ended.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

use crate::spawn::Launch;

/// All children that somebody waits for.
#[derive(Default)]
pub(crate) struct Children {
    waited: Mutex<HashMap<i32, Arc<Exit>>>,
    started: Condvar,
}

/// A child, and in time its end.
#[derive(Debug)]
pub(crate) struct Exit {
    pid: i32,
    code: OnceLock<i32>,
    ended: OwnedFd,
}

impl Exit {
    /// Its process id, which is also the id of its group and session.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Its exit code once it has ended; 128 + n after signal n.
    pub(crate) fn code(&self) -> Option<i32> {
        self.code.get().copied()
    }

    /// Becomes readable when it ends, and stays so.
    pub(crate) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    fn end(&self, code: i32) {
        let _ = self.code.set(code);
        let _ = rustix::io::write(&self.ended, &1u64.to_ne_bytes());
    }
}

impl Children {
    /// Starts a child that will be waited for.
    pub(crate) fn start(&self, launch: Launch) -> io::Result<Arc<Exit>> {
        let ended = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // The lock keeps the reaper away until the child is in the table, or has failed and was waited for by `start`.
        let mut waited = self.lock();
        let child = launch.start()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let exit = Arc::new(Exit { pid, code: OnceLock::new(), ended });
        waited.insert(pid, Arc::clone(&exit));
        self.started.notify_one();
        Ok(exit)
    }

    /// Reaps for ever.
    pub(crate) fn reap(&self) -> ! {
        loop {
            let peek = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let mut waited = self.lock();
            match peek {
                Ok(_) => {
                    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                        if let Some(exit) = waited.remove(&Pid::as_raw(Some(pid))) {
                            exit.end(code_of(status));
                        }
                    }
                }
                Err(rustix::io::Errno::CHILD) if waited.is_empty() => {
                    drop(self.started.wait(waited));
                }
                Err(_) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<Exit>>> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn code_of(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}
