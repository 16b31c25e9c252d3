//! What was spent, on disk: a line before each request may leave, and one after it is settled.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trajforge_schema::MicroDollars;

use super::Purse;
use crate::error::Error;

/// The version of the lines below.
const VERSION: u32 = 1;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first one: what was spent before, from each purse.
    Carried { version: u32, spent: Vec<(Purse, MicroDollars)> },
    /// A request may leave.
    Reserved { id: u64, purses: Vec<Purse>, worst: MicroDollars },
    /// What it cost.
    Settled { id: u64, cost: MicroDollars },
}

/// The file, open for more. It belongs to one process at a time; the run's lock sees to that.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Ledger {
    /// Opens the file, and makes it where there is none; gives what was spent from each purse. What it held is
    /// carried over into one line, so that it does not grow with every resume.
    pub(super) fn open(path: &Path) -> Result<(Self, BTreeMap<Purse, MicroDollars>), Error> {
        let spent = read(path)?;
        let failed = |source| Error::Ledger { path: path.to_owned(), source };
        let draft = path.with_extension("tmp");
        let mut file = File::create(&draft).map_err(failed)?;
        let carried = spent.iter().map(|(purse, spent)| (purse.clone(), *spent)).collect();
        let line = bytes_of(&Line::Carried { version: VERSION, spent: carried });
        file.write_all(&line).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        std::fs::rename(&draft, path).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file, length: line.len() as u64 }, spent))
    }

    pub(super) fn reserve(&mut self, id: u64, purses: &[Purse], worst: MicroDollars) -> Result<(), Error> {
        self.append(&Line::Reserved { id, purses: purses.to_vec(), worst })
    }

    pub(super) fn settle(&mut self, id: u64, cost: MicroDollars) -> Result<(), Error> {
        self.append(&Line::Settled { id, cost })
    }

    fn append(&mut self, line: &Line) -> Result<(), Error> {
        let bytes = bytes_of(line);
        if let Err(source) = self.file.write_all(&bytes) {
            // A part of a line must not stand before the next one. Should this fail, too, the file says so when it
            // is read.
            let _ = self.file.set_len(self.length);
            return Err(Error::Ledger { path: self.path.clone(), source });
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// What was spent from each purse; nothing where there is no file. Requests without a settlement count at their worst
/// case.
pub(super) fn read(path: &Path) -> Result<BTreeMap<Purse, MicroDollars>, Error> {
    let failed = |source| Error::Ledger { path: path.to_owned(), source };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut spent: BTreeMap<Purse, MicroDollars> = BTreeMap::new();
    let mut open: BTreeMap<u64, (Vec<Purse>, MicroDollars)> = BTreeMap::new();
    let mut charge = |purses: Vec<Purse>, cost: MicroDollars| {
        for purse in purses {
            *spent.entry(purse).or_default() += cost;
        }
    };
    // A last line without its end was cut by a kill: its request had not left, or stays at its worst case.
    for line in text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        match serde_json::from_slice(line).map_err(|error| failed(error.into()))? {
            Line::Carried { version, .. } if version > VERSION => {
                let newer = format!("it is of version {version}, and this program knows {VERSION}");
                return Err(failed(std::io::Error::other(newer)));
            }
            Line::Carried { spent, .. } => {
                for (purse, amount) in spent {
                    charge(vec![purse], amount);
                }
            }
            Line::Reserved { id, purses, worst } => drop(open.insert(id, (purses, worst))),
            Line::Settled { id, cost } => {
                if let Some((purses, _)) = open.remove(&id) {
                    charge(purses, cost);
                }
            }
        }
    }
    for (purses, worst) in open.into_values() {
        charge(purses, worst);
    }
    Ok(spent)
}

fn bytes_of(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("a line is plain data with string keys");
    bytes.push(b'\n');
    bytes
}
