//! Manifests of a folder and what changed since the last: only files whose stat differs are read again.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FileType, Stat};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use trajforge_shim::protocol::{Counted, Problem, ProblemKind, Response};

use crate::folder::{self, Item, Next};
use crate::git;
use crate::outlet::{failed_to, problem};

/// Files above this are listed without a digest.
const MAX_HASHED: u64 = 64 << 20;
/// Entries of one tree, at most.
const MAX_ENTRIES: usize = 200_000;
/// A file that changed less than this before it was read may change again without its timestamps showing it.
const UNSETTLED: Duration = Duration::from_millis(20);

/// The last state of each root that was asked for.
#[derive(Default)]
pub(crate) struct Trees {
    known: Mutex<HashMap<String, Tree>>,
}

/// What is below a root, brought up to date by each look.
#[derive(Default)]
struct Tree {
    seen: HashMap<Vec<u8>, Seen>,
    look: u64,
}

/// One entry, with what tells cheaply whether it is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    entry: Entry,
    stamp: Stamp,
    is_settled: bool,
    /// The last look that found it.
    look: u64,
}

/// The part of an entry that reaches the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    mode: u32,
    size: u64,
    digest: Option<[u8; 32]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    File,
    Folder,
    Link,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The shape of `schema::ManifestEntry`.
#[derive(Serialize)]
struct WireEntry {
    kind: Kind,
    mode: u32,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// The shape of `schema::Delta`.
#[derive(Serialize)]
struct WireDelta {
    changed: BTreeMap<String, WireEntry>,
    removed: Vec<String>,
}

impl Trees {
    /// Everything below a root.
    pub(crate) fn manifest(&self, root: &str) -> Result<(Response, Vec<u8>), Problem> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tree = known.remove(root).unwrap_or_default();
        tree.update(root)?;
        let entries: BTreeMap<String, WireEntry> =
            tree.seen.iter().map(|(path, seen)| (readable(path), wire(&seen.entry))).collect();
        let counted = tree.count();
        known.insert(root.to_owned(), tree);
        Ok((Response::Manifest(counted), json(&entries)))
    }

    /// What is different since the last look; everything, if there was none, or if it failed.
    pub(crate) fn delta(&self, root: &str) -> Result<(Response, Vec<u8>), Problem> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tree = known.remove(root).unwrap_or_default();
        let delta = tree.update(root)?;
        let counted = tree.count();
        known.insert(root.to_owned(), tree);
        Ok((Response::Delta(counted), json(&delta)))
    }
}

impl Tree {
    /// Looks again; one hash of the path for each entry that is as it was.
    fn update(&mut self, root: &str) -> Result<WireDelta, Problem> {
        let folder: OwnedFd =
            folder::find(root.as_bytes()).map_err(|error| failed_to(&format!("look into {root}"), &error))?;
        self.look += 1;
        let (look, seen) = (self.look, &mut self.seen);
        let mut changed = BTreeMap::new();
        let (mut found, mut buffer) = (0, Vec::new());
        folder::walk(&folder, &mut Vec::new(), 0, &mut |item| {
            item.is_in_reach()?;
            if found >= MAX_ENTRIES {
                return Err(problem(
                    ProblemKind::Limit,
                    format!("{root} holds more than {MAX_ENTRIES} entries"),
                ));
            }
            found += 1;
            let is_git = item.name.to_bytes() == b".git" && item.kind() == FileType::Directory;
            let before = seen.get_mut(item.path);
            let mut after =
                if is_git { repository(item) } else { entry(item, before.as_deref(), &mut buffer) };
            after.look = look;
            if before.as_ref().is_none_or(|old| old.entry != after.entry) {
                changed.insert(readable(item.path), wire(&after.entry));
            }
            match before {
                Some(old) => *old = after,
                None => drop(seen.insert(item.path.to_vec(), after)),
            }
            Ok(if is_git { Next::Pass } else { Next::Enter })
        })?;
        let mut removed = Vec::new();
        if seen.len() > found {
            seen.retain(|path, seen| {
                let is_there = seen.look == look;
                if !is_there {
                    removed.push(readable(path));
                }
                is_there
            });
            removed.sort_unstable();
        }
        Ok(WireDelta { changed, removed })
    }

    fn count(&self) -> Counted {
        Counted {
            entries: self.seen.len() as u64,
            bytes: self.seen.values().map(|seen| seen.entry.size).sum(),
        }
    }
}

fn repository(item: &Item<'_>) -> Seen {
    let entry =
        Entry { kind: Kind::Folder, mode: item.stat.st_mode & 0o7777, size: 0, digest: git::digest(item) };
    Seen { entry, stamp: stamp(&item.stat), is_settled: false, look: 0 }
}

fn entry(item: &Item<'_>, before: Option<&Seen>, buffer: &mut Vec<u8>) -> Seen {
    let kind = match item.kind() {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    let size = if kind == Kind::File { u64::try_from(item.stat.st_size).unwrap_or(0) } else { 0 };
    let stamp = stamp(&item.stat);
    let mut seen = Seen {
        entry: Entry { kind, mode: item.stat.st_mode & 0o7777, size, digest: None },
        stamp,
        is_settled: true,
        look: 0,
    };
    if !matches!(kind, Kind::File | Kind::Link) || size > MAX_HASHED {
        return seen;
    }
    if let Some(old) = before
        && old.is_settled
        && old.stamp == stamp
        && (old.entry.kind, old.entry.size) == (kind, size)
    {
        seen.entry.digest = old.entry.digest;
        return seen;
    }
    seen.is_settled = is_settled(stamp);
    seen.entry.digest = if kind == Kind::Link {
        item.target().ok().map(|target| *blake3::hash(&target).as_bytes())
    } else {
        hash(item, buffer)
    };
    seen
}

fn hash(item: &Item<'_>, buffer: &mut Vec<u8>) -> Option<[u8; 32]> {
    buffer.resize(64 << 10, 0);
    let mut file = File::from(item.open().ok()?);
    let mut hasher = blake3::Hasher::new();
    // A file that grows while it is read does not hold this up for ever.
    let mut left = MAX_HASHED + 1;
    while left > 0 {
        let count = file.read(buffer).ok()?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        left = left.saturating_sub(count as u64);
    }
    Some(*hasher.finalize().as_bytes())
}

fn stamp(stat: &Stat) -> Stamp {
    let nanos = |part: u64| i64::try_from(part).unwrap_or(0);
    Stamp {
        inode: stat.st_ino,
        modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
        changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
    }
}

fn is_settled(stamp: Stamp) -> bool {
    let now = clock_gettime(ClockId::Realtime);
    let nanos = |(seconds, nanos): (i64, i64)| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let age = nanos((now.tv_sec, now.tv_nsec)) - nanos(stamp.changed);
    age > i128::try_from(UNSETTLED.as_nanos()).unwrap_or(i128::MAX)
}

fn wire(entry: &Entry) -> WireEntry {
    WireEntry {
        kind: entry.kind,
        mode: entry.mode,
        size: entry.size,
        digest: entry.digest.map(|digest| blake3::Hash::from(digest).to_hex().to_string()),
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a map of plain values always serialises")
}

/// A path as text from which the bytes can be had back: a backslash is doubled, and a byte that is no UTF-8 is written
/// as `\xNN`.
fn readable(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        for byte in chunk.invalid() {
            let _ = write!(text, r"\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_text_of_its_own() {
        let names: [&[u8]; 5] = [b"a", b"\xff", br"\xff", b"a\\b", "é".as_bytes()];
        let texts: std::collections::BTreeSet<String> = names.iter().map(|name| readable(name)).collect();
        assert_eq!(texts.len(), names.len());
        assert_eq!(readable("é/b".as_bytes()), "é/b");
        assert_eq!(readable(b"\xff"), r"\xff");
    }
}
