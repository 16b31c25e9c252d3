//! The disk limit, watched from inside: hardly any storage driver can enforce one.
//!
//! A thread watches the room on the disk beneath, and when enough of it has gone, or once in a while, adds up what the container's own layer holds: everything whose inode has changed since the sandbox began,
//! which no agent can hide, since nobody in a container can set the clock. A whole look is rare; in between only the
//! folders that the agent can write to are looked at. What is written faster than the looks follow each other is
//! bounded by the limit on a single file, which every process of the agent has.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Stat, fstat, fstatvfs};
use rustix::time::{ClockId, clock_gettime};
use trajforge_shim::protocol::{Identity, Problem, ProblemKind};

use crate::folder::{self, Item, Next, walk};
use crate::identity::acting_as;
use crate::outlet::problem;
use crate::process;
use crate::world::World;

/// Until the first look: most sandboxes of a scripted agent are gone before.
const FIRST: Duration = Duration::from_millis(500);
/// Between two looks, at least; and at least this many times what the last one took.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSES: u32 = 10;
/// Even where the disk beneath has as much room as ever: somebody else may have freed what was used here.
const AT_LEAST_EVERY: Duration = Duration::from_secs(15);
/// Between two whole looks, in multiples of what one takes.
const WHOLE_PAUSES: u32 = 60;
/// What an entry holds at least: an empty file takes an inode.
const ENTRY: u64 = 4096;
const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// What the watcher has found and nobody was told.
#[derive(Default)]
pub(crate) struct Quota {
    exceeded: Mutex<Option<Problem>>,
}

impl Quota {
    /// The limit that was exceeded since the last time somebody asked.
    pub(crate) fn take(&self) -> Option<Problem> {
        self.exceeded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn tell(&self, problem: Problem) {
        *self.exceeded.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }
}

/// Begins to watch, up to so many bytes.
pub(crate) fn watch(world: &Arc<World>, max_bytes: u64) -> io::Result<()> {
    let began = clock_gettime(ClockId::Realtime);
    let root = folder::find(b"/")?;
    let device = fstat(&root)?.st_dev;
    let mut watcher = Watcher {
        world: Arc::clone(world),
        max_bytes,
        device,
        free: free(&root).unwrap_or(u64::MAX),
        looked: Instant::now(),
        // File systems take the time from a coarser clock, which may be behind.
        since: began.tv_sec - 1,
        doors: Vec::new(),
        whole: None,
        reported: 0,
        strikes: 0,
        root,
    };
    thread::Builder::new().stack_size(512 << 10).spawn(move || watcher.serve()).map(drop)
}

struct Watcher {
    world: Arc<World>,
    max_bytes: u64,
    root: OwnedFd,
    device: u64,
    /// The most bytes of room that there were on the disk beneath since the watch began.
    free: u64,
    looked: Instant,
    since: i64,
    /// Where the agent can make files, as of the last whole look.
    doors: Vec<Vec<u8>>,
    /// When the next whole look is due.
    whole: Option<Instant>,
    /// The use at the last kill: an agent that tidies up is left alone.
    reported: u64,
    strikes: u32,
}

/// What a look has found so far.
#[derive(Default)]
struct Sum {
    bytes: u64,
    linked: HashSet<u64>,
}

impl Watcher {
    fn serve(&mut self) -> ! {
        let score = fs::read(OOM_SCORE).unwrap_or_default();
        let mut pause = FIRST;
        loop {
            thread::sleep(pause);
            // An agent who is root can offer the shim to the kernel as the first to be killed.
            if fs::read(OOM_SCORE).is_ok_and(|present| present != score) {
                let _ = fs::write(OOM_SCORE, &score);
            }
            let began = Instant::now();
            if !self.is_due(began) {
                pause = PAUSE;
                continue;
            }
            self.looked = began;
            match self.look() {
                Ok(bytes) if bytes <= self.max_bytes => (self.reported, self.strikes) = (0, 0),
                Ok(bytes) if bytes <= self.reported => {}
                Ok(bytes) => {
                    self.reported = bytes;
                    let max_bytes = self.max_bytes;
                    self.end(format!("the sandbox's disk holds {bytes} bytes, {max_bytes} are allowed"));
                }
                Err(problem) => self.end(problem.message),
            }
            pause = PAUSE.max(began.elapsed() * PAUSES);
        }
    }

    /// Whether so much room has gone that this sandbox may be the reason, or the last look was long ago.
    fn is_due(&mut self, now: Instant) -> bool {
        let free = free(&self.root).unwrap_or(0);
        // What others have given back must not hide what goes here.
        self.free = self.free.max(free);
        let gone = self.free.saturating_sub(free);
        gone >= self.max_bytes / 4 || self.reported > 0 || now - self.looked >= AT_LEAST_EVERY
    }

    /// Services are the task's, and only go when ending the agent was not enough.
    fn end(&mut self, reason: String) {
        let spared = if self.strikes == 0 { self.world.services.sessions() } else { HashSet::new() };
        self.strikes += 1;
        // Told before: whoever waits for one of these processes has to find the reason.
        self.world.quota.tell(problem(ProblemKind::Limit, reason));
        process::kill_user(self.world.agent().0, &spared);
    }

    fn look(&mut self) -> Result<u64, Problem> {
        let mut sum = Sum::default();
        let began = Instant::now();
        if self.whole.is_none_or(|due| due <= began) {
            let mut doors = Vec::new();
            walk(&self.root, &mut Vec::new(), 0, &mut |item| {
                let next = self.count(item, &mut sum)?;
                if next == Next::Enter && self.is_door(&item.stat) && !is_below(item.path, doors.last()) {
                    doors.push(item.path.to_vec());
                }
                Ok(next)
            })?;
            self.doors = doors;
            self.whole = Some(Instant::now() + began.elapsed() * WHOLE_PAUSES);
        } else {
            for door in &self.doors {
                if let Ok(folder) = folder::find(&[b"/", door.as_slice()].concat()) {
                    walk(&folder, &mut Vec::new(), 0, &mut |item| self.count(item, &mut sum))?;
                }
            }
        }
        Ok(sum.bytes + self.deleted())
    }

    fn count(&self, item: &Item<'_>, sum: &mut Sum) -> Result<Next, Problem> {
        let stat = &item.stat;
        let is_folder = item.kind() == FileType::Directory;
        if is_folder && stat.st_dev != self.device {
            return Ok(Next::Pass);
        }
        item.is_in_reach()?;
        let is_counted = is_folder || stat.st_nlink < 2 || sum.linked.insert(stat.st_ino);
        if stat.st_ctime >= self.since && is_counted {
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
            sum.bytes += ENTRY.max(blocks.saturating_mul(512));
        }
        Ok(Next::Enter)
    }

    fn is_door(&self, stat: &Stat) -> bool {
        let (uid, gid) = self.world.agent();
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        is_folder
            && (stat.st_uid == uid
                || stat.st_mode & 0o002 != 0
                || stat.st_gid == gid && stat.st_mode & 0o020 != 0)
    }

    /// What files hold that have no name any more, and are kept by whoever has them open.
    fn deleted(&self) -> u64 {
        let uid = self.world.agent().0;
        let mut seen = HashSet::new();
        let looking = || {
            let files = process::of_user(uid).into_iter().flat_map(open_files);
            files
                .filter(|file| file.nlink() == 0 && file.is_file() && file.dev() == self.device)
                .filter(|file| seen.insert(file.ino()))
                .map(|file| file.blocks().saturating_mul(512))
                .sum()
        };
        // The kernel shows a process's files to its own user, and to root only with a power that the shim has not.
        acting_as(self.world.user(Identity::Agent), looking).unwrap_or(0)
    }
}

/// Bytes of room on the disk beneath, where that can be told; where it can't every look is due.
fn free(root: &OwnedFd) -> Option<u64> {
    fstatvfs(root).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn open_files(pid: i32) -> impl Iterator<Item = fs::Metadata> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::metadata(entry.path()).ok())
}

fn is_below(path: &[u8], folder: Option<&Vec<u8>>) -> bool {
    folder
        .is_some_and(|folder| path.strip_prefix(folder.as_slice()).is_some_and(|rest| rest.starts_with(b"/")))
}
