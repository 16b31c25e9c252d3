//! From trajectories to a dataset's folder: whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use trajforge_schema::{Tally, Timestamp};

use crate::card;
use crate::columns::{self, COLUMNS};
use crate::error::{Error, Result, failed};
use crate::feature::{feature, type_name};
use crate::metadata::{self, ColumnInfo, FileInfo, Metadata, SCHEMA_VERSION, SplitInfo};
use crate::row::{Row, Waiting};
use crate::split::{Split, SplitPolicy, split};
use crate::spool::{Place, Spool};
use crate::statistics::Statistics;
use crate::stats::digest_of;
use crate::table::TableWriter;

/// What a dataset is called and how it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name, for people.
    pub name: String,
    /// The licence of the data: a lower-case SPDX identifier that the Hub knows, such as `apache-2.0`.
    pub license: String,
    /// The program that makes it, with its version: `trajforge 0.1.0`.
    pub generator: String,
    /// How it is divided.
    pub split: SplitPolicy,
}

/// Takes trajectories one by one, keeps them on disk, and makes a dataset of them at the end.
///
/// Everything is written beside the output folder and moved there in one step. Dropping the builder removes what it
/// has written.
#[derive(Debug)]
pub struct DatasetBuilder {
    folder: PathBuf,
    draft: TempDir,
    spool: Spool,
    settings: Settings,
}

impl DatasetBuilder {
    /// Begins a dataset. `folder` must not exist; its parents are made.
    pub fn create(folder: &Path, settings: Settings) -> Result<Self> {
        refuse_existing(folder)?;
        let parent = parent_of(folder);
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
        let draft = draft_beside(folder, parent)?;
        let spool = Spool::in_folder(draft.path())?;
        Ok(Self { folder: folder.to_owned(), draft, spool, settings })
    }

    /// Adds a trajectory. One without a summary is an error.
    pub fn push(&mut self, row: Row) -> Result<()> {
        let rollout = row.trajectory.header.rollout.id.clone();
        let waiting = Waiting::of(row).ok_or(Error::Unfinished { rollout })?;
        self.spool.push(&waiting)
    }

    /// Writes the dataset, and gives what it says of itself. `tally` is what its trajectories were chosen from.
    pub fn finish(mut self, tally: &Tally) -> Result<Metadata> {
        let places = self.spool.sorted()?;
        if places.is_empty() {
            return Err(Error::Empty);
        }
        let keys: Vec<_> =
            places.iter().map(|place| (place.cluster.as_str(), place.category.as_str())).collect();
        let splits = split(&keys, self.settings.split)?;
        let mut statistics = Statistics::default();
        let mut files = Vec::new();
        let mut infos = BTreeMap::new();
        for split in Split::ALL {
            let of_split: Vec<_> = places.iter().filter(|place| splits[&place.cluster] == split).collect();
            if of_split.is_empty() {
                continue;
            }
            let (file, info) = self.write_split(split, &of_split, &mut statistics)?;
            files.push(file);
            infos.insert(split, info);
        }
        let metadata = metadata_of(&self.settings, &statistics, tally, (files, infos));
        self.write_words(&metadata, &statistics)?;
        self.publish()?;
        Ok(metadata)
    }

    fn write_split(
        &mut self,
        split: Split,
        places: &[&Place],
        statistics: &mut Statistics,
    ) -> Result<(FileInfo, SplitInfo)> {
        let name = split.file_name();
        let path = self.draft.path().join(&name);
        let mut table = TableWriter::create(&path)?;
        for place in places {
            let row = self.spool.read(place)?;
            statistics.add(&row);
            table.push(row, place.length)?;
        }
        let written = table.finish()?;
        let clusters: BTreeSet<_> = places.iter().map(|place| &place.cluster).collect();
        let info = SplitInfo {
            trajectories: written.rows,
            clusters: clusters.len() as u64,
            num_bytes: written.memory_bytes,
        };
        let file = FileInfo {
            path: name,
            split,
            rows: written.rows,
            bytes: fs::metadata(&path).map_err(failed("read", &path))?.len(),
            blake3: digest_of(&path)?,
        };
        Ok((file, info))
    }

    fn write_words(&self, metadata: &Metadata, statistics: &Statistics) -> Result<()> {
        let folder = self.draft.path();
        let mut json =
            serde_json::to_string_pretty(metadata).expect("metadata is plain data with string keys");
        json.push('\n');
        write_durably(&folder.join(metadata::FILE), &json)?;
        write_durably(&folder.join("README.md"), &card::card(metadata))?;
        let plots = folder.join("plots");
        fs::create_dir(&plots).map_err(failed("create", &plots))?;
        for (path, svg) in card::plots(metadata, statistics) {
            write_durably(&folder.join(path), &svg)?;
        }
        sync_folder(&plots)?;
        sync_folder(folder)
    }

    fn publish(self) -> Result<()> {
        let Self { folder, draft, .. } = self;
        refuse_existing(&folder)?;
        fs::rename(draft.path(), &folder).map_err(|source| match source.kind() {
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => {
                Error::Exists { path: folder.clone() }
            }
            _ => failed("create", &folder)(source),
        })?;
        // What the draft would remove has moved away.
        let _moved = draft.keep();
        sync_folder(parent_of(&folder))
    }
}

fn metadata_of(
    settings: &Settings,
    statistics: &Statistics,
    tally: &Tally,
    (files, splits): (Vec<FileInfo>, BTreeMap<Split, SplitInfo>),
) -> Metadata {
    let lengths = statistics.lengths();
    Metadata {
        schema_version: SCHEMA_VERSION,
        name: settings.name.clone(),
        license: settings.license.clone(),
        generator: settings.generator.clone(),
        last_rollout_at: date_of(statistics.last_finished),
        source_runs: statistics.runs.iter().cloned().collect(),
        total_trajectories: statistics.trajectories,
        total_tasks: statistics.tasks.len() as u64,
        total_steps: statistics.steps,
        splits,
        success_rate: statistics.success_rate(),
        raw: tally.into(),
        avg_trajectory_length: lengths.mean,
        trajectory_length: lengths,
        result_distribution: statistics.results.clone(),
        category_distribution: statistics.categories.clone(),
        template_distribution: statistics.templates.clone(),
        difficulty_distribution: statistics.difficulties.clone(),
        llm_distribution: statistics.llms.clone(),
        scaffold_distribution: statistics.scaffolds.clone(),
        provenance_distribution: statistics.provenances.clone(),
        language_distribution: statistics.languages.clone(),
        skill_distribution: statistics.skills.clone(),
        balance: statistics.balance(),
        spending: statistics.spending(),
        schema: column_infos(),
        files,
    }
}

fn column_infos() -> Vec<ColumnInfo> {
    let schema = columns::schema();
    let described = COLUMNS.iter().zip(schema.fields());
    described
        .map(|(column, field)| ColumnInfo {
            name: column.name.to_owned(),
            kind: type_name(field.data_type()),
            description: column.about.to_owned(),
            feature: feature(field.data_type()),
        })
        .collect()
}

/// The second, in UTC.
fn date_of(moment: Timestamp) -> String {
    let milliseconds = i64::try_from(moment.0).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn refuse_existing(folder: &Path) -> Result<()> {
    if folder.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: folder.to_owned() });
    }
    Ok(())
}

fn parent_of(folder: &Path) -> &Path {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn draft_beside(folder: &Path, parent: &Path) -> Result<TempDir> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(parent).map_err(failed("write to", parent))
}

fn write_durably(path: &Path, text: &str) -> Result<()> {
    let mut file = File::create(path).map_err(failed("create", path))?;
    file.write_all(text.as_bytes()).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("sync", path))
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(failed("sync", folder))
}
