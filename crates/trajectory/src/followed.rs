//! Attempts that were added to a run after it was planned: one line each, in the order in which they were added.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use trajforge_schema::RolloutSpec;

use crate::error::{Error, Result, failed};

/// The attempts, each once. A last line that was torn is passed over: its attempt had not begun.
pub(crate) fn read(path: &Path) -> Result<Vec<RolloutSpec>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mut known = HashSet::new();
    let mut specs: Vec<RolloutSpec> = Vec::new();
    for line in whole_lines(&bytes) {
        let parse = |source| Error::Parse { path: path.to_owned(), source };
        let spec: RolloutSpec = serde_json::from_slice(line).map_err(parse)?;
        if known.insert(spec.id.clone()) {
            specs.push(spec);
        }
    }
    Ok(specs)
}

/// Adds one; it is on disk when this returns.
pub(crate) fn add(path: &Path, spec: &RolloutSpec) -> Result<()> {
    let write = failed("write", path);
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(failed("open", path))?;
    let bytes = fs::read(path).map_err(failed("read", path))?;
    let whole = whole_lines(&bytes).map(<[u8]>::len).sum::<usize>();
    if whole < bytes.len() {
        file.set_len(whole as u64).map_err(failed("write", path))?;
    }
    let mut line = serde_json::to_vec(spec).expect("a spec is plain data with string keys");
    line.push(b'\n');
    file.write_all(&line).and_then(|()| file.sync_data()).map_err(write)
}

fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"))
}
