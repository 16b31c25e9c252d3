//! Packing paths into an archive that streams to the host.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, statat};
use trajforge_shim::archive::{Entry, EntryKind, header, padding, trailer};
use trajforge_shim::frame::{CHUNK, Frame, Kind};
use trajforge_shim::protocol::{Pack, Packed, Problem, ProblemKind, Response};

use crate::folder::{self, Item, Next, walk};
use crate::outlet::{failed_to, problem};
use crate::process::Standstill;
use crate::stream::Credit;
use crate::world::World;

/// Looks first, so that what is too large is refused before a byte is sent; then answers and sends.
pub(crate) fn run(world: &World, pack: &Pack, (id, credit): (u32, &Credit)) -> Result<(), Problem> {
    // Services, too: what they write while it is read would be torn.
    let _standstill = Standstill::during(pack.meanwhile, world.agent().0, HashSet::new);
    let mut packed = Packed::default();
    each(pack, &mut |item| {
        item.is_in_reach()?;
        match item.kind() {
            FileType::RegularFile => packed.bytes = packed.bytes.saturating_add(size(item)),
            FileType::Directory | FileType::Symlink => {}
            _ => {
                packed.skipped += 1;
                return Ok(Next::Enter);
            }
        }
        packed.entries += 1;
        if packed.bytes > pack.max_bytes {
            return Err(problem(
                ProblemKind::Limit,
                format!("{} hold more than {} bytes", pack.paths.join(", "), pack.max_bytes),
            ));
        }
        Ok(Next::Enter)
    })?;
    world.outlet.reply(id, &Response::Packed(packed), Vec::new());
    let mut stream = Stream { world, id, credit, waiting: Vec::with_capacity(CHUNK) };
    let sent = each(pack, &mut |item| stream.put(item).map(|()| Next::Enter)).and_then(|()| stream.finish());
    if let Err(problem) = sent {
        let why = Frame::bare(Kind::Cancel, id, problem.message.into_bytes());
        let _ = world.outlet.send(&why);
    }
    Ok(())
}

/// Visits the paths and all that is below them; their names are relative to the root of the file system.
fn each(pack: &Pack, visit: &mut dyn FnMut(&Item<'_>) -> Result<Next, Problem>) -> Result<(), Problem> {
    let shallow = pack.shallow.iter().map(|path| (path, Next::Pass));
    for (path, next) in shallow.chain(pack.paths.iter().map(|path| (path, Next::Enter))) {
        let Some((folder, name)) = locate(path)? else {
            continue;
        };
        let Ok(stat) = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let mut relative = path.trim_matches('/').as_bytes().to_vec();
        let item = Item { path: &relative, name: &name, folder: &folder, stat, depth: 0, is_too_deep: false };
        let is_folder = item.kind() == FileType::Directory;
        visit(&item)?;
        if is_folder && next == Next::Enter {
            let inner =
                folder::find(path.as_bytes()).map_err(|error| failed_to(&format!("pack {path}"), &error))?;
            walk(&inner, &mut relative, 0, visit)?;
        }
    }
    Ok(())
}

/// The folder that a path is in, and its name there; nothing if there is no such folder.
fn locate(path: &str) -> Result<Option<(OwnedFd, CString)>, Problem> {
    let refuse =
        |error: &std::io::Error| problem(ProblemKind::Refused, format!("{path} can't be packed: {error}"));
    let parts = folder::parts(path.as_bytes()).map_err(|error| refuse(&error))?;
    let Some((name, above)) = parts.split_last() else {
        return Err(problem(ProblemKind::Refused, "the whole file system can't be packed"));
    };
    let above = [b"/".as_slice(), &above.join(&b'/')].concat();
    match folder::find(&above) {
        Ok(folder) => {
            let name = CString::new(*name).map_err(|error| refuse(&error.into()))?;
            Ok(Some((folder, name)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refuse(&error)),
    }
}

fn size(item: &Item<'_>) -> u64 {
    u64::try_from(item.stat.st_size).unwrap_or(0)
}

struct Stream<'a> {
    world: &'a World,
    id: u32,
    credit: &'a Credit,
    waiting: Vec<u8>,
}

impl Stream<'_> {
    fn put(&mut self, item: &Item<'_>) -> Result<(), Problem> {
        let mut file = None;
        let kind = match item.kind() {
            FileType::Directory => EntryKind::Folder,
            FileType::Symlink => match item.target() {
                Ok(target) => EntryKind::Link { target },
                Err(_) => return Ok(()),
            },
            FileType::RegularFile => match item.open() {
                Ok(open) => {
                    file = Some(File::from(open));
                    EntryKind::File { size: size(item) }
                }
                Err(_) => return Ok(()),
            },
            _ => return Ok(()),
        };
        let entry = Entry {
            path: item.path.to_vec(),
            kind,
            mode: item.stat.st_mode & 0o1777,
            owner: (item.stat.st_uid, item.stat.st_gid),
            modified: u64::try_from(item.stat.st_mtime).unwrap_or(0),
        };
        self.push(&header(&entry))?;
        match file {
            Some(file) => self.content(file, size(item)),
            None => Ok(()),
        }
    }

    /// Exactly the promised bytes, even if the file has changed meanwhile.
    fn content(&mut self, file: File, size: u64) -> Result<(), Problem> {
        let mut file = file.take(size);
        let mut buffer = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            let count = file.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                break;
            }
            self.push(&buffer[..count])?;
            left -= count as u64;
        }
        buffer.fill(0);
        while left > 0 {
            let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.push(&buffer[..count])?;
            left -= count as u64;
        }
        self.push(&vec![0; padding(size)])
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), Problem> {
        while self.waiting.len() + bytes.len() >= CHUNK {
            let (now, later) = bytes.split_at(CHUNK - self.waiting.len());
            self.waiting.extend_from_slice(now);
            bytes = later;
            self.flush()?;
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Problem> {
        let piece = std::mem::replace(&mut self.waiting, Vec::with_capacity(CHUNK));
        if !self.credit.spend(piece.len() as u64) {
            return Err(problem(ProblemKind::Io, "nobody wants the archive any more"));
        }
        let _ = self.world.outlet.send(&Frame::bare(Kind::Data, self.id, piece));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Problem> {
        self.push(&trailer())?;
        self.flush()?;
        let _ = self.world.outlet.send(&Frame::bare(Kind::End, self.id, Vec::new()));
        Ok(())
    }
}
