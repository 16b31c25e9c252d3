//! Trajectories in, a folder out: whole, the same bytes each time, and readable again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use trajforge_dataset::{DatasetBuilder, Error, Metadata, Row, Settings, Split, SplitPolicy, stats};
use trajforge_schema::sample::Sample;
use trajforge_schema::{Difficulty, DropReason, Provenance, Rate, Tally};

const TEMPLATES: [&str; 3] =
    ["python-debugging/lost-update", "git-forensics/lost-commit", "databases/slow-query"];

fn settings() -> Settings {
    Settings {
        name: "Sample \"trajectories\": a test".to_owned(),
        license: "apache-2.0".to_owned(),
        generator: "trajforge 0.1.0".to_owned(),
        split: SplitPolicy::Standard,
    }
}

fn row(sample: &Sample) -> Row {
    let trajectory = sample.trajectory();
    let mut messages = trajectory.header.prompt.clone();
    if messages.is_empty() {
        messages.push(json!({"role": "user", "content": trajectory.header.instruction}));
    }
    for step in &trajectory.steps {
        let id = step.tool_call_id.clone().unwrap_or_else(|| format!("call_{}", step.step));
        let turn = trajectory.turns.iter().find(|turn| Some(turn.turn) == step.turn);
        messages.push(turn.map_or_else(
            || {
                json!({"role": "assistant", "content": step.reasoning, "tool_calls": [{"id": id, "type": "function",
                    "function": {"name": step.action.kind(), "arguments": "{}"}}]})
            },
            |turn| turn.message.clone(),
        ));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": step.observation.text}));
    }
    let tools = trajectory.header.tools.clone();
    Row { trajectory, messages, tools }
}

/// Three templates, ten seeds each: an oracle's and a model's trajectory of every task.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for template in TEMPLATES {
        for seed in 0..10 {
            let steps = 3 + u32::try_from(seed).unwrap() * 2;
            rows.push(row(&Sample { template, seed, steps, ..Sample::oracle() }));
            let reward = if seed % 4 == 3 { 0.5 } else { 1.0 };
            rows.push(row(&Sample { template, seed, steps: steps + 1, reward, ..Sample::default() }));
        }
    }
    rows
}

fn tally(kept: u64) -> Tally {
    let rate = Rate { rollouts: kept, successes: kept / 2 };
    Tally {
        submitted: kept + 3,
        kept,
        dropped: BTreeMap::from([(DropReason::Control, 2), (DropReason::LowReward, 1)]),
        attempts: rate,
        by_difficulty: BTreeMap::from([(Difficulty::Easy, rate), (Difficulty::Hard, Rate::default())]),
        by_category: BTreeMap::from([("databases".to_owned(), rate)]),
        by_llm: BTreeMap::from([("oracle".to_owned(), rate)]),
    }
}

fn build(folder: &Path, rows: Vec<Row>, settings: Settings) -> Result<Metadata, Error> {
    let mut builder = DatasetBuilder::create(folder, settings)?;
    let count = rows.len() as u64;
    for row in rows {
        builder.push(row)?;
    }
    builder.finish(&tally(count))
}

fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn relative(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_in(folder);
    files.into_iter().map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_owned(), bytes)).collect()
}

#[test]
fn the_same_trajectories_in_any_order_give_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    build(&one, rows(), settings()).unwrap();
    let mut backwards = rows();
    backwards.reverse();
    build(&two, backwards, settings()).unwrap();
    assert_eq!(relative(&one), relative(&two));
    let names: Vec<_> = relative(&one).into_keys().collect();
    let expected = [
        "README.md",
        "metadata.json",
        "plots/categories.svg",
        "plots/steps.svg",
        "plots/success.svg",
        "test.parquet",
        "train.parquet",
        "validation.parquet",
    ];
    assert_eq!(names, expected.map(PathBuf::from));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a draft was left behind");
}

/// It stays in the target folder: `tests/python/check_dataset.py` can be tried on it.
#[test]
fn a_dataset_is_read_back_as_it_was_built() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample-dataset");
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let built = build(&folder, rows(), settings()).unwrap();
    assert_eq!(stats(&folder).unwrap(), built);
    assert_eq!((built.total_trajectories, built.total_tasks), (60, 30));
    let counts: Vec<_> =
        built.splits.iter().map(|(split, info)| (*split, info.trajectories, info.clusters)).collect();
    assert_eq!(counts, [(Split::Train, 48, 24), (Split::Validation, 6, 3), (Split::Test, 6, 3)]);
    assert_eq!(
        built.llm_distribution,
        BTreeMap::from([("oracle".to_owned(), 30), ("small-model".to_owned(), 30)])
    );
    assert_eq!(built.raw.submitted, built.raw.kept + built.raw.dropped.values().sum::<u64>());
    assert!((built.success_rate - 0.9).abs() < 1e-12);
    assert_eq!(built.last_rollout_at, "2026-01-02T03:05:05Z");
}

#[test]
fn the_card_looks_like_this() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    build(&out, rows(), settings()).unwrap();
    insta::assert_snapshot!("card", fs::read_to_string(out.join("README.md")).unwrap());
}

#[test]
fn the_columns_are_these() {
    let folder = TempDir::new().unwrap();
    let metadata = build(&folder.path().join("out"), rows(), settings()).unwrap();
    let columns: Vec<String> =
        metadata.schema.iter().map(|column| format!("{}: {}", column.name, column.kind)).collect();
    insta::assert_snapshot!("columns", columns.join("\n"));
}

#[test]
fn a_folder_that_exists_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let error = build(&out, rows(), settings()).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }));
    assert!(error.hint().unwrap().contains("--out"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

#[test]
fn whatever_stops_a_build_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    assert!(matches!(build(&out, Vec::new(), settings()), Err(Error::Empty)));
    let two_tasks = rows().into_iter().take(4).collect();
    assert!(matches!(build(&out, two_tasks, settings()), Err(Error::TooFewClusters { found: 2 })));
    let mut unfinished = row(&Sample::default());
    unfinished.trajectory.summary = None;
    assert!(matches!(build(&out, vec![unfinished], settings()), Err(Error::Unfinished { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn everything_can_be_for_training() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let all_train = Settings { split: SplitPolicy::AllTrain, ..settings() };
    let metadata = build(&out, vec![row(&Sample::default())], all_train).unwrap();
    assert_eq!(metadata.splits.len(), 1);
    assert_eq!(stats(&out).unwrap().files.len(), 1);
    assert!(!out.join("test.parquet").exists());
}

#[test]
fn a_changed_or_missing_file_is_found() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    build(&out, rows(), settings()).unwrap();
    let path = out.join("train.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(stats(&out), Err(Error::Damaged { .. })));
    fs::remove_file(&path).unwrap();
    let error = stats(&out).unwrap_err();
    assert!(error.to_string().contains("it is missing"), "{error}");
    assert!(matches!(stats(folder.path()), Err(Error::NoDataset { .. })));
}

#[test]
fn what_a_program_played_is_said_in_the_card() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let simulated = |seed| Sample { seed, provenance: Provenance::Simulated, ..Sample::default() };
    let rows = (0..5).map(|seed| row(&simulated(seed))).collect();
    build(&out, rows, settings()).unwrap();
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("\n- simulated\n"));
    assert!(card.contains("a program answered in the place of a model"));
    assert!(!card.contains("Played, not chosen"));
}
