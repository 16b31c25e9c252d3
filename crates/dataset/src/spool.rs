//! Rows on disk until all have come: only what orders and splits them stays in memory.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, failed};
use crate::row::Waiting;

/// Rows in the order in which they came, in a file without a name: it is gone when this is.
#[derive(Debug)]
pub(crate) struct Spool {
    file: BufWriter<File>,
    folder: PathBuf,
    length: u64,
    places: Vec<Place>,
}

/// One row of a spool, with what orders and splits it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Template, seed, scaffold, model, attempt; then run and rollout, so that no two are equal.
    key: (String, u64, String, String, u32, String, String),
    pub(crate) cluster: String,
    pub(crate) category: String,
    offset: u64,
    pub(crate) length: u64,
}

impl Spool {
    /// An empty spool in a folder.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(failed("write to", folder))?;
        Ok(Self { file: BufWriter::new(file), folder: folder.to_owned(), length: 0, places: Vec::new() })
    }

    pub(crate) fn push(&mut self, row: &Waiting) -> Result<()> {
        let json = serde_json::to_vec(row).expect("a row is plain data with string keys");
        self.file.write_all(&json).map_err(failed("write to", &self.folder))?;
        let rollout = &row.header.rollout;
        self.places.push(Place {
            key: (
                rollout.template.to_string(),
                rollout.seed.0,
                rollout.scaffold.clone(),
                row.header.llm_model().to_owned(),
                rollout.attempt,
                row.header.run.to_string(),
                rollout.id.to_string(),
            ),
            cluster: row.header.cluster.clone(),
            category: row.header.category.clone(),
            offset: self.length,
            length: json.len() as u64,
        });
        self.length += json.len() as u64;
        Ok(())
    }

    /// Every row's place, in the order of the dataset.
    pub(crate) fn sorted(&mut self) -> Result<Vec<Place>> {
        self.file.flush().map_err(failed("write to", &self.folder))?;
        let mut places = self.places.clone();
        places.sort();
        Ok(places)
    }

    pub(crate) fn read(&mut self, place: &Place) -> Result<Waiting> {
        let file = self.file.get_mut();
        let mut json = Vec::new();
        file.seek(SeekFrom::Start(place.offset))
            .and_then(|_| file.take(place.length).read_to_end(&mut json))
            .map_err(failed("read from", &self.folder))?;
        serde_json::from_slice(&json).map_err(|source| Error::Parse { path: self.folder.clone(), source })
    }
}
