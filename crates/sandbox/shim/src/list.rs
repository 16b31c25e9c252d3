//! Listing a folder, two levels deep, as the agent.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use trajforge_shim::protocol::{List, Problem, Response};

use crate::files::{as_agent, because, declined, told};
use crate::world::World;

const MAX_ENTRIES: usize = 400;
/// Of one inner folder: a folder full of data must not push everything else out.
const MAX_INNER: usize = 60;

/// Names, folders with a slash, files with their size.
pub(crate) fn run(world: &World, list: &List) -> Result<(Response, Vec<u8>), Problem> {
    let folder = world.resolve(&list.session, list.path.as_deref().unwrap_or_default());
    as_agent(world, || {
        let metadata = fs::metadata(&folder).map_err(|error| because("list", &folder, &error))?;
        if !metadata.is_dir() {
            return Err(declined(format!(
                "{} is a file of {}; read it instead.\n",
                folder.display(),
                size(metadata.len())
            )));
        }
        let entries = inside(&folder).map_err(|error| because("list", &folder, &error))?;
        let mut text = format!("{}:\n", folder.display());
        if entries.is_empty() {
            text.push_str("(empty)\n");
        }
        let mut left = MAX_ENTRIES;
        for (at, entry) in entries.iter().enumerate() {
            if left == 0 {
                let _ = writeln!(text, "[{} more entries; list an inner folder]", entries.len() - at);
                break;
            }
            left -= 1;
            let _ = writeln!(text, "{}", entry.line());
            if entry.is_folder && entry.name != ".git" {
                left -= inner(&folder.join(&entry.name), left.min(MAX_INNER), &mut text);
            }
        }
        Ok(told(text))
    })
}

fn inner(folder: &Path, limit: usize, text: &mut String) -> usize {
    let entries = match inside(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let _ = writeln!(text, "  [{}]", error.kind());
            return 0;
        }
    };
    for entry in entries.iter().take(limit) {
        let _ = writeln!(text, "  {}", entry.line());
    }
    if entries.len() > limit {
        let _ = writeln!(text, "  [{} more]", entries.len() - limit);
    }
    entries.len().min(limit)
}

struct Entry {
    name: String,
    is_folder: bool,
    note: String,
}

impl Entry {
    fn line(&self) -> String {
        let slash = if self.is_folder { "/" } else { "" };
        format!("{}{slash}{}", self.name, self.note)
    }
}

fn inside(folder: &Path) -> std::io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let note = if metadata.is_symlink() {
            fs::read_link(entry.path())
                .map_or_else(|_| " -> ?".to_owned(), |target| format!(" -> {}", target.display()))
        } else if metadata.is_file() {
            format!("  {}", size(metadata.len()))
        } else if metadata.is_dir() {
            String::new()
        } else {
            "  (special)".to_owned()
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(Entry { name, is_folder: metadata.is_dir(), note });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!((size(5), size(1536), size(3 << 20)), ("5 B".into(), "1.5 KiB".into(), "3.0 MiB".into()));
    }
}
