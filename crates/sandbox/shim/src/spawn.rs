//! Starting processes as somebody else: the one file with unsafe code, all of it between fork and exec.

use std::ffi::OsString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{setsid, umask};

use crate::identity::{self, User};

/// A process to be started, in a session of its own.
pub(crate) struct Launch {
    /// The program and its arguments.
    pub(crate) argv: Vec<OsString>,
    /// Where it starts; entered as the user that it runs as.
    pub(crate) cwd: PathBuf,
    /// Its whole environment.
    pub(crate) variables: Vec<(String, String)>,
    /// As whom.
    pub(crate) user: User,
    /// Standard input, output and error.
    pub(crate) stdio: [Stdio; 3],
    /// Further descriptors, each with the number that it gets.
    pub(crate) descriptors: Vec<(OwnedFd, i32)>,
}

impl Launch {
    /// Starts it. The caller has to hold off whoever reaps children: a failed start is waited for right here.
    #[expect(
        unsafe_code,
        reason = "std has no safe way to change identity between fork and exec; what runs there makes only \
                  async-signal-safe system calls, allocates nothing and takes no lock"
    )]
    pub(crate) fn start(self) -> io::Result<Child> {
        let Self { argv, cwd, variables, user, stdio, descriptors } = self;
        let [stdin, stdout, stderr] = stdio;
        let mut argv = argv.into_iter();
        let program = argv.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut command = Command::new(program);
        command.args(argv).env_clear().envs(variables).stdin(stdin).stdout(stdout).stderr(stderr);
        let cwd = std::ffi::CString::new(cwd.into_os_string().into_encoded_bytes())?;
        // SAFETY: see the reason above; `cwd` and `descriptors` were allocated before the fork.
        unsafe {
            command.pre_exec(move || {
                setsid()?;
                umask(Mode::from_raw_mode(0o022));
                prefer_to_be_killed();
                for (from, to) in &descriptors {
                    // SAFETY: the number belongs to nobody in this fresh child, and is forgotten at once.
                    let mut target = OwnedFd::from_raw_fd(*to);
                    let copied = rustix::io::dup2(from, &mut target);
                    std::mem::forget(target);
                    copied?;
                }
                identity::become_user(user)?;
                rustix::process::chdir(cwd.as_c_str())?;
                Ok(())
            });
        }
        command.spawn()
    }
}

/// When memory runs out the kernel is to take the agent's processes, never the shim.
fn prefer_to_be_killed() {
    if let Ok(file) = open(c"/proc/self/oom_score_adj", OFlags::WRONLY, Mode::empty()) {
        let _ = rustix::io::write(file, b"500");
    }
}

/// Kills every process of the container but the caller, in one sweep that no fork can outrun.
#[expect(unsafe_code, reason = "rustix can't name the target -1")]
pub(crate) fn kill_everything() {
    // SAFETY: takes two numbers and touches no memory.
    unsafe {
        libc::kill(-1, libc::SIGKILL);
    }
}

/// Has a descriptor closed when another program takes over this process.
#[expect(unsafe_code, reason = "std hands out no descriptor by number")]
pub(crate) fn mark_close_on_exec(number: i32, flags: rustix::io::FdFlags) {
    // SAFETY: the descriptor is only flagged, not read, and not kept; one that is not open is an error that is ignored.
    let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    let _ = rustix::io::fcntl_setfd(descriptor, flags);
}
