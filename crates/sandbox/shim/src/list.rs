//! Listing a folder, two levels deep, as the agent.

use std::fs;
use std::io;
use std::path::Path;

use trajforge_shim::protocol::{List, Problem, Response};
use trajforge_shim::text::{Line, LineKind, Told, listed, size};

use crate::files::{as_agent, because};
use crate::world::World;

/// Entries that are looked at in one folder; there may be millions.
const MAX_LOOKED_AT: usize = 20_000;

/// Names, folders with a slash, files with their size.
pub(crate) fn run(world: &World, list: &List) -> Result<(Response, Vec<u8>), Problem> {
    let folder = world.resolve(&list.session, list.path.as_deref().unwrap_or_default());
    as_agent(world, || {
        let failed = |error: io::Error| because("list", &folder, &error);
        let metadata = fs::metadata(&folder).map_err(failed)?;
        let name = folder.to_string_lossy();
        if !metadata.is_dir() {
            let size = size(metadata.len());
            return Err(Told::wrong(format!("{name} is a file of {size}; read it instead.\n")));
        }
        let lines = inside(&folder).map_err(failed)?;
        Ok(listed(&name, lines, |inner| {
            inside(&folder.join(inner)).map_err(|error| error.kind().to_string())
        }))
    })
}

fn inside(folder: &Path) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)?.flatten().take(MAX_LOOKED_AT) {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let kind = if metadata.is_dir() {
            LineKind::Folder
        } else if metadata.is_file() {
            LineKind::File(metadata.len())
        } else if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            LineKind::Link(target.to_string_lossy().into_owned())
        } else {
            LineKind::Special
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        lines.push(Line { name, kind });
    }
    Ok(lines)
}
