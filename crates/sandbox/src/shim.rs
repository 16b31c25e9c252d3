//! The embedded shim, laid down where containers can mount it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use trajforge_schema::Digest;

use crate::error::{Error, Result};

static PROGRAM: &[u8] = include_bytes!(env!("TRAJFORGE_SHIM"));

/// The shim's path below a cache folder, named by its content. Many processes may lay it down at once.
pub(crate) fn lay_down(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("shim");
    let path = folder.join(Digest::of(PROGRAM).short());
    let is_there = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == PROGRAM.len() as u64);
    if !is_there {
        write(&folder, &path).map_err(|source| Error::File {
            path: path.display().to_string(),
            doing: "lay down the shim".to_owned(),
            source,
        })?;
    }
    fs::canonicalize(&path).map_err(|source| Error::File {
        path: path.display().to_string(),
        doing: "find the shim".to_owned(),
        source,
    })
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn write(folder: &Path, path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    // Threads and processes that do the same at once must not share an unfinished file.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let half = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&half)?;
    file.write_all(PROGRAM)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&half, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_is_laid_down_once_under_its_content() {
        let cache = tempfile::tempdir().unwrap();
        let first = std::thread::scope(|scope| {
            let racing: Vec<_> = (0..8).map(|_| scope.spawn(|| lay_down(cache.path()).unwrap())).collect();
            let mut paths: Vec<PathBuf> = racing.into_iter().map(|thread| thread.join().unwrap()).collect();
            paths.dedup();
            assert_eq!(paths.len(), 1);
            paths.remove(0)
        });
        assert_eq!(lay_down(cache.path()).unwrap(), first);
        assert_eq!(fs::read(&first).unwrap(), PROGRAM);
        assert_eq!(fs::read_dir(cache.path().join("shim")).unwrap().count(), 1);
    }
}
