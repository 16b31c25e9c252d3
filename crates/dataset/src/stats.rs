//! Reads a dataset back: what it says of itself, after a look at whether that is true.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, Result, failed};
use crate::metadata::{self, FileInfo, Metadata, SCHEMA_VERSION};
use crate::table::rows_of;

/// What the dataset in `folder` says of itself. Each Parquet file must have the digest and the rows that it had when it
/// was built.
pub fn stats(folder: &Path) -> Result<Metadata> {
    #[derive(serde::Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let path = folder.join(metadata::FILE);
    let bytes = fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Error::NoDataset { path: folder.to_owned() }
        }
        _ => failed("read", &path)(source),
    })?;
    let parse = |source| Error::Parse { path: path.clone(), source };
    let Version { schema_version: found } = serde_json::from_slice(&bytes).map_err(parse)?;
    if found > SCHEMA_VERSION {
        return Err(Error::Newer { path, found, known: SCHEMA_VERSION });
    }
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(parse)?;
    for file in &metadata.files {
        verify(folder, file)?;
    }
    Ok(metadata)
}

fn verify(folder: &Path, file: &FileInfo) -> Result<()> {
    let path = folder.join(&file.path);
    let damaged = |problem: String| Error::Damaged { path: path.clone(), problem };
    let found = match digest_of(&path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged("it is missing".to_owned()));
        }
        other => other?,
    };
    if found != file.blake3 {
        return Err(damaged("its bytes are not those that were written".to_owned()));
    }
    let rows = rows_of(&path)?;
    if rows != file.rows {
        return Err(damaged(format!("it has {rows} rows instead of {}", file.rows)));
    }
    Ok(())
}

/// The BLAKE3 digest of a file, as hexadecimal digits.
pub(crate) fn digest_of(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(failed("open", path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(failed("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
