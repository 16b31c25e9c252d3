//! Laying an archive out below a root: nothing in it can reach beyond, through links or otherwise.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fstat, futimens, openat, symlinkat,
};
use trajforge_shim::archive::{ArchiveError, Entry, EntryKind, Event, Reader};
use trajforge_shim::protocol::{Owner, Problem, ProblemKind, SECRET_UID, Unpack, Unpacked};

use crate::folder;
use crate::outlet::{failed_to, problem};
use crate::stream::{Piece, grant};
use crate::world::World;

/// Takes in the stream and lays it out.
pub(crate) fn run(
    world: &World,
    unpack: &Unpack,
    (id, pieces): (u32, Receiver<Piece>),
) -> Result<Unpacked, Problem> {
    let (uid, gid) = world.agent();
    let owner = match unpack.owner {
        Owner::Agent => (uid, gid),
        Owner::Root | Owner::Kept => (0, 0),
        Owner::Secret => (SECRET_UID, SECRET_UID),
    };
    for path in &unpack.clear {
        folder::clear(path.as_bytes()).map_err(|error| failed_to(&format!("clear {path}"), &error))?;
    }
    let root =
        open_root(unpack, owner).map_err(|error| failed_to(&format!("unpack at {}", unpack.root), &error))?;
    let mut layout = Layout { root, owner, keeps: unpack.owner == Owner::Kept, file: None };
    let mut reader = Reader::new(unpack.max_bytes);
    loop {
        match pieces.recv() {
            Ok(Piece::Data(bytes)) => {
                reader.feed::<Failure>(&bytes, &mut |event| layout.take(event)).map_err(|error| error.0)?;
                grant(&world.outlet, id, bytes.len());
            }
            Ok(Piece::End) => break,
            Ok(Piece::Cancel) | Err(_) => {
                return Err(problem(ProblemKind::Io, "the archive was not sent to its end"));
            }
        }
    }
    reader.finish().map_err(|error| Failure::from(error).0)?;
    layout.close().map_err(|error| error.0)?;
    Ok(Unpacked { entries: reader.entries(), bytes: reader.bytes() })
}

fn open_root(unpack: &Unpack, owner: (u32, u32)) -> io::Result<OwnedFd> {
    let root = folder::make(unpack.root.as_bytes(), owner)?;
    if unpack.owner == Owner::Secret {
        let uid = fstat(&root)?.st_uid;
        if !matches!(uid, 0 | SECRET_UID) {
            return Err(io::Error::other("the folder is there already, and belongs to the agent"));
        }
        folder::set_mode(&root, 0o700)?;
        folder::give(&root, owner)?;
    }
    Ok(root)
}

struct Layout {
    root: OwnedFd,
    owner: (u32, u32),
    /// Whether each entry has its own owner.
    keeps: bool,
    file: Option<(File, Entry)>,
}

struct Failure(Problem);

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let kind = match error {
            ArchiveError::TooLarge { .. } => ProblemKind::Limit,
            ArchiveError::Path(_) | ArchiveError::Kind(_) => ProblemKind::Refused,
            ArchiveError::Malformed(_) | ArchiveError::Torn => ProblemKind::Malformed,
        };
        Self(problem(kind, error.to_string()))
    }
}

impl Layout {
    fn take(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Entry(entry) => {
                self.close()?;
                let path = String::from_utf8_lossy(&entry.path).into_owned();
                self.lay(entry).map_err(|error| Failure(failed_to(&format!("unpack {path}"), &error)))
            }
            Event::Data(bytes) => match &mut self.file {
                Some((file, _)) => file
                    .write_all(bytes)
                    .map_err(|error| Failure(failed_to("write a file of the archive", &error))),
                None => Ok(()),
            },
        }
    }

    /// Times are set last: writing changes them.
    fn close(&mut self) -> Result<(), Failure> {
        let Some((file, entry)) = self.file.take() else {
            return Ok(());
        };
        touch(&file, &entry).map_err(|error| Failure(failed_to("finish a file of the archive", &error)))
    }

    fn lay(&mut self, entry: Entry) -> io::Result<()> {
        let parts: Vec<&[u8]> = entry.path.split(|byte| *byte == b'/').collect();
        let Some((name, above)) = parts.split_last() else {
            return Ok(());
        };
        let folder = folder::make_below(&self.root, above.iter().copied(), self.owner)?;
        let (owner, mode) =
            if self.keeps { (entry.owner, entry.mode) } else { (self.owner, entry.mode & 0o777) };
        match &entry.kind {
            EntryKind::Folder => {
                let inner = match folder::make_below(&folder, [*name], owner) {
                    Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => {
                        make_room(&folder, name)?;
                        folder::make_below(&folder, [*name], owner)?
                    }
                    other => other?,
                };
                folder::give(&inner, owner)?;
                folder::set_mode(&inner, mode)
            }
            EntryKind::Link { target } => {
                make_room(&folder, name)?;
                symlinkat(target.as_slice(), &folder, *name)?;
                let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
                chownat(&folder, *name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(())
            }
            EntryKind::File { .. } => {
                make_room(&folder, name)?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(&folder, *name, flags, Mode::from_raw_mode(0o600))?;
                folder::give(&file, owner)?;
                folder::set_mode(&file, mode)?;
                self.file = Some((File::from(file), entry));
                Ok(())
            }
        }
    }
}

fn make_room(folder: &OwnedFd, name: &[u8]) -> io::Result<()> {
    folder::remove(folder, &CString::new(name)?, 0)
}

fn touch(file: &File, entry: &Entry) -> io::Result<()> {
    let time = Timespec { tv_sec: i64::try_from(entry.modified).unwrap_or(0), tv_nsec: 0 };
    futimens(file, &Timestamps { last_access: time, last_modification: time })?;
    Ok(())
}
