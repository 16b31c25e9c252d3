//! Searching files below a path as the agent.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use trajforge_shim::protocol::{Problem, Response, Search};

use crate::files::{MAX_SHOWN, as_agent, because, declined, open, told};
use crate::world::World;

const MAX_MATCHES: usize = 200;
const MAX_FILE: u64 = 5 << 20;
const MAX_LINE: usize = 300;
const MAX_TIME: Duration = Duration::from_secs(20);
/// Places that are no files of anybody's work.
const SKIPPED: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Lines that match.
pub(crate) fn run(world: &World, search: &Search) -> Result<(Response, Vec<u8>), Problem> {
    let base = world.resolve(&search.session, "");
    let start =
        search.path.as_ref().map_or_else(|| base.clone(), |path| world.resolve(&search.session, path));
    as_agent(world, || {
        let pattern = Regex::new(&search.pattern)
            .map_err(|error| declined(format!("The pattern is no regular expression: {error}\n")))?;
        fs::metadata(&start).map_err(|error| because("search", &start, &error))?;
        let mut found = Found {
            base: &base,
            pattern,
            text: String::new(),
            matches: 0,
            files: 0,
            until: Instant::now() + MAX_TIME,
            is_full: false,
        };
        found.visit(start);
        Ok(told(found.report(&search.pattern)))
    })
}

struct Found<'a> {
    base: &'a Path,
    pattern: Regex,
    text: String,
    matches: usize,
    files: usize,
    until: Instant,
    is_full: bool,
}

impl Found<'_> {
    fn visit(&mut self, start: PathBuf) {
        // A folder's content goes onto the pile in reverse, so that names come off it in their order.
        let mut pile = vec![start];
        while let Some(path) = pile.pop() {
            if self.is_full || Instant::now() > self.until {
                self.is_full = true;
                return;
            }
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            // Only the start may be a link: it was asked for.
            let is_start = self.files == 0 && pile.is_empty() && metadata.is_symlink();
            if metadata.is_dir() || (is_start && path.is_dir()) {
                if path.ends_with(".git") || SKIPPED.iter().any(|skipped| path == Path::new(skipped)) {
                    continue;
                }
                let mut inside: Vec<PathBuf> =
                    fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
                inside.sort_unstable_by(|a, b| b.cmp(a));
                pile.extend(inside);
            } else if metadata.is_file() || is_start {
                self.look_into(&path, metadata.len());
            }
        }
    }

    fn look_into(&mut self, path: &Path, size: u64) {
        if size > MAX_FILE {
            return;
        }
        let mut content = Vec::new();
        let read = open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut content));
        if read.is_err() || content.iter().take(8192).any(|byte| *byte == 0) {
            return;
        }
        self.files += 1;
        let name = path.strip_prefix(self.base).unwrap_or(path);
        let name = if name.as_os_str().is_empty() { path } else { name };
        let lines = content.strip_suffix(b"\n").unwrap_or(&content);
        for (at, line) in lines.split(|byte| *byte == b'\n').enumerate() {
            if !self.pattern.is_match(line) {
                continue;
            }
            if self.matches == MAX_MATCHES || self.text.len() > MAX_SHOWN {
                self.is_full = true;
                return;
            }
            self.matches += 1;
            let shown = &line[..line.len().min(MAX_LINE)];
            let more = if line.len() > MAX_LINE { " ..." } else { "" };
            let _ = writeln!(
                self.text,
                "{}:{}: {}{more}",
                name.display(),
                at + 1,
                String::from_utf8_lossy(shown)
            );
        }
    }

    fn report(mut self, pattern: &str) -> String {
        if self.matches == 0 {
            let _ = write!(self.text, "No line matches {pattern:?}");
            let _ = match self.is_full {
                true => writeln!(self.text, " in the {} files that there was time for.", self.files),
                false => writeln!(self.text, " ({} files searched).", self.files),
            };
        } else if self.is_full {
            let _ = writeln!(
                self.text,
                "[stopped after {} matches; narrow the pattern or the path]",
                self.matches
            );
        }
        self.text
    }
}
