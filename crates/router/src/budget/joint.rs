//! A ledger that several processes share: what all of them have spent of a key and of a day.
//!
//! Each line is written under the file's lock, after what others have written was read. A reservation is known by the
//! place of its line, so that no two have one name.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trajforge_schema::{Caps, MicroDollars};

use super::{Balance, CapReached, Denied, Purse, Scope, cap_of};
use crate::error::Error;

/// The version of the lines below.
const VERSION: u32 = 1;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first one.
    Ledger { version: u32 },
    /// A request of a process may leave.
    Reserved { process: u32, purses: Vec<Purse>, worst: MicroDollars },
    /// What the request of the line at that place cost.
    Settled { at: u64, cost: MicroDollars },
}

/// The file, as far as it was read.
#[derive(Debug)]
pub(super) struct Joint {
    path: PathBuf,
    file: File,
    read: u64,
    spent: BTreeMap<Purse, MicroDollars>,
    /// Reservations that are not settled, by the places of their lines.
    open: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    process: u32,
    purses: Vec<Purse>,
    worst: MicroDollars,
}

impl Joint {
    /// Opens the file, and makes it where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path);
        let file = file.map_err(|source| Error::Ledger { path: path.to_owned(), source })?;
        let mut joint =
            Self { path: path.to_owned(), file, read: 0, spent: BTreeMap::new(), open: BTreeMap::new() };
        joint.locked(|joint| match joint.read {
            0 => joint.append(&Line::Ledger { version: VERSION }).map(drop),
            _ => Ok(()),
        })?;
        Ok(joint)
    }

    /// Holds the worst case of a request for its key and its day, and gives the place of its line, unless a cap stands
    /// against it.
    pub(super) fn reserve(
        &mut self,
        caps: &Caps,
        purses: &[Purse],
        worst: MicroDollars,
    ) -> Result<Result<u64, Denied>, Error> {
        let shared = |purse: &&Purse| matches!(purse.scope(), Scope::Key | Scope::Day);
        let purses: Vec<Purse> = purses.iter().filter(shared).cloned().collect();
        self.locked(|joint| {
            let mut busy = false;
            for purse in &purses {
                let Some(cap) = cap_of(caps, purse.scope()) else { continue };
                let Balance { spent, reserved } = joint.balance(purse);
                if spent + worst > cap {
                    let scope = purse.scope();
                    return Ok(Err(Denied::Refused(CapReached { scope, cap, spent, asked: worst })));
                }
                busy |= spent + reserved + worst > cap;
            }
            if busy {
                return Ok(Err(Denied::Busy));
            }
            let process = std::process::id();
            joint.append(&Line::Reserved { process, purses, worst }).map(Ok)
        })
    }

    /// Writes down what a request cost.
    pub(super) fn settle(&mut self, at: u64, cost: MicroDollars) -> Result<(), Error> {
        self.locked(|joint| joint.append(&Line::Settled { at, cost }).map(drop))
    }

    /// What all have spent and hold. What a process that is gone held may have been billed, and counts as spent.
    fn balance(&self, purse: &Purse) -> Balance {
        let mut balance =
            Balance { spent: self.spent.get(purse).copied().unwrap_or_default(), ..Balance::default() };
        for held in self.open.values().filter(|held| held.purses.contains(purse)) {
            let side = if is_alive(held.process) { &mut balance.reserved } else { &mut balance.spent };
            *side += held.worst;
        }
        balance
    }

    /// Does something while nobody else writes, and knowing what others have written.
    fn locked<T>(&mut self, act: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, Error> {
        let done = self.file.lock().and_then(|()| {
            let done = self.catch_up().and_then(|()| act(self));
            self.file.unlock()?;
            done
        });
        done.map_err(|source| Error::Ledger { path: self.path.clone(), source })
    }

    fn catch_up(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            // Whoever wrote this was killed at it, and had not been let through.
            self.file.set_len(self.read + whole as u64)?;
        }
        for line in text[..whole].split_inclusive(|&byte| byte == b'\n') {
            self.take_in(serde_json::from_slice(line)?)?;
            self.read += line.len() as u64;
        }
        Ok(())
    }

    fn take_in(&mut self, line: Line) -> io::Result<()> {
        match line {
            Line::Ledger { version } if version > VERSION => {
                let newer = format!("it is of version {version}, and this program knows {VERSION}");
                return Err(io::Error::other(newer));
            }
            Line::Ledger { .. } => {}
            Line::Reserved { process, purses, worst } => {
                self.open.insert(self.read, Held { process, purses, worst });
            }
            Line::Settled { at, cost } => {
                for purse in self.open.remove(&at).into_iter().flat_map(|held| held.purses) {
                    *self.spent.entry(purse).or_default() += cost;
                }
            }
        }
        Ok(())
    }

    /// Adds a line, and gives its place.
    fn append(&mut self, line: &Line) -> io::Result<u64> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let at = self.read;
        if let Err(error) = self.file.write_all(&bytes) {
            self.file.set_len(at)?;
            return Err(error);
        }
        self.take_in(serde_json::from_slice(&bytes)?)?;
        self.read += bytes.len() as u64;
        Ok(at)
    }
}

/// Whether a process of this machine still runs.
fn is_alive(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}
