//! The folder of a run: its plan, its queue, its journals and its lock.
//!
//! ```text
//! NAME/
//!   run.json                      the plan, written once
//!   followed.jsonl                attempts that were added because earlier ones failed
//!   queue.sqlite                  the queue (the scheduler's)
//!   spend.jsonl                   what was spent (the router's)
//!   lock                          held by the process that works on the run
//!   rollouts/ID.jsonl             the journal of a rollout
//!   rollouts/ID.scaffold/         what an external scaffold and its model said, and what it left and printed
//!   rollouts/ID.lost-1.jsonl      what earlier tries of it left behind
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use trajforge_schema::{RolloutId, RolloutSpec, RunPlan, Summary, WIRE_VERSION};

use crate::error::{Error, Result, failed};
use crate::followed;
use crate::journal::{self, JournalWriter, Read, sync_folder_of};

const PLAN: &str = "run.json";
const FOLLOWED: &str = "followed.jsonl";
const SPEND: &str = "spend.jsonl";
const QUEUE: &str = "queue.sqlite";
const LOCK: &str = "lock";
const ROLLOUTS: &str = "rollouts";

/// One run on disk.
#[derive(Debug, Clone)]
pub struct RunStore {
    folder: PathBuf,
    plan: RunPlan,
    followed: Vec<RolloutSpec>,
}

/// What a run has of one planned rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded<'a> {
    /// What was planned.
    pub spec: &'a RolloutSpec,
    /// Its journal; absent for one that has not begun, or whose header never reached the disk.
    pub journal: Option<Read>,
}

impl RunStore {
    /// Lays out a new run. The folder must not exist; it appears whole or not at all.
    pub fn create(folder: &Path, plan: RunPlan) -> Result<Self> {
        if folder.symlink_metadata().is_ok() {
            return Err(Error::RunExists { path: folder.to_owned() });
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
        let draft = draft_beside(folder, parent)?;
        write_plan(draft.path(), &plan)?;
        let rollouts = draft.path().join(ROLLOUTS);
        fs::create_dir(&rollouts).map_err(failed("create", &rollouts))?;
        fs::rename(draft.path(), folder).map_err(|source| match source.kind() {
            std::io::ErrorKind::DirectoryNotEmpty => Error::RunExists { path: folder.to_owned() },
            _ => failed("create", folder)(source),
        })?;
        // What the draft would remove has moved away.
        let _moved = draft.keep();
        sync_folder_of(folder)?;
        Ok(Self { folder: folder.to_owned(), plan, followed: Vec::new() })
    }

    /// Opens a run that is there.
    pub fn open(folder: &Path) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Version {
            wire_version: u32,
        }
        let path = folder.join(PLAN);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                Error::NoRun { path: folder.to_owned() }
            }
            _ => failed("read", &path)(source),
        })?;
        let parse = |source| Error::Parse { path: path.clone(), source };
        let version: Version = serde_json::from_slice(&bytes).map_err(parse)?;
        if version.wire_version > WIRE_VERSION {
            return Err(Error::Newer { path, found: version.wire_version, known: WIRE_VERSION });
        }
        let plan = serde_json::from_slice(&bytes).map_err(parse)?;
        Ok(Self { folder: folder.to_owned(), plan, followed: followed::read(&folder.join(FOLLOWED))? })
    }

    /// Keeps every other process from working on the run until the lock is dropped. `holder` is what they are told:
    /// `process 4711`.
    pub fn lock(&self, holder: &str) -> Result<RunLock> {
        let path = self.folder.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: self.folder.clone(), holder: holder_in(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        file.set_len(0).map_err(failed("write", &path))?;
        file.write_all(holder.as_bytes()).map_err(failed("write", &path))?;
        Ok(RunLock { file })
    }

    /// A new journal for a rollout. What an earlier try of it left is set aside, not overwritten.
    pub fn begin(&self, rollout: &RolloutId) -> Result<JournalWriter> {
        self.set_aside(rollout)?;
        JournalWriter::create(&self.journal_path(rollout))
    }

    /// Moves the journal of a try that does not count to the first free `ID.lost-N.jsonl`, and says where it is.
    pub fn set_aside(&self, rollout: &RolloutId) -> Result<Option<PathBuf>> {
        let path = self.journal_path(rollout);
        if !path.exists() {
            return Ok(None);
        }
        let number = self.lost(rollout).len() + 1;
        let aside = self.lost_path(rollout, number);
        fs::rename(&path, &aside).map_err(failed("move", &path))?;
        let folder = self.scaffold_folder(rollout);
        if folder.exists() {
            fs::rename(&folder, aside.with_extension("scaffold")).map_err(failed("move", &folder))?;
        }
        Ok(Some(aside))
    }

    /// The journals of earlier tries, the first one first.
    pub fn lost(&self, rollout: &RolloutId) -> Vec<PathBuf> {
        let mut lost = Vec::new();
        loop {
            let path = self.lost_path(rollout, lost.len() + 1);
            if !path.exists() {
                return lost;
            }
            lost.push(path);
        }
    }

    /// The summary of a rollout that finished; nothing for any other.
    pub fn summary(&self, rollout: &RolloutId) -> Result<Option<Summary>> {
        let path = self.journal_path(rollout);
        if path.exists() { journal::summary_of(&path) } else { Ok(None) }
    }

    /// The record of one rollout; nothing if it has not begun.
    pub fn read(&self, rollout: &RolloutId) -> Result<Option<Read>> {
        let path = self.journal_path(rollout);
        if !path.exists() {
            return Ok(None);
        }
        match journal::read(&path) {
            Ok(read) => Ok(Some(read)),
            Err(Error::Headless { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds an attempt that was not planned, because an earlier one failed. It is on disk when this returns; this store
    /// lists it when it is opened again.
    pub fn follow(&self, spec: &RolloutSpec) -> Result<()> {
        followed::add(&self.folder.join(FOLLOWED), spec)
    }

    /// Every rollout, in the order of the plan, and after them those that were added.
    pub fn rollouts(&self) -> impl Iterator<Item = &RolloutSpec> {
        self.plan.rollouts.iter().chain(&self.followed)
    }

    /// Every rollout with its record, in that order, one journal in memory at a time. A journal that can't be read is
    /// an error of its own; the rest goes on.
    pub fn trajectories(&self) -> impl Iterator<Item = Result<Recorded<'_>>> {
        self.rollouts().map(|spec| {
            let journal = self.read(&spec.id)?;
            Ok(Recorded { spec, journal })
        })
    }

    /// The rollouts that have a summary, in the order of the plan.
    pub fn finished(&self) -> Result<Vec<RolloutId>> {
        self.select(true)
    }

    /// The rollouts that have none, in the order of the plan: they did not finish, or have not begun.
    pub fn unfinished(&self) -> Result<Vec<RolloutId>> {
        self.select(false)
    }

    /// What was planned.
    pub fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the queue's database is, or will be.
    pub fn queue_path(&self) -> PathBuf {
        self.folder.join(QUEUE)
    }

    /// Where it is written what was spent.
    pub fn spend_path(&self) -> PathBuf {
        self.folder.join(SPEND)
    }

    /// Where the journal of a rollout is, or will be.
    pub fn journal_path(&self, rollout: &RolloutId) -> PathBuf {
        self.journals().join(format!("{rollout}.jsonl"))
    }

    /// Where an external scaffold's own record of a rollout is, or will be.
    pub fn scaffold_folder(&self, rollout: &RolloutId) -> PathBuf {
        self.journals().join(format!("{rollout}.scaffold"))
    }

    fn lost_path(&self, rollout: &RolloutId, number: usize) -> PathBuf {
        self.journals().join(format!("{rollout}.lost-{number}.jsonl"))
    }

    fn journals(&self) -> PathBuf {
        self.folder.join(ROLLOUTS)
    }

    fn select(&self, finished: bool) -> Result<Vec<RolloutId>> {
        let mut selected = Vec::new();
        for spec in self.rollouts() {
            if self.summary(&spec.id)?.is_some() == finished {
                selected.push(spec.id.clone());
            }
        }
        Ok(selected)
    }
}

/// The right to work on a run. It ends when it is released or dropped, and with the process in any case.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Lets others work on the run.
    pub fn release(self) {
        drop(self.file);
    }
}

fn holder_in(file: &mut File) -> String {
    let mut holder = String::new();
    let read = file.rewind().and_then(|()| file.take(200).read_to_string(&mut holder));
    match read {
        Ok(length) if length > 0 => holder.trim().to_owned(),
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}

fn draft_beside(folder: &Path, parent: &Path) -> Result<tempfile::TempDir> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{name}.");
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(parent).map_err(failed("write to", parent))
}

fn write_plan(folder: &Path, plan: &RunPlan) -> Result<()> {
    let path = folder.join(PLAN);
    let mut json = serde_json::to_vec_pretty(plan).expect("a plan is plain data with string keys");
    json.push(b'\n');
    let mut file = File::create(&path).map_err(failed("create", &path))?;
    file.write_all(&json).map_err(failed("write", &path))?;
    file.sync_all().map_err(failed("sync", &path))
}
