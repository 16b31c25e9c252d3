//! Reading, writing and editing files as the agent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use trajforge_shim::protocol::{Edit, Identity, Problem, ProblemKind, Read, ReadRaw, Response, Shown, Write};
use trajforge_shim::text::{Before, Told, edited, numbered, written};

use crate::identity::acting_as;
use crate::outlet::{failed_to, problem};
use crate::world::World;

/// A file that is shown or edited is at most this long.
const MAX_FILE: u64 = 10 << 20;

type Answer = Result<(Response, Vec<u8>), Problem>;

/// Has an operation done with the agent's permissions; it tells the agent how it went.
pub(crate) fn as_agent(world: &World, operation: impl FnOnce() -> Result<Told, Told>) -> Answer {
    let done = acting_as(world.user(Identity::Agent), operation);
    let done = done.map_err(|error| failed_to("act as the agent", &error))?;
    let told = done.unwrap_or_else(|told| told);
    let shown = Shown { is_error: told.is_error, cut_bytes: told.cut_bytes };
    Ok((Response::Shown(shown), told.text.into_bytes()))
}

/// Numbered lines.
pub(crate) fn read(world: &World, read: &Read) -> Answer {
    let path = world.resolve(&read.session, &read.path);
    as_agent(world, || {
        let content = load(&path)?;
        Ok(numbered(&path.to_string_lossy(), &content, read.offset, read.limit))
    })
}

/// The bytes of a file.
pub(crate) fn read_raw(world: &World, read: &ReadRaw) -> Answer {
    let path = world.workspace().join(&read.path);
    let done = acting_as(world.user(read.identity), || -> Answer {
        let failed = |error: &io::Error| failed_to(&format!("read {}", path.display()), error);
        let file = open(&path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            let message = format!("{} is no regular file", path.display());
            return Err(problem(ProblemKind::NoSuchFile, message));
        }
        let mut content = Vec::new();
        file.take(read.max_bytes.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|error| failed(&error))?;
        if content.len() as u64 > read.max_bytes {
            let message = format!("{} is longer than {} bytes", path.display(), read.max_bytes);
            return Err(problem(ProblemKind::Limit, message));
        }
        let mode = metadata.mode() & 0o777;
        Ok((Response::Raw { mode }, content))
    });
    done.map_err(|error| failed_to("act as the agent", &error))?
}

/// A whole file.
pub(crate) fn write(world: &World, write: &Write, content: &[u8]) -> Answer {
    let path = world.resolve(&write.session, &write.path);
    as_agent(world, || {
        let before = if path.exists() { Before::File } else { Before::Nothing };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| because("make the folder", folder, &error))?;
        }
        save(&path, content)?;
        Ok(written(&path.to_string_lossy(), content, before))
    })
}

/// One exact replacement, or all of them.
pub(crate) fn edit(world: &World, edit: &Edit) -> Answer {
    let path = world.resolve(&edit.session, &edit.path);
    as_agent(world, || {
        let (changed, told) = edited(&path.to_string_lossy(), &load(&path)?, edit)?;
        save(&path, changed.as_bytes())?;
        Ok(told)
    })
}

fn load(path: &Path) -> Result<Vec<u8>, Told> {
    let failed = |error: io::Error| because("read", path, &error);
    let file = open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Told::wrong(format!("{} is a folder; list it instead.\n", path.display())));
    }
    if !metadata.is_file() {
        return Err(Told::wrong(format!("{} is no regular file.\n", path.display())));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > MAX_FILE {
        return Err(Told::wrong(format!(
            "{} is longer than {} MiB; look at parts of it with a command.\n",
            path.display(),
            MAX_FILE >> 20
        )));
    }
    Ok(content)
}

/// Writes into the file that is there, so that its mode and its links stay.
fn save(path: &Path, content: &[u8]) -> Result<(), Told> {
    let attempt = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        nobodys_own(&file)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        file.write_all(content)?;
        file.set_len(content.len() as u64)
    };
    attempt().map_err(|error| because("write", path, &error))
}

/// Opens for reading; neither a pipe without a writer nor a terminal can hold it up.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    nobodys_own(&file)?;
    Ok(file)
}

/// Refuses the shim's own folder in `/proc`: to the kernel, whatever the shim opens there is its own business, so that
/// no permission of the agent's stands in the way.
fn nobodys_own(file: &File) -> io::Result<()> {
    let target = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    if target.starts_with("/proc/1") {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(())
}

/// A failed operation in words for the agent.
pub(crate) fn because(doing: &str, path: &Path, error: &io::Error) -> Told {
    let name = path.display();
    Told::wrong(match error.kind() {
        io::ErrorKind::NotFound => format!("There is no {name}.{}\n", alike(path)),
        io::ErrorKind::PermissionDenied => format!("Permission denied: could not {doing} {name}.\n"),
        io::ErrorKind::IsADirectory => format!("{name} is a folder.\n"),
        io::ErrorKind::NotADirectory => format!("A part of {name} is a file, not a folder.\n"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("No space is left to {doing} {name}.\n")
        }
        _ => format!("Could not {doing} {name}: {error}.\n"),
    })
}

/// Names in the same folder that may have been meant.
fn alike(path: &Path) -> String {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return String::new();
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return format!(" Its folder {} does not exist either.", folder.display());
    };
    let wanted = name.to_string_lossy().to_lowercase();
    let stem = wanted.split('.').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = entries
        .flatten()
        .take(10_000)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|other| {
            let other = other.to_lowercase();
            other == wanted || (stem.len() >= 3 && other.contains(&stem))
        })
        .collect();
    names.sort();
    names.truncate(5);
    if names.is_empty() {
        return String::new();
    }
    format!(" Similar names there: {}.", names.join(", "))
}
