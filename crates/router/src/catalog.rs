//! The models there are: one entry a file, in `models/`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use trajforge_schema::ModelEntry;

use crate::error::Error;

/// The entries by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: BTreeMap<String, ModelEntry>,
}

impl Catalog {
    /// Reads every `*.yaml` of a folder; an absent folder holds no models.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut entries = BTreeMap::new();
        let Ok(found) = std::fs::read_dir(folder) else {
            return Ok(Self::default());
        };
        let mut files: Vec<_> = found.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        for file in files {
            let entry: ModelEntry = read_yaml(&file)?;
            entries.insert(entry.name.clone(), entry);
        }
        Ok(Self { entries })
    }

    /// Adds an entry, replacing one of the same name.
    pub fn add(&mut self, entry: ModelEntry) {
        self.entries.insert(entry.name.clone(), entry);
    }

    /// One entry.
    pub fn entry(&self, name: &str) -> Result<&ModelEntry, Error> {
        let unknown =
            || Error::UnknownModel { name: name.to_owned(), known: self.entries.keys().cloned().collect() };
        self.entries.get(name).ok_or_else(unknown)
    }

    /// All of them, by name.
    pub fn entries(&self) -> impl Iterator<Item = &ModelEntry> {
        self.entries.values()
    }
}

/// What a YAML file says; an error names the file, the line and the column.
pub fn read_yaml<T: DeserializeOwned>(file: &Path) -> Result<T, Error> {
    let wrong = |message: String| Error::Entry { file: file.to_owned(), message };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|error| wrong(error.without_snippet().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_a_misspelt_field_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), "name: a\nbase_ulr: http://127.0.0.1\n").unwrap();
        let error = Catalog::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("a.yaml") && error.contains("base_ulr") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn every_shipped_entry_is_valid_and_whoever_asks_for_a_key_has_a_dated_price_or_none() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let catalog = Catalog::read(&folder).unwrap();
        assert!(catalog.entries().count() >= 10);
        for entry in catalog.entries() {
            let is_paid = entry.key_variable.is_some();
            assert_eq!(entry.price.is_some() && is_paid, entry.price_date.is_some(), "{}", entry.name);
            assert!(is_paid || entry.price.is_some(), "{} costs nothing and does not say so", entry.name);
        }
    }
}
