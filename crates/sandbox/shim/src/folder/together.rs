//! A walk that several threads share: whoever has nothing left to do is given a folder that another has come to.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{FileType, Mode, openat};

use super::{FOLDER, Item, List, MAX_DEPTH, Next, walk_listed};

/// Enough for [`MAX_DEPTH`] folders inside each other.
const STACK: usize = 512 << 10;

/// As [`walk`](super::walk), on as many threads as there are states, this one included; each visits with a state of its own, in no
/// order but that a folder comes before what is in it. Where threads are not to be had, fewer do it.
pub(crate) fn walk_together<S: Send, E: Send>(
    (folder, list): (OwnedFd, &List<'_>),
    states: &mut [S],
    visit: &(dyn Fn(&mut S, &Item<'_>) -> Result<Next, E> + Sync),
) -> Result<(), E> {
    let Some((own, others)) = states.split_first_mut() else { return Ok(()) };
    let round = Round {
        list,
        left: Mutex::new(Left {
            branches: vec![Branch { folder, path: Vec::new(), depth: 0 }],
            busy: 0,
            failure: None,
        }),
        more: Condvar::new(),
        is_asked: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for state in others {
            let helper = thread::Builder::new().stack_size(STACK);
            let _ = helper.spawn_scoped(scope, || round.work(state, visit));
        }
        round.work(own, visit);
    });
    let left = round.left.into_inner().unwrap_or_else(PoisonError::into_inner);
    left.failure.map_or(Ok(()), Err)
}

/// A folder that nobody has gone into yet.
struct Branch {
    folder: OwnedFd,
    path: Vec<u8>,
    depth: usize,
}

struct Round<'a, E> {
    list: &'a List<'a>,
    left: Mutex<Left<E>>,
    more: Condvar,
    /// Whether somebody waits for a branch.
    is_asked: AtomicBool,
    /// Whether a visit has failed, and everybody is to stop.
    is_over: AtomicBool,
}

struct Left<E> {
    branches: Vec<Branch>,
    /// How many are inside a branch, and may come to others.
    busy: usize,
    /// The first.
    failure: Option<E>,
}

impl<E: Send> Round<'_, E> {
    fn work<S>(&self, state: &mut S, visit: &(dyn Fn(&mut S, &Item<'_>) -> Result<Next, E> + Sync)) {
        while let Some(Branch { folder, mut path, depth }) = self.next() {
            // Nothing in the place of an error: another thread has it.
            let walked = walk_listed((&folder, self.list), &mut path, depth, &mut |item| {
                if self.is_over.load(Ordering::Relaxed) {
                    return Err(None);
                }
                let next = visit(state, item).map_err(Some)?;
                Ok(if next == Next::Enter && self.is_given_away(item) { Next::Pass } else { next })
            });
            let mut left = self.lock();
            left.busy -= 1;
            if let Err(failure) = walked {
                self.is_over.store(true, Ordering::Relaxed);
                left.branches.clear();
                left.failure = left.failure.take().or(failure);
            }
            if left.busy == 0 && left.branches.is_empty() {
                self.more.notify_all();
            }
        }
    }

    /// The next branch, waited for as long as somebody may come to one.
    fn next(&self) -> Option<Branch> {
        let mut left = self.lock();
        loop {
            if let Some(branch) = left.branches.pop() {
                left.busy += 1;
                return Some(branch);
            }
            if left.busy == 0 {
                return None;
            }
            self.is_asked.store(true, Ordering::Relaxed);
            left = self.more.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Leaves a folder to whoever waits for one.
    fn is_given_away(&self, item: &Item<'_>) -> bool {
        if item.kind() != FileType::Directory || item.is_too_deep || !self.is_asked.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(folder) = openat(item.folder, item.name, FOLDER, Mode::empty()) else { return false };
        let mut left = self.lock();
        if !self.is_asked.swap(false, Ordering::Relaxed) || self.is_over.load(Ordering::Relaxed) {
            return false;
        }
        left.branches.push(Branch { folder, path: item.path.to_vec(), depth: item.depth + 1 });
        self.more.notify_one();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Left<E>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const _: () = assert!(STACK / MAX_DEPTH >= 2 << 10, "a folder more takes a frame more");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::folder::{find, names};

    fn tree(name: &str) -> (std::path::PathBuf, BTreeSet<Vec<u8>>) {
        let root = std::env::temp_dir().join(format!("trajforge-together-{name}-{}", std::process::id()));
        let mut all = BTreeSet::new();
        for folder in 0..30 {
            for inner in ["a", "b/c"] {
                let path = format!("{folder}/{inner}");
                fs::create_dir_all(root.join(&path)).expect("a folder is made");
                for (at, _) in path.match_indices('/') {
                    all.insert(path.as_bytes()[..at].to_vec());
                }
                all.insert(path.clone().into_bytes());
                for file in 0..20 {
                    let path = format!("{path}/{file}");
                    fs::write(root.join(&path), "").expect("a file is written");
                    all.insert(path.into_bytes());
                }
            }
        }
        (root, all)
    }

    #[test]
    fn every_entry_is_visited_once_by_one_of_them() {
        let (root, all) = tree("once");
        for hands in 1..5 {
            let folder = find(root.as_os_str().as_encoded_bytes()).expect("the root opens");
            let mut seen: Vec<Vec<Vec<u8>>> = vec![Vec::new(); hands];
            let walked: Result<(), ()> = walk_together(
                (folder, &|folder, _| names(folder).unwrap_or_default()),
                &mut seen,
                &|seen, item| {
                    seen.push(item.path.to_vec());
                    Ok(Next::Enter)
                },
            );
            assert_eq!(walked, Ok(()));
            let seen = seen.concat();
            assert_eq!(seen.len(), all.len());
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
        }
        fs::remove_dir_all(root).expect("the tree goes");
    }

    #[test]
    fn a_failure_of_one_ends_all() {
        let (root, _) = tree("failure");
        let folder = find(root.as_os_str().as_encoded_bytes()).expect("the root opens");
        let walked = walk_together(
            (folder, &|folder, _| names(folder).unwrap_or_default()),
            &mut [(); 3],
            &|(), item| {
                if item.path.ends_with(b"7/b/c/13") { Err("thirteen") } else { Ok(Next::Enter) }
            },
        );
        assert_eq!(walked, Err("thirteen"));
        fs::remove_dir_all(root).expect("the tree goes");
    }
}
