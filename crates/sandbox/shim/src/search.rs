//! Searching files below a path as the agent.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use trajforge_shim::protocol::{Problem, Response, Search};
use trajforge_shim::text::Matches;

use crate::files::{as_agent, because, open};
use crate::world::World;

const MAX_FILE: u64 = 5 << 20;
const MAX_TIME: Duration = Duration::from_secs(20);
/// Places that are no files of anybody's work.
const SKIPPED: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Lines that match.
pub(crate) fn run(world: &World, search: &Search) -> Result<(Response, Vec<u8>), Problem> {
    let base = world.resolve(&search.session, "");
    let start = match &search.path {
        Some(path) => world.resolve(&search.session, path),
        None => base.clone(),
    };
    as_agent(world, || {
        let mut matches = Matches::of(&search.pattern)?;
        // The start may be a link, since it was asked for; below it none is followed.
        let metadata = fs::metadata(&start).map_err(|error| because("search", &start, &error))?;
        if metadata.is_dir() {
            look_below(&start, &base, &mut matches);
        } else {
            look_into(&start, &base, &mut matches);
        }
        Ok(matches.report())
    })
}

fn look_below(start: &Path, base: &Path, matches: &mut Matches) {
    let until = Instant::now() + MAX_TIME;
    // A folder's content goes onto the pile in reverse, so that names come off it in their order.
    let mut pile = inside(start);
    while let Some(path) = pile.pop() {
        if Instant::now() > until {
            return matches.stop();
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let is_skipped =
                path.ends_with(".git") || SKIPPED.iter().any(|skipped| path == Path::new(skipped));
            if !is_skipped {
                pile.extend(inside(&path));
            }
        } else if metadata.is_file() && metadata.len() <= MAX_FILE && !look_into(&path, base, matches) {
            return;
        }
    }
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable_by(|a, b| b.cmp(a));
    paths
}

fn look_into(path: &Path, base: &Path, matches: &mut Matches) -> bool {
    let mut content = Vec::new();
    let read = open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut content));
    let name = path.strip_prefix(base).unwrap_or(path);
    read.is_err() || matches.look_into(&name.to_string_lossy(), &content)
}
