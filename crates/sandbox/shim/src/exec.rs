//! One program from start to end: its input fed, its output bounded, its time limited.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use trajforge_shim::protocol::{Command, Exec, Identity, Meanwhile, Problem, Ran, SECRET_FOLDER};

use crate::capture::Capture;
use crate::children::Exit;
use crate::outlet::failed_to;
use crate::process::{Standstill, signal_session};
use crate::spawn::Launch;
use crate::world::World;

/// Between an interrupt, a termination and a kill.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// How long output is waited for after the program itself has ended: what it left behind may hold the pipe for ever.
const LINGER: Duration = Duration::from_millis(20);
const BUFFER: usize = 64 << 10;

/// Runs a program; the bytes are its output.
pub(crate) fn run(world: &World, exec: &Exec, stdin: &[u8]) -> Result<(Ran, Vec<u8>), Problem> {
    let started = Instant::now();
    let script = Script::of(exec).map_err(|error| failed_to("lay down a script", &error))?;
    let _standstill = Standstill::during(exec.meanwhile, world.agent().0, || world.spared());
    let (out, child_out) = output_pipe()?;
    let (input, child_in) = input_pipe(stdin)?;
    let launch = Launch {
        argv: argv(world, exec, script.as_ref()),
        cwd: exec.cwd.clone().map_or_else(|| world.workspace(), PathBuf::from),
        variables: world.variables(exec.identity, &exec.variables),
        user: world.user(exec.identity),
        stdio: [child_in, stdio(&child_out)?, Stdio::from(child_out)],
        descriptors: Vec::new(),
    };
    let name = launch.argv.first().map(|name| name.to_string_lossy().into_owned());
    let exit = match world.children.start(launch) {
        Ok(exit) => exit,
        Err(error) => return not_started(&name.unwrap_or_default(), &error),
    };
    let mut program = Program {
        exit,
        out,
        input: input.map(|pipe| (pipe, stdin)),
        capture: Capture::new(exec.output_bytes),
        buffer: vec![0; BUFFER],
    };
    let timed_out = program.wait(started, Duration::from_millis(exec.timeout_ms));
    let kept = program.capture.take();
    let ran = Ran {
        exit_code: program.exit.code().unwrap_or(137),
        timed_out,
        head_bytes: kept.head_bytes,
        cut_bytes: kept.cut_bytes,
        duration_us: microseconds(started.elapsed()),
        cwd: None,
        restarted: false,
    };
    Ok((ran, kept.bytes))
}

struct Program<'a> {
    exit: Arc<Exit>,
    out: OwnedFd,
    input: Option<(OwnedFd, &'a [u8])>,
    capture: Capture,
    buffer: Vec<u8>,
}

impl Program<'_> {
    /// Waits for the end, enforcing it if need be; says whether it had to.
    fn wait(&mut self, started: Instant, timeout: Duration) -> bool {
        let mut ladder = Ladder::new(started, timeout);
        let mut open = true;
        while self.exit.code().is_none() {
            if let Some(signal) = ladder.due() {
                signal_session(self.exit.pid(), signal);
            } else if ladder.is_exhausted() {
                break;
            }
            open = self.step(open, ladder.next());
        }
        if ladder.was_climbed() {
            // The program heeded a signal; what it started may not have.
            signal_session(self.exit.pid(), Signal::KILL);
        }
        let deadline = Instant::now() + LINGER;
        while open && Instant::now() < deadline {
            open = self.step(open, deadline);
        }
        ladder.was_climbed()
    }

    /// One round of whatever happens first; says whether the output is still open.
    fn step(&mut self, open: bool, until: Instant) -> bool {
        let ended = self.exit.code().is_some();
        let mut waiting = Vec::with_capacity(3);
        if open {
            waiting.push(PollFd::new(&self.out, PollFlags::IN));
        }
        if !ended {
            waiting.push(PollFd::from_borrowed_fd(self.exit.ended(), PollFlags::IN));
        }
        if let Some((pipe, _)) = &self.input {
            waiting.push(PollFd::new(pipe, PollFlags::OUT));
        }
        if !waiting.is_empty() {
            // Without anything to wait for, the program has ended since the caller looked.
            let _ = poll(&mut waiting, Some(&time_until(until)));
        }
        drop(waiting);
        self.feed();
        !open || read_some(self.out.as_fd(), &mut self.buffer, &mut self.capture)
    }

    fn feed(&mut self) {
        let Some((pipe, left)) = &mut self.input else {
            return;
        };
        match rustix::io::write(&*pipe, left) {
            Ok(written) => *left = &left[written..],
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
            Err(_) => *left = &[],
        }
        if left.is_empty() {
            self.input = None;
        }
    }
}

/// The steps by which something that runs too long is ended.
pub(crate) struct Ladder {
    next: Instant,
    rungs: &'static [Signal],
    climbed: bool,
}

impl Ladder {
    pub(crate) fn new(started: Instant, timeout: Duration) -> Self {
        Self {
            next: started.checked_add(timeout).unwrap_or_else(|| started + Duration::from_hours(24 * 365)),
            rungs: &[Signal::INT, Signal::TERM, Signal::KILL],
            climbed: false,
        }
    }

    /// The signal to be sent now, once.
    pub(crate) fn due(&mut self) -> Option<Signal> {
        if Instant::now() < self.next {
            return None;
        }
        let (signal, rest) = self.rungs.split_first()?;
        self.rungs = rest;
        self.climbed = true;
        self.next = Instant::now() + GRACE;
        Some(*signal)
    }

    /// When there may be something to do.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Whether any signal was sent.
    pub(crate) fn was_climbed(&self) -> bool {
        self.climbed
    }

    /// Whether all were, and the last one has had its time.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.rungs.is_empty() && Instant::now() >= self.next
    }
}

/// Takes in what is there; says whether there may be more.
pub(crate) fn read_some(out: impl AsFd, buffer: &mut [u8], capture: &mut Capture) -> bool {
    match rustix::io::read(out, &mut *buffer) {
        Ok(0) => false,
        Ok(count) => {
            capture.push(&buffer[..count]);
            true
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => true,
        Err(_) => false,
    }
}

/// A pipe whose read end never blocks.
pub(crate) fn output_pipe() -> Result<(OwnedFd, OwnedFd), Problem> {
    let made = pipe_with(PipeFlags::CLOEXEC).and_then(|(read, write)| {
        rustix::io::ioctl_fionbio(&read, true)?;
        Ok((read, write))
    });
    made.map_err(|error| failed_to("make a pipe", &error.into()))
}

fn input_pipe(stdin: &[u8]) -> Result<(Option<OwnedFd>, Stdio), Problem> {
    if stdin.is_empty() {
        return Ok((None, Stdio::null()));
    }
    let made = pipe_with(PipeFlags::CLOEXEC).and_then(|(read, write)| {
        rustix::io::ioctl_fionbio(&write, true)?;
        Ok((read, write))
    });
    let (read, write) = made.map_err(|error| failed_to("make a pipe", &error.into()))?;
    Ok((Some(write), Stdio::from(read)))
}

/// A copy of a descriptor, for a child.
pub(crate) fn stdio(pipe: &OwnedFd) -> Result<Stdio, Problem> {
    let copy = pipe.try_clone().map_err(|error| failed_to("copy a pipe", &error))?;
    Ok(Stdio::from(copy))
}

fn argv(world: &World, exec: &Exec, laid_down: Option<&Script>) -> Vec<std::ffi::OsString> {
    let shell = world.bash.as_deref().unwrap_or("/bin/sh");
    match (&exec.command, laid_down) {
        (Command::Argv(argv), _) => argv.iter().map(Into::into).collect(),
        (Command::Bash(_), Some(script)) => vec![shell.into(), script.path.clone().into()],
        (Command::Bash(script), None) => vec![shell.into(), "-c".into(), script.into()],
    }
}

/// A script of root's, in a file that only root can read: arguments could be read by everybody.
struct Script {
    path: PathBuf,
}

impl Script {
    fn of(exec: &Exec) -> io::Result<Option<Self>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (Identity::Root, Command::Bash(script)) = (exec.identity, &exec.command) else {
            return Ok(None);
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("{SECRET_FOLDER}/script-{number}"));
        fs::write(&path, script)?;
        Ok(Some(Self { path }))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn not_started(name: &str, error: &io::Error) -> Result<(Ran, Vec<u8>), Problem> {
    let exit_code = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => 127,
        Some(libc::EACCES | libc::ENOEXEC | libc::E2BIG) => 126,
        _ => return Err(failed_to(&format!("start {name}"), error)),
    };
    let output = format!("{name}: {error}\n").into_bytes();
    let ran = Ran { exit_code, head_bytes: output.len() as u64, ..Ran::default() };
    Ok((ran, output))
}

/// The time from here to a moment.
pub(crate) fn time_until(moment: Instant) -> Timespec {
    // Rounded up, so that the moment has come when the wait is over.
    let left = moment.saturating_duration_since(Instant::now()) + Duration::from_micros(50);
    Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 60, tv_nsec: 0 })
}

/// A duration as it goes over the wire.
pub(crate) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What an identity runs a plain script with, apart from what a request adds.
pub(crate) fn script(script: &str, identity: Identity, timeout_ms: u64) -> Exec {
    Exec {
        command: Command::Bash(script.to_owned()),
        identity,
        cwd: None,
        variables: std::collections::BTreeMap::new(),
        meanwhile: Meanwhile::Running,
        timeout_ms,
        output_bytes: 4096,
    }
}
