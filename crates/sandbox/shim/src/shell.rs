//! Persistent bash sessions: one interactive bash each, fed by a pipe, watched by a thread of its own.
//!
//! Bash is interactive (`-i`) although no terminal is there, because only then it survives an interrupt, a syntax
//! error or a failed expansion. Its own output goes nowhere, so that no prompt is ever seen; each command is an
//! `eval` whose output goes to the session's pipe. A second line then writes the exit code and the working directory
//! to a pipe of its own, under a name that only this command knows: output can't be mistaken for it.

mod bash;

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::Signal;
use trajforge_shim::protocol::{Identity, Problem, ProblemKind, Ran, Shell};

use self::bash::Bash;
use crate::capture::{Capture, Captured};
use crate::exec::{Ladder, microseconds, read_some, time_until};
use crate::outlet::{failed_to, problem};
use crate::process::{Standstill, send, signal_commands, ticks};
use crate::world::World;

const BUFFER: usize = 64 << 10;

/// What is done with the end of a command.
pub(crate) type Answer = Box<dyn FnOnce(Result<(Ran, Vec<u8>), Problem>) + Send>;

/// All sessions, by whose they are and their name.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<(Identity, String), Session>>,
}

struct Session {
    jobs: Sender<(Shell, Answer)>,
    wake: OwnedFd,
    cwd: Arc<Mutex<PathBuf>>,
    /// The process id of its bash.
    leader: Arc<AtomicI32>,
}

impl Sessions {
    /// Hands a command to its session, which is begun if need be. Commands of one session run one after the other.
    pub(crate) fn run(&self, world: &Arc<World>, shell: Shell, answer: Answer) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (shell.identity, shell.session.clone());
        if !open.contains_key(&name) {
            match begin(world, shell.identity) {
                Ok(session) => {
                    open.insert(name.clone(), session);
                }
                Err(problem) => return answer(Err(problem)),
            }
        }
        if let Some(session) = open.get(&name) {
            let _ = session.jobs.send((shell, answer));
            let _ = rustix::io::write(&session.wake, &1u64.to_ne_bytes());
        }
    }

    /// Where a session of the agent stands; nothing if it was never begun.
    pub(crate) fn cwd(&self, session: &str) -> Option<PathBuf> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get(&(Identity::Agent, session.to_owned()))?;
        let cwd = session.cwd.lock().unwrap_or_else(PoisonError::into_inner);
        Some(cwd.clone())
    }

    /// The process ids of root's own.
    pub(crate) fn of_root(&self) -> HashSet<i32> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_root = open.iter().filter(|((identity, _), _)| *identity == Identity::Root);
        of_root.map(|(_, session)| session.leader.load(Ordering::Relaxed)).collect()
    }
}

fn begin(world: &Arc<World>, identity: Identity) -> Result<Session, Problem> {
    let (jobs, arriving) = channel();
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| failed_to("begin a shell", &error.into()))?;
    let woken = wake.try_clone().map_err(|error| failed_to("begin a shell", &error))?;
    let cwd = Arc::new(Mutex::new(world.workspace()));
    let bash = Bash::start(world, identity)?;
    let leader = Arc::new(AtomicI32::new(bash.exit.pid()));
    let mut keeper = Keeper {
        world: Arc::clone(world),
        identity,
        bash,
        leader: Arc::clone(&leader),
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
    Ok(Session { jobs, wake, cwd, leader })
}

/// The thread that owns a session.
struct Keeper {
    world: Arc<World>,
    identity: Identity,
    bash: Bash,
    leader: Arc<AtomicI32>,
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
        let _standstill = Standstill::during(shell.meanwhile, self.world.agent().0, || self.world.spared());
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
        self.bash = Bash::start(&self.world, self.identity)?;
        self.leader.store(self.bash.exit.pid(), Ordering::Relaxed);
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
