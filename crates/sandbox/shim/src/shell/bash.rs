//! One interactive bash: typed at through a pipe, and heard of at the end of each command.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use trajforge_shim::protocol::{Identity, Problem, ProblemKind};

use super::BUFFER;
use crate::children::Exit;
use crate::exec::output_pipe;
use crate::outlet::{failed_to, problem};
use crate::process::{send, signal_session};
use crate::spawn::Launch;
use crate::world::World;

/// The numbers that a session's two pipes have inside bash; high, so that no script trips over them.
const MARKER_FD: i32 = 250;
const OUTPUT_FD: i32 = 251;
const PREPARE: &str = "set +H +o history; unset HISTFILE MAILCHECK TMOUT; PS1= PS2=\n";

/// One running bash.
pub(super) struct Bash {
    pub(super) exit: Arc<Exit>,
    commands: File,
    pub(super) out: OwnedFd,
    pub(super) marker: File,
    nonce: String,
    /// What of the marker pipe is no whole record yet.
    record: Vec<u8>,
}

impl Bash {
    pub(super) fn start(world: &World, identity: Identity) -> Result<Self, Problem> {
        let Some(bash) = &world.bash else {
            return Err(problem(
                ProblemKind::Unsupported,
                "the image has no bash, so there are no shell sessions",
            ));
        };
        match Self::start_in(world, identity, bash, world.workspace()) {
            // The agent can take the workspace away, or close it to itself, and must still be able to go on.
            Err(error) if matches!(error.kind, ProblemKind::NoSuchFile | ProblemKind::Io) => {
                Self::start_in(world, identity, bash, PathBuf::from("/"))
            }
            other => other,
        }
    }

    fn start_in(world: &World, identity: Identity, bash: &str, cwd: PathBuf) -> Result<Self, Problem> {
        let (out, child_out) = output_pipe()?;
        let (marker, child_marker) = output_pipe()?;
        let (child_in, commands) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed_to("make a pipe", &error.into()))?;
        let launch = Launch {
            argv: [bash, "--noprofile", "--norc", "--noediting", "-i"].map(Into::into).to_vec(),
            cwd,
            variables: world.variables(identity, &std::collections::BTreeMap::new()),
            user: world.user(identity),
            stdio: [Stdio::from(child_in), Stdio::null(), Stdio::null()],
            descriptors: vec![(child_marker, MARKER_FD), (child_out, OUTPUT_FD)],
        };
        let exit = world.children.start(launch).map_err(|error| failed_to("start bash", &error))?;
        let mut bash = Self {
            exit,
            commands: File::from(commands),
            out,
            marker: File::from(marker),
            nonce: nonce().map_err(|error| failed_to("draw a random number", &error))?,
            record: Vec::new(),
        };
        let _ = bash.commands.write_all(PREPARE.as_bytes());
        Ok(bash)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.exit.code().is_none()
    }

    /// Types a command and the line that reports its end. A broken pipe shows as the end of bash.
    pub(super) fn enter(&mut self, command: &str, number: u64) {
        let quoted = command.replace('\'', r"'\''");
        let text = format!(
            "builtin eval '{quoted}' </dev/null >&{OUTPUT_FD} 2>&1\n\
             builtin printf '%s %s %s\\0' {}.{number} \"$?\" \"$PWD\" >&{MARKER_FD}\n",
            self.nonce
        );
        let _ = self.commands.write_all(text.as_bytes());
    }

    /// Exit code and working directory, once the command of that number has ended.
    pub(super) fn ended(&mut self, number: u64) -> Option<(i32, PathBuf)> {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.marker.read(&mut buffer) {
            self.record.extend_from_slice(&buffer[..count]);
        }
        let name = format!("{}.{number} ", self.nonce);
        while let Some(end) = self.record.iter().position(|byte| *byte == 0) {
            let record: Vec<u8> = self.record.drain(..=end).collect();
            let Some(report) = record[..end].strip_prefix(name.as_bytes()) else {
                continue;
            };
            let report = String::from_utf8_lossy(report);
            let (code, cwd) = report.split_once(' ').unwrap_or((&report, ""));
            return Some((code.parse().unwrap_or(255), PathBuf::from(cwd)));
        }
        // Somebody else writes to this pipe: what has no end is thrown away.
        if self.record.len() > BUFFER {
            self.record.clear();
        }
        None
    }

    pub(super) fn kill(&self) {
        send(self.exit.pid(), Signal::KILL);
        signal_session(self.exit.pid(), Signal::KILL);
    }
}

fn nonce() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:024x}", u128::from_le_bytes(bytes)))
}
