//! Persistent bash sessions: one interactive bash each, fed by a pipe, watched by a thread of its own.
//!
//! Bash is interactive (`-i`) although no terminal is there, because only then it survives an interrupt, a syntax
//! error or a failed expansion. Its own output goes nowhere, so that no prompt is ever seen; each command is an
//! `eval` whose output goes to the session's pipe. A second line then writes the exit code and the working directory
//! to a pipe of its own, under a name that only this command knows: output can't be mistaken for it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use trajforge_shim::protocol::{Identity, Problem, ProblemKind, Ran, Shell};

use crate::capture::{Capture, Captured};
use crate::children::Exit;
use crate::exec::{Ladder, microseconds, output_pipe, read_some, time_until};
use crate::outlet::{failed_to, problem};
use crate::process::{send, signal_commands, signal_session, ticks};
use crate::spawn::Launch;
use crate::world::World;

/// The numbers that a session's two pipes have inside bash; high, so that no script trips over them.
const MARKER_FD: i32 = 250;
const OUTPUT_FD: i32 = 251;
const BUFFER: usize = 64 << 10;
const PREPARE: &str = "set +H +o history; unset HISTFILE MAILCHECK TMOUT; PS1= PS2=\n";

/// What is done with the end of a command.
pub(crate) type Answer = Box<dyn FnOnce(Result<(Ran, Vec<u8>), Problem>) + Send>;

/// All sessions, by name.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<String, Session>>,
}

struct Session {
    jobs: Sender<(Shell, Answer)>,
    wake: OwnedFd,
    cwd: Arc<Mutex<PathBuf>>,
}

impl Sessions {
    /// Hands a command to its session, which is begun if need be. Commands of one session run one after the other.
    pub(crate) fn run(&self, world: &Arc<World>, shell: Shell, answer: Answer) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains_key(&shell.session) {
            match begin(world) {
                Ok(session) => {
                    open.insert(shell.session.clone(), session);
                }
                Err(problem) => return answer(Err(problem)),
            }
        }
        if let Some(session) = open.get(&shell.session) {
            let _ = session.jobs.send((shell, answer));
            let _ = rustix::io::write(&session.wake, &1u64.to_ne_bytes());
        }
    }

    /// Where a session stands; nothing if it was never begun.
    pub(crate) fn cwd(&self, session: &str) -> Option<PathBuf> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let cwd = open.get(session)?.cwd.lock().unwrap_or_else(PoisonError::into_inner);
        Some(cwd.clone())
    }
}

fn begin(world: &Arc<World>) -> Result<Session, Problem> {
    let (jobs, arriving) = channel();
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| failed_to("begin a shell", &error.into()))?;
    let woken = wake.try_clone().map_err(|error| failed_to("begin a shell", &error))?;
    let cwd = Arc::new(Mutex::new(world.workspace()));
    let mut keeper = Keeper {
        world: Arc::clone(world),
        bash: Bash::start(world)?,
        arriving,
        woken,
        cwd: Arc::clone(&cwd),
        commands: 0,
        fresh: true,
        pending: Capture::new(BUFFER as u64),
        buffer: vec![0; BUFFER],
    };
    thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(move || keeper.serve())
        .map_err(|error| failed_to("begin a shell", &error))?;
    Ok(Session { jobs, wake, cwd })
}

/// One running bash.
struct Bash {
    exit: Arc<Exit>,
    commands: File,
    out: OwnedFd,
    marker: File,
    nonce: String,
    /// What of the marker pipe is no whole record yet.
    record: Vec<u8>,
}

impl Bash {
    fn start(world: &World) -> Result<Self, Problem> {
        let Some(bash) = &world.bash else {
            return Err(problem(
                ProblemKind::Unsupported,
                "the image has no bash, so there are no shell sessions",
            ));
        };
        match Self::start_in(world, bash, world.workspace()) {
            // The agent can take the workspace away, or close it to itself, and must still be able to go on.
            Err(error) if matches!(error.kind, ProblemKind::NoSuchFile | ProblemKind::Io) => {
                Self::start_in(world, bash, PathBuf::from("/"))
            }
            other => other,
        }
    }

    fn start_in(world: &World, bash: &str, cwd: PathBuf) -> Result<Self, Problem> {
        let (out, child_out) = output_pipe()?;
        let (marker, child_marker) = output_pipe()?;
        let (child_in, commands) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed_to("make a pipe", &error.into()))?;
        let launch = Launch {
            argv: [bash, "--noprofile", "--norc", "--noediting", "-i"].map(Into::into).to_vec(),
            cwd,
            variables: world.variables(Identity::Agent, &std::collections::BTreeMap::new()),
            user: world.user(Identity::Agent),
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

    fn is_alive(&self) -> bool {
        self.exit.code().is_none()
    }

    /// Types a command and the line that reports its end. A broken pipe shows as the end of bash.
    fn enter(&mut self, command: &str, number: u64) {
        let quoted = command.replace('\'', r"'\''");
        let text = format!(
            "builtin eval '{quoted}' </dev/null >&{OUTPUT_FD} 2>&1\n\
             builtin printf '%s %s %s\\0' {}.{number} \"$?\" \"$PWD\" >&{MARKER_FD}\n",
            self.nonce
        );
        let _ = self.commands.write_all(text.as_bytes());
    }

    /// Exit code and working directory, once the command of that number has ended.
    fn ended(&mut self, number: u64) -> Option<(i32, PathBuf)> {
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

    fn kill(&self) {
        send(self.exit.pid(), Signal::KILL);
        signal_session(self.exit.pid(), Signal::KILL);
    }
}

fn nonce() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:024x}", u128::from_le_bytes(bytes)))
}

/// The thread that owns a session.
struct Keeper {
    world: Arc<World>,
    bash: Bash,
    arriving: Receiver<(Shell, Answer)>,
    woken: OwnedFd,
    cwd: Arc<Mutex<PathBuf>>,
    commands: u64,
    /// Whether no command has run in this bash, so that its loss goes unnoticed.
    fresh: bool,
    /// What background jobs print between commands; the next command's output begins with it.
    pending: Capture,
    buffer: Vec<u8>,
}

enum End {
    Reported(i32, PathBuf),
    Died(i32),
    Stuck,
}

impl Keeper {
    fn serve(&mut self) {
        while let Some((shell, answer)) = self.next_job() {
            answer(self.run(&shell));
        }
    }

    /// Waits for the next command; meanwhile no background job may block on a full pipe.
    fn next_job(&mut self) -> Option<(Shell, Answer)> {
        let mut open = true;
        loop {
            match self.arriving.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            let mut waiting = vec![PollFd::new(&self.woken, PollFlags::IN)];
            if open {
                waiting.push(PollFd::new(&self.bash.out, PollFlags::IN));
            }
            let _ = poll(&mut waiting, None);
            drop(waiting);
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.woken, &mut count);
            open = open && read_some(&self.bash.out, &mut self.buffer, &mut self.pending);
        }
    }

    fn run(&mut self, shell: &Shell) -> Result<(Ran, Vec<u8>), Problem> {
        if shell.command.contains('\0') {
            return Err(problem(ProblemKind::Refused, "a command can't hold a NUL byte"));
        }
        let started = Instant::now();
        let mut restarted = false;
        if !self.bash.is_alive() {
            restarted = !self.fresh;
            self.begin_anew()?;
        }
        self.fresh = false;
        self.commands += 1;
        let mut capture = Capture::new(shell.output_bytes);
        if !self.pending.is_empty() {
            capture.push(&self.pending.take().bytes);
        }
        let since = ticks();
        self.bash.enter(&shell.command, self.commands);
        let mut ladder = Ladder::new(started, Duration::from_millis(shell.timeout_ms));
        let end = self.wait(&mut ladder, since, &mut capture);
        self.drain(&mut capture);
        let exit_code = match end {
            End::Reported(code, cwd) => {
                self.stand(&cwd);
                code
            }
            End::Died(code) => {
                restarted = true;
                self.begin_anew()?;
                code
            }
            End::Stuck => {
                restarted = true;
                self.bash.kill();
                self.begin_anew()?;
                137
            }
        };
        let mut kept = capture.take();
        without_complaints(&mut kept);
        Ok(self.ran(exit_code, &ladder, restarted, (started, kept)))
    }

    fn ran(
        &self,
        exit_code: i32,
        ladder: &Ladder,
        restarted: bool,
        (started, kept): (Instant, Captured),
    ) -> (Ran, Vec<u8>) {
        let cwd = self.cwd.lock().unwrap_or_else(PoisonError::into_inner);
        let ran = Ran {
            exit_code,
            timed_out: ladder.was_climbed(),
            head_bytes: kept.head_bytes,
            cut_bytes: kept.cut_bytes,
            duration_us: microseconds(started.elapsed()),
            cwd: Some(cwd.to_string_lossy().into_owned()),
            restarted,
        };
        (ran, kept.bytes)
    }

    fn wait(&mut self, ladder: &mut Ladder, since: u64, capture: &mut Capture) -> End {
        loop {
            if let Some((code, cwd)) = self.bash.ended(self.commands) {
                return End::Reported(code, cwd);
            }
            if let Some(code) = self.bash.exit.code() {
                return End::Died(code);
            }
            if let Some(signal) = ladder.due() {
                self.signal(signal, since);
            } else if ladder.is_exhausted() {
                return End::Stuck;
            }
            let mut waiting = [
                PollFd::new(&self.bash.out, PollFlags::IN),
                PollFd::new(&self.bash.marker, PollFlags::IN),
                PollFd::from_borrowed_fd(self.bash.exit.ended(), PollFlags::IN),
            ];
            let _ = poll(&mut waiting, Some(&time_until(ladder.next())));
            let has_output = !waiting[0].revents().is_empty();
            if has_output {
                read_some(self.bash.out.as_fd(), &mut self.buffer, capture);
            }
        }
    }

    /// Interrupts bash and what it runs. Background jobs ignore the interrupt; what was started before the command is
    /// spared by the harder signals too.
    fn signal(&self, signal: Signal, since: u64) {
        let shell = self.bash.exit.pid();
        signal_commands(shell, since, signal);
        send(shell, Signal::INT);
    }

    /// Takes in what was printed before the end was reported, and no more: a background job may print for ever.
    fn drain(&mut self, capture: &mut Capture) {
        let mut left = rustix::io::ioctl_fionread(&self.bash.out).unwrap_or(0);
        while left > 0 {
            let room = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let Ok(count @ 1..) = rustix::io::read(&self.bash.out, &mut self.buffer[..room]) else {
                break;
            };
            capture.push(&self.buffer[..count]);
            left -= count as u64;
        }
    }

    fn begin_anew(&mut self) -> Result<(), Problem> {
        self.bash = Bash::start(&self.world)?;
        self.pending.take();
        let workspace = self.world.workspace();
        self.stand(&workspace);
        self.fresh = true;
        Ok(())
    }

    fn stand(&self, cwd: &Path) {
        if cwd.is_absolute() {
            let mut here = self.cwd.lock().unwrap_or_else(PoisonError::into_inner);
            cwd.clone_into(&mut here);
        }
    }
}

/// An interactive bash whose child was killed by a signal complains that there is no terminal to mend: nothing that
/// anybody has caused or can use, so it is taken out.
fn without_complaints(kept: &mut Captured) {
    const COMPLAINT: &[u8] = b"] tcsetattr: Inappropriate ioctl for device\n";
    let mut from = 0;
    while let Some(found) = kept.bytes[from..].windows(COMPLAINT.len()).position(|part| part == COMPLAINT) {
        let end = from + found + COMPLAINT.len();
        let start = kept.bytes[..from + found]
            .windows(7)
            .rposition(|part| part == b"bash: [")
            .filter(|start| !kept.bytes[*start..from + found].contains(&b'\n'));
        let Some(start) = start else {
            from = end;
            continue;
        };
        kept.bytes.drain(start..end);
        let in_head = end.min(usize::try_from(kept.head_bytes).unwrap_or(usize::MAX)).saturating_sub(start);
        kept.head_bytes -= in_head as u64;
        from = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complaint_about_a_terminal_is_taken_out() {
        let complaint = b"bash: [20: 1 (255)] tcsetattr: Inappropriate ioctl for device\n";
        let bytes = [b"a\n".as_slice(), complaint, b"b\n", complaint, b"] tcsetattr: x\n"].concat();
        let mut kept = Captured { head_bytes: 2 + complaint.len() as u64, bytes, cut_bytes: 0 };
        without_complaints(&mut kept);
        assert_eq!(kept.bytes, b"a\nb\n] tcsetattr: x\n");
        assert_eq!(kept.head_bytes, 2);
    }
}
