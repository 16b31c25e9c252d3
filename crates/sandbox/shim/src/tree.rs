//! Manifests of a folder and what changed since the last: only files whose stat differs are read again.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FileType;
use serde::Serialize;
use trajforge_shim::protocol::{Counted, Problem, ProblemKind, Response};

use crate::folder::{self, Item, Next};
use crate::git;
use crate::listing::Listings;
use crate::outlet::{failed_to, problem};
use crate::stamp::Stamp;

/// Files above this are listed without a digest.
const MAX_HASHED: u64 = 64 << 20;
/// Entries of one tree, at most.
const MAX_ENTRIES: usize = 200_000;
/// A tree of fewer entries is looked at by one thread: beginning another takes as long as looking at so many.
const WORTH_SHARING: usize = 100;

/// The last state of each root that was asked for.
#[derive(Default)]
pub(crate) struct Trees {
    known: Mutex<HashMap<String, Tree>>,
}

/// What is below a root, brought up to date by each look.
#[derive(Default)]
struct Tree {
    known: HashMap<Vec<u8>, Known>,
    listings: Listings,
    look: u64,
}

/// An entry, and the last look that found it.
struct Known {
    seen: Seen,
    look: AtomicU64,
}

/// What one of the threads of a look has found, and what it reads into.
#[derive(Default)]
struct Hand {
    news: Vec<(Vec<u8>, Seen)>,
    buffer: Vec<u8>,
}

/// One entry, with what tells cheaply whether it is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    entry: Entry,
    stamp: Stamp,
    is_settled: bool,
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
            tree.known.iter().map(|(path, known)| (readable(path), wire(&known.seen.entry))).collect();
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
    /// Looks again; what is as it was is only marked.
    fn update(&mut self, root: &str) -> Result<WireDelta, Problem> {
        let folder: OwnedFd =
            folder::find(root.as_bytes()).map_err(|error| failed_to(&format!("look into {root}"), &error))?;
        let is_small = self.look > 0 && self.known.len() < WORTH_SHARING;
        self.look += 1;
        let (look, known, listings) = (self.look, &self.known, &self.listings);
        let found = AtomicUsize::new(0);
        let mut hands: Vec<Hand> = Vec::new();
        hands.resize_with(if is_small { 1 } else { 2 }, Hand::default);
        folder::walk_together(
            (folder, &|folder, path| listings.names(folder, path)),
            &mut hands,
            &|hand, item| {
                item.is_in_reach()?;
                if found.fetch_add(1, Ordering::Relaxed) >= MAX_ENTRIES {
                    return Err(problem(
                        ProblemKind::Limit,
                        format!("{root} holds more than {MAX_ENTRIES} entries"),
                    ));
                }
                let is_git = item.name.to_bytes() == b".git" && item.kind() == FileType::Directory;
                let before = known.get(item.path);
                let after = if is_git {
                    repository(item)
                } else {
                    entry(item, before.map(|known| &known.seen), &mut hand.buffer)
                };
                match before {
                    Some(known) if known.seen == after => known.look.store(look, Ordering::Relaxed),
                    _ => hand.news.push((item.path.to_vec(), after)),
                }
                Ok(if is_git { Next::Pass } else { Next::Enter })
            },
        )?;
        let news = hands.into_iter().flat_map(|hand| hand.news);
        Ok(self.take_in(news, found.into_inner()))
    }

    fn take_in(&mut self, news: impl Iterator<Item = (Vec<u8>, Seen)>, found: usize) -> WireDelta {
        self.listings.keep();
        let mut changed = BTreeMap::new();
        for (path, seen) in news {
            let before = self.known.get(&path);
            if before.is_none_or(|old| old.seen.entry != seen.entry) {
                changed.insert(readable(&path), wire(&seen.entry));
            }
            self.known.insert(path, Known { seen, look: AtomicU64::new(self.look) });
        }
        let mut removed = Vec::new();
        if self.known.len() > found {
            self.known.retain(|path, known| {
                let is_there = *known.look.get_mut() == self.look;
                if !is_there {
                    removed.push(readable(path));
                }
                is_there
            });
            removed.sort_unstable();
            self.listings.forget(|path| self.known.contains_key(path));
        }
        WireDelta { changed, removed }
    }

    fn count(&self) -> Counted {
        Counted {
            entries: self.known.len() as u64,
            bytes: self.known.values().map(|known| known.seen.entry.size).sum(),
        }
    }
}

fn repository(item: &Item<'_>) -> Seen {
    let entry =
        Entry { kind: Kind::Folder, mode: item.stat.st_mode & 0o7777, size: 0, digest: git::digest(item) };
    Seen { entry, stamp: Stamp::of(&item.stat), is_settled: false }
}

fn entry(item: &Item<'_>, before: Option<&Seen>, buffer: &mut Vec<u8>) -> Seen {
    let kind = match item.kind() {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    let size = if kind == Kind::File { u64::try_from(item.stat.st_size).unwrap_or(0) } else { 0 };
    let stamp = Stamp::of(&item.stat);
    let mut seen = Seen {
        entry: Entry { kind, mode: item.stat.st_mode & 0o7777, size, digest: None },
        stamp,
        is_settled: true,
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
    seen.is_settled = stamp.is_settled();
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
