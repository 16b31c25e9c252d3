//! Reading, writing and editing files as the agent; the texts are what a language model reads.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use trajforge_shim::protocol::{Edit, Identity, Problem, ProblemKind, Read, ReadRaw, Response, Shown, Write};

use crate::identity::acting_as;
use crate::outlet::{failed_to, problem};
use crate::world::World;

/// A file that is shown or edited is at most this long.
const MAX_FILE: u64 = 10 << 20;
/// A text that is shown is at most about this long.
pub(crate) const MAX_SHOWN: usize = 48 << 10;
const MAX_LINE: usize = 2000;

type Answer = Result<(Response, Vec<u8>), Problem>;

/// A text for the agent.
pub(crate) fn told(text: String) -> (Response, Vec<u8>) {
    (Response::Shown(Shown::default()), text.into_bytes())
}

/// A text that says what went wrong, for the agent.
pub(crate) fn declined(text: String) -> (Response, Vec<u8>) {
    let shown = Shown { is_error: true, cut_bytes: 0 };
    (Response::Shown(shown), text.into_bytes())
}

/// Has an operation done with the agent's permissions.
pub(crate) fn as_agent(
    world: &World,
    operation: impl FnOnce() -> Result<(Response, Vec<u8>), (Response, Vec<u8>)>,
) -> Answer {
    let done = acting_as(world.user(Identity::Agent), operation);
    let done = done.map_err(|error| failed_to("act as the agent", &error))?;
    Ok(done.unwrap_or_else(|declined| declined))
}

/// Numbered lines.
pub(crate) fn read(world: &World, read: &Read) -> Answer {
    let path = world.resolve(&read.session, &read.path);
    as_agent(world, || {
        let content = load(&path)?;
        let name = path.display();
        if content.is_empty() {
            return Ok(told(format!("{name} is empty.\n")));
        }
        if content.iter().take(8192).any(|byte| *byte == 0) {
            return Err(declined(format!(
                "{name} is a binary file of {} bytes; look at it with a command.\n",
                content.len()
            )));
        }
        Ok(numbered(&path, &content, read))
    })
}

fn numbered(path: &Path, content: &[u8], read: &Read) -> (Response, Vec<u8>) {
    let lines: Vec<&[u8]> =
        content.strip_suffix(b"\n").unwrap_or(content).split(|byte| *byte == b'\n').collect();
    let first = usize::try_from(read.offset.max(1)).unwrap_or(usize::MAX);
    if first > lines.len() {
        return declined(format!(
            "{} has only {} lines; line {first} is past its end.\n",
            path.display(),
            lines.len()
        ));
    }
    let limit = usize::try_from(read.limit.max(1)).unwrap_or(usize::MAX);
    let mut text = String::new();
    let mut shown = 0;
    for (at, line) in lines.iter().enumerate().skip(first - 1).take(limit) {
        if text.len() > MAX_SHOWN {
            break;
        }
        let _ = writeln!(text, "{:>6}\t{}", at + 1, shortened(line));
        shown += 1;
    }
    let next = first + shown;
    let mut cut_bytes = 0;
    if next <= lines.len() {
        cut_bytes = lines[next - 1..].iter().map(|line| line.len() as u64 + 1).sum();
        let _ = writeln!(text, "[{} more lines; read on with offset {next}]", lines.len() - next + 1);
    }
    (Response::Shown(Shown { is_error: false, cut_bytes }), text.into_bytes())
}

/// A line as text, cut where it is endless.
pub(crate) fn shortened(line: &[u8]) -> String {
    if line.len() <= MAX_LINE {
        return String::from_utf8_lossy(line).into_owned();
    }
    format!(
        "{} [... {} more bytes in this line]",
        String::from_utf8_lossy(&line[..MAX_LINE]),
        line.len() - MAX_LINE
    )
}

/// The bytes of a file.
pub(crate) fn read_raw(world: &World, read: &ReadRaw) -> Answer {
    let path = world.workspace().join(&read.path);
    let done = acting_as(world.user(read.identity), || -> Answer {
        let failed = |error: &io::Error| failed_to(&format!("read {}", path.display()), error);
        let file = open(&path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            return Err(problem(ProblemKind::NoSuchFile, format!("{} is no regular file", path.display())));
        }
        let mut content = Vec::new();
        file.take(read.max_bytes.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|error| failed(&error))?;
        if content.len() as u64 > read.max_bytes {
            return Err(problem(
                ProblemKind::Limit,
                format!("{} is longer than {} bytes", path.display(), read.max_bytes),
            ));
        }
        Ok((Response::Raw { mode: metadata.mode() & 0o777 }, content))
    });
    done.map_err(|error| failed_to("act as the agent", &error))?
}

/// A whole file.
pub(crate) fn write(world: &World, write: &Write, content: &[u8]) -> Answer {
    let path = world.resolve(&write.session, &write.path);
    as_agent(world, || {
        let existed = path.exists();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| because("make the folder", folder, &error))?;
        }
        save(&path, content)?;
        let lines = content.split(|byte| *byte == b'\n').count()
            - usize::from(content.is_empty() || content.ends_with(b"\n"));
        let verb = if existed { "Replaced" } else { "Created" };
        Ok(told(format!("{verb} {} ({lines} lines, {} bytes).\n", path.display(), content.len())))
    })
}

/// One exact replacement, or all of them.
pub(crate) fn edit(world: &World, edit: &Edit) -> Answer {
    let path = world.resolve(&edit.session, &edit.path);
    as_agent(world, || {
        let name = path.display();
        if edit.old.is_empty() {
            return Err(declined(
                "The text to be replaced is empty; to make a new file, write it.\n".to_owned(),
            ));
        }
        if edit.old == edit.new {
            return Err(declined(
                "The old and the new text are the same; nothing would change.\n".to_owned(),
            ));
        }
        let content = String::from_utf8(load(&path)?)
            .map_err(|_| declined(format!("{name} is not UTF-8 text; change it with a command.\n")))?;
        let places: Vec<usize> = content.match_indices(&edit.old).map(|(at, _)| at).collect();
        match places.as_slice() {
            [] => {
                return Err(declined(format!(
                    "The text to be replaced is not in {name}.{}\n",
                    nearest(&content, &edit.old)
                )));
            }
            [_] => {}
            _ if edit.all => {}
            many => {
                let lines: Vec<String> =
                    many.iter().take(10).map(|at| line_of(&content, *at).to_string()).collect();
                return Err(declined(format!(
                    "The text to be replaced is {} times in {name} (lines {}{}). Give more of the text around it, so that it \
                     is unique, or ask for all.\n",
                    many.len(),
                    lines.join(", "),
                    if many.len() > 10 { " ..." } else { "" },
                )));
            }
        }
        let changed = content.replace(&edit.old, &edit.new);
        save(&path, changed.as_bytes())?;
        Ok(told(edited(&path, &changed, places[0], (places.len(), edit.new.lines().count()))))
    })
}

fn edited(path: &Path, content: &str, at: usize, (count, new_lines): (usize, usize)) -> String {
    let line = line_of(content, at);
    let mut text = match count {
        1 => format!("Edited {} at line {line}:\n", path.display()),
        _ => format!("Edited {} in {count} places; the first is at line {line}:\n", path.display()),
    };
    let first = line.saturating_sub(4);
    let shown = (new_lines + 6).min(40);
    for (at, line) in content.lines().enumerate().skip(first).take(shown) {
        let _ = writeln!(text, "{:>6}\t{}", at + 1, shortened(line.as_bytes()));
    }
    text
}

fn line_of(content: &str, at: usize) -> usize {
    content.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What may have been meant by a text that isn't there.
fn nearest(content: &str, old: &str) -> String {
    let Some(wanted) = old.lines().map(str::trim).find(|line| !line.is_empty()) else {
        return String::new();
    };
    let found = content.lines().enumerate().find(|(_, line)| line.trim() == wanted);
    if let Some((at, line)) = found {
        return format!(
            " Line {} is like its first line, but what follows or the white space differs:\n{:>6}\t{}",
            at + 1,
            at + 1,
            shortened(line.as_bytes())
        );
    }
    let alike = |line: &str| line.trim().chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
    let best = content.lines().enumerate().max_by_key(|(at, line)| (alike(line), std::cmp::Reverse(*at)));
    match best {
        Some((at, line)) if alike(line) >= 5 => {
            format!(" The nearest line is:\n{:>6}\t{}", at + 1, shortened(line.as_bytes()))
        }
        _ => String::new(),
    }
}

type Declined = (Response, Vec<u8>);

fn load(path: &Path) -> Result<Vec<u8>, Declined> {
    let file = open(path).map_err(|error| because("read", path, &error))?;
    let metadata = file.metadata().map_err(|error| because("read", path, &error))?;
    if metadata.is_dir() {
        return Err(declined(format!("{} is a folder; list it instead.\n", path.display())));
    }
    if !metadata.is_file() {
        return Err(declined(format!("{} is no regular file.\n", path.display())));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(|error| because("read", path, &error))?;
    if content.len() as u64 > MAX_FILE {
        return Err(declined(format!(
            "{} is longer than {} MiB; look at parts of it with a command.\n",
            path.display(),
            MAX_FILE >> 20
        )));
    }
    Ok(content)
}

/// Writes into the file that is there, so that its mode and its links stay.
fn save(path: &Path, content: &[u8]) -> Result<(), Declined> {
    let attempt = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
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
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// A failed operation in words for the agent.
pub(crate) fn because(doing: &str, path: &Path, error: &io::Error) -> Declined {
    let name = path.display();
    declined(match error.kind() {
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
    if names.is_empty() { String::new() } else { format!(" Similar names there: {}.", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_there_is_answered_with_the_line_that_may_be_meant() {
        let content = "def f():\n    return 1\n\ndef g():\n    return 2\n";
        assert!(nearest(content, "return 2").contains("Line 5"));
        assert!(nearest(content, "def g(x):").contains("4\tdef g():"));
        assert_eq!(nearest(content, "nothing like it"), "");
    }

    #[test]
    fn an_endless_line_is_cut_and_says_so() {
        assert!(shortened(&[b'x'; 2500]).ends_with("[... 500 more bytes in this line]"));
    }
}
