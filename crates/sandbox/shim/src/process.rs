//! What runs in the container, as `/proc` tells it, and signals to parts of it.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use trajforge_shim::protocol::Meanwhile;

/// One process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    /// In clock ticks since the machine started.
    started: u64,
    is_zombie: bool,
    is_stopped: bool,
}

/// Every process of the container but the shim.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1)
        .filter_map(look)
        .collect()
}

fn look(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything; what follows the last one is plain.
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let stat = std::str::from_utf8(stat.get(after..)?).ok()?;
    let fields: Vec<&str> = stat.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
        is_stopped: matches!(*fields.first()?, "T"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The present, in the same ticks that processes' starts are counted in.
pub(crate) fn ticks() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 =
        uptime.split_ascii_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an uptime is small and positive"
    )]
    let ticks = (seconds * rustix::param::clock_ticks_per_second() as f64) as u64;
    ticks
}

/// Sends a signal to everything in a session.
pub(crate) fn signal_session(session: i32, signal: Signal) {
    for process in all() {
        if process.session == session {
            send(process.pid, signal);
        }
    }
}

/// Sends a signal to what a shell has started since a moment: what is in its session or descends from it.
pub(crate) fn signal_commands(shell: i32, since: u64, signal: Signal) {
    let processes = all();
    let mut family: HashSet<i32> = HashSet::from([shell]);
    loop {
        let before = family.len();
        for process in &processes {
            if process.session == shell || family.contains(&process.parent) {
                family.insert(process.pid);
            }
        }
        if family.len() == before {
            break;
        }
    }
    for process in processes {
        if process.pid != shell && process.started >= since && family.contains(&process.pid) {
            send(process.pid, signal);
        }
    }
}

/// The agent's processes, stopped until this is dropped.
pub(crate) struct Standstill {
    stopped: Vec<i32>,
}

impl Standstill {
    /// What a request asks to be done meanwhile; the sessions that are spared are looked for only where it matters.
    pub(crate) fn during(
        meanwhile: Meanwhile,
        uid: u32,
        spared: impl FnOnce() -> HashSet<i32>,
    ) -> Option<Self> {
        match meanwhile {
            Meanwhile::Running => None,
            Meanwhile::Stopped => Some(Self::of(uid, &spared())),
        }
    }

    /// Stops what a user runs outside some sessions, until a look finds nothing of it that still runs.
    fn of(uid: u32, spared: &HashSet<i32>) -> Self {
        let mut stopped = HashSet::new();
        for _ in 0..50 {
            let running: Vec<i32> = all()
                .into_iter()
                .filter(|process| {
                    !process.is_zombie && !process.is_stopped && !spared.contains(&process.session)
                })
                .map(|process| process.pid)
                .filter(|pid| !stopped.contains(pid) && is_owned_by(*pid, uid))
                .collect();
            if running.is_empty() {
                break;
            }
            for pid in &running {
                send(*pid, Signal::STOP);
            }
            stopped.extend(running);
        }
        Self { stopped: stopped.into_iter().collect() }
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        for pid in &self.stopped {
            send(*pid, Signal::CONT);
        }
    }
}

/// The processes of a user.
pub(crate) fn of_user(uid: u32) -> Vec<i32> {
    let pids = all().into_iter().filter(|process| !process.is_zombie).map(|process| process.pid);
    pids.filter(|pid| is_owned_by(*pid, uid)).collect()
}

/// Kills what a user runs outside some sessions; of root, whom nothing tells from the checks, everything else too.
pub(crate) fn kill_user(uid: u32, spared: &HashSet<i32>) {
    if uid == 0 {
        kill_others(spared);
        return;
    }
    for _ in 0..500 {
        let victims =
            all().into_iter().filter(|process| !process.is_zombie && !spared.contains(&process.session));
        let victims: Vec<i32> =
            victims.map(|process| process.pid).filter(|pid| is_owned_by(*pid, uid)).collect();
        if victims.is_empty() {
            break;
        }
        for pid in victims {
            send(pid, Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn is_owned_by(pid: i32, uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|metadata| metadata.uid() == uid)
}

/// Kills everything outside some sessions, until a look finds nothing more. Says how many were killed.
pub(crate) fn kill_others(spared: &HashSet<i32>) -> u64 {
    let mut killed = HashSet::new();
    for _ in 0..500 {
        if spared.is_empty() {
            killed.extend(all().iter().filter(|process| !process.is_zombie).map(|process| process.pid));
            crate::spawn::kill_everything();
        }
        let victims: Vec<i32> = all()
            .iter()
            .filter(|process| !process.is_zombie && !spared.contains(&process.session))
            .map(|process| process.pid)
            .collect();
        if victims.is_empty() {
            break;
        }
        for pid in &victims {
            send(*pid, Signal::KILL);
        }
        killed.extend(victims);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    killed.len() as u64
}

/// Sends one signal; a process that is gone is none to worry about.
pub(crate) fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 1) {
        let _ = kill_process(pid, signal);
    }
}
