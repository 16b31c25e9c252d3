//! Services: programs of the task that run beside the agent, until they are stopped.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use trajforge_shim::protocol::{Problem, ProblemKind, Service, Started, Stopped};

use crate::capture::Capture;
use crate::children::Exit;
use crate::exec::{output_pipe, read_some, script, stdio, time_until};
use crate::outlet::{failed_to, problem};
use crate::process::{send, signal_session};
use crate::spawn::Launch;
use crate::world::World;

/// Between two looks at whether a service is ready.
const PROBE: Duration = Duration::from_millis(30);
/// One look, at most.
const PROBE_MS: u64 = 5000;
/// How long a service may take to stop by itself.
const STOP: Duration = Duration::from_secs(10);
/// How long its output is waited for after it has ended: what it left behind may hold the pipe for ever.
const LINGER: Duration = Duration::from_millis(200);
/// Bytes of its output that are kept: the end.
const KEPT: usize = 16 << 10;

/// All services that were started and not stopped, by name.
#[derive(Default)]
pub(crate) struct Services {
    running: Mutex<BTreeMap<String, Running>>,
}

#[derive(Clone)]
struct Running {
    exit: Arc<Exit>,
    output: Arc<Mutex<Capture>>,
    is_drained: Arc<AtomicBool>,
}

impl Running {
    /// What it printed before its end may still be in the pipe.
    fn wait_for_output(&self) {
        let deadline = Instant::now() + LINGER;
        while !self.is_drained.load(Ordering::Acquire) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Services {
    /// Starts one and waits until it is ready, has ended, or is not ready in time.
    pub(crate) fn start(&self, world: &World, service: &Service) -> Result<(Started, Vec<u8>), Problem> {
        let began = Instant::now();
        let running = self.launch(world, service)?;
        let deadline = began + Duration::from_millis(service.ready_ms);
        let mut probe = script(&service.ready, service.identity, PROBE_MS);
        probe.output_bytes = 0;
        let ready = loop {
            if running.exit.code().is_some() {
                break false;
            }
            if crate::exec::run(world, &probe, &[])?.0.exit_code == 0 {
                break true;
            }
            if Instant::now() >= deadline {
                break false;
            }
            let next = (Instant::now() + PROBE).min(deadline);
            wait_for(&running.exit, next);
        };
        let started = Started {
            ready,
            exit_code: running.exit.code(),
            waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        if started.exit_code.is_some() {
            running.wait_for_output();
        }
        let output = running.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok((started, output.bytes))
    }

    fn launch(&self, world: &World, service: &Service) -> Result<Running, Problem> {
        let mut table = self.lock();
        if table.get(&service.name).is_some_and(|other| other.exit.code().is_none()) {
            return Err(problem(
                ProblemKind::Refused,
                format!("a service named {} is running already", service.name),
            ));
        }
        let (out, child_out) = output_pipe()?;
        let shell = world.bash.as_deref().unwrap_or("/bin/sh");
        let launch = Launch {
            argv: [shell, "-c", &service.run].map(Into::into).to_vec(),
            cwd: world.workspace(),
            variables: world.variables(service.identity, &BTreeMap::new()),
            user: world.user(service.identity),
            stdio: [Stdio::null(), stdio(&child_out)?, Stdio::from(child_out)],
            descriptors: Vec::new(),
        };
        let exit = world
            .children
            .start(launch)
            .map_err(|error| failed_to(&format!("start the service {}", service.name), &error))?;
        let output = Arc::new(Mutex::new(Capture::tail(KEPT)));
        let kept = Arc::clone(&output);
        let is_drained = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_drained);
        thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || {
                drain(&out, &kept);
                ended.store(true, Ordering::Release);
            })
            .map_err(|error| failed_to("watch a service", &error))?;
        let running = Running { exit, output, is_drained };
        table.insert(service.name.clone(), running.clone());
        Ok(running)
    }

    /// Asks all to stop, at once; kills what has not after ten seconds, and whatever they leave behind.
    pub(crate) fn stop(&self) -> Vec<Stopped> {
        let all = std::mem::take(&mut *self.lock());
        for running in all.values() {
            if running.exit.code().is_none() {
                signal_session(running.exit.pid(), Signal::TERM);
            }
        }
        let deadline = Instant::now() + STOP;
        let mut stopped = Vec::new();
        for (name, running) in all {
            wait_for(&running.exit, deadline);
            let killed = running.exit.code().is_none();
            if killed {
                send(running.exit.pid(), Signal::KILL);
            }
            signal_session(running.exit.pid(), Signal::KILL);
            wait_for(&running.exit, Instant::now() + Duration::from_secs(1));
            stopped.push(Stopped { name, exit_code: running.exit.code().unwrap_or(137), killed });
        }
        stopped
    }

    /// The sessions that services live in.
    pub(crate) fn sessions(&self) -> HashSet<i32> {
        self.lock()
            .values()
            .filter(|running| running.exit.code().is_none())
            .map(|running| running.exit.pid())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait_for(exit: &Exit, until: Instant) {
    while exit.code().is_none() && Instant::now() < until {
        let mut waiting = [PollFd::from_borrowed_fd(exit.ended(), PollFlags::IN)];
        let _ = poll(&mut waiting, Some(&time_until(until)));
    }
}

fn drain(out: &impl AsFd, kept: &Mutex<Capture>) {
    let mut buffer = vec![0; 8 << 10];
    loop {
        let mut waiting = [PollFd::new(out, PollFlags::IN)];
        let _ = poll(&mut waiting, None);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !read_some(out, &mut buffer, &mut kept) {
            return;
        }
    }
}
