//! Folders by descriptor: walked, made and cleared without ever following a symbolic link.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Uid, fchmod, fchown, mkdirat, open, openat, statat,
    unlinkat,
};
use rustix::io::Errno;
use trajforge_shim::protocol::{Problem, ProblemKind};

use crate::outlet::problem;

mod together;

pub(crate) use together::walk_together;

/// Folders inside folders, at most; what is deeper is not looked into.
pub(crate) const MAX_DEPTH: usize = 200;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Something inside a folder.
pub(crate) struct Item<'a> {
    /// From the root of the walk.
    pub(crate) path: &'a [u8],
    /// In its folder.
    pub(crate) name: &'a CStr,
    /// Its folder.
    pub(crate) folder: &'a OwnedFd,
    /// What it is; of a link, the link itself.
    pub(crate) stat: Stat,
    /// How many folders lie between it and the root.
    pub(crate) depth: usize,
    /// Whether it is a folder in too many others to be entered.
    pub(crate) is_too_deep: bool,
}

impl Item<'_> {
    /// What it is.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// A problem where what is in it would be left out.
    pub(crate) fn is_in_reach(&self) -> Result<(), Problem> {
        if !self.is_too_deep {
            return Ok(());
        }
        let path = String::from_utf8_lossy(&self.path[..self.path.len().min(80)]);
        let message = format!("{path}... lies in more than {MAX_DEPTH} folders");
        Err(problem(ProblemKind::Limit, message))
    }

    /// Opens it if it is a regular file; reading it never blocks.
    pub(crate) fn open(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(self.folder, self.name, flags, Mode::empty())
    }

    /// Where it points, if it is a link.
    pub(crate) fn target(&self) -> rustix::io::Result<Vec<u8>> {
        rustix::fs::readlinkat(self.folder, self.name, Vec::new()).map(CString::into_bytes)
    }
}

/// Whether a walk goes into a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It does.
    Enter,
    /// It leaves it out.
    Pass,
}

/// How a walk gets the names in a folder, from that and its path; none where it can't be read.
pub(crate) type List<'a> = dyn Fn(&OwnedFd, &[u8]) -> Arc<[CString]> + Sync + 'a;

/// Visits everything below a folder, in the order of names, each folder before what is in it. What vanishes meanwhile
/// is left out.
pub(crate) fn walk<E>(
    folder: &OwnedFd,
    path: &mut Vec<u8>,
    depth: usize,
    visit: &mut dyn FnMut(&Item<'_>) -> Result<Next, E>,
) -> Result<(), E> {
    walk_listed((folder, &|folder, _| names(folder).unwrap_or_default()), path, depth, visit)
}

/// The same, with names from somewhere else.
fn walk_listed<E>(
    (folder, list): (&OwnedFd, &List<'_>),
    path: &mut Vec<u8>,
    depth: usize,
    visit: &mut dyn FnMut(&Item<'_>) -> Result<Next, E>,
) -> Result<(), E> {
    for name in &*list(folder, path) {
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let before = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let is_too_deep = is_folder && depth >= MAX_DEPTH;
        let item = Item { path, name, folder, stat, depth, is_too_deep };
        let next = visit(&item)?;
        if is_folder
            && next == Next::Enter
            && !is_too_deep
            && let Ok(inner) = openat(folder, name, FOLDER, Mode::empty())
        {
            walk_listed((&inner, list), path, depth + 1, visit)?;
        }
        path.truncate(before);
    }
    Ok(())
}

/// The names in a folder, in order.
pub(crate) fn names(folder: &OwnedFd) -> rustix::io::Result<Arc<[CString]>> {
    let mut buffer = Vec::with_capacity(16 << 10);
    let buffer: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    let mut entries = RawDir::new(folder, buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into())
}

/// Opens an absolute folder.
pub(crate) fn find(path: &[u8]) -> io::Result<OwnedFd> {
    let mut here = open(c"/", FOLDER, Mode::empty())?;
    for part in parts(path)? {
        here = openat(&here, part, FOLDER, Mode::empty())?;
    }
    Ok(here)
}

/// Opens an absolute folder, making what is missing of it and giving that to an owner.
pub(crate) fn make(path: &[u8], owner: (u32, u32)) -> io::Result<OwnedFd> {
    let root = open(c"/", FOLDER, Mode::empty())?;
    make_below(&root, parts(path)?, owner)
}

/// The same, from a folder that is open.
pub(crate) fn make_below<'a>(
    root: &OwnedFd,
    parts: impl IntoIterator<Item = &'a [u8]>,
    owner: (u32, u32),
) -> io::Result<OwnedFd> {
    let mut here = root.try_clone()?;
    for part in parts {
        here = match openat(&here, part, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => {
                let made = mkdirat(&here, part, Mode::from_raw_mode(0o755));
                let folder = openat(&here, part, FOLDER, Mode::empty())?;
                match made {
                    Ok(()) => give(&folder, owner)?,
                    // Another request was quicker: the folder is whoever's made it.
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                folder
            }
            other => other?,
        };
    }
    Ok(here)
}

/// The parts of an absolute path that doesn't climb.
pub(crate) fn parts(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let Some(relative) = path.strip_prefix(b"/") else {
        return refused("the path is not absolute");
    };
    let parts: Vec<&[u8]> =
        relative.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&b"..".as_slice()) {
        return refused("the path climbs");
    }
    Ok(parts)
}

/// Gives something open to an owner.
pub(crate) fn give(what: impl AsFd, (uid, gid): (u32, u32)) -> io::Result<()> {
    fchown(what, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    Ok(())
}

/// Sets the permission bits of something open.
pub(crate) fn set_mode(what: impl AsFd, mode: u32) -> io::Result<()> {
    fchmod(what, Mode::from_raw_mode(mode & 0o1777))?;
    Ok(())
}

/// Removes whatever is at an absolute path; that there is nothing is fine. A folder that can't go itself is emptied.
pub(crate) fn clear(path: &[u8]) -> io::Result<()> {
    let parts = parts(path)?;
    let Some((name, above)) = parts.split_last() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the root can't be cleared"));
    };
    let mut folder = open(c"/", FOLDER, Mode::empty())?;
    for part in above {
        folder = match openat(&folder, *part, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
    }
    remove(&folder, &CString::new(*name)?, 0)
}

/// Removes something in a folder, with all that is below it; that there is nothing is fine.
pub(crate) fn remove(folder: &OwnedFd, name: &CStr, depth: usize) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // On a read-only file system a folder that another one is mounted on can't go, but what is mounted there can.
        Err(Errno::ISDIR | Errno::PERM | Errno::ROFS) if depth < MAX_DEPTH => {}
        Err(error) => return Err(error.into()),
    }
    let inner = openat(folder, name, FOLDER, Mode::empty())?;
    for name in &*names(&inner)? {
        remove(&inner, name, depth + 1)?;
    }
    match unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::BUSY) => Ok(()),
        Err(Errno::ROFS) if depth == 0 => Ok(()),
        Err(error) => Err(error.into()),
    }
}
