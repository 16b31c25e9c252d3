//! Journals: what is appended comes back, whatever happens to the file's end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use trajforge_schema::sample::Sample;
use trajforge_schema::{Record, Trajectory};
use trajforge_trajectory::{Error, JournalWriter, read, recover, summary_of};

/// The records of a trajectory in the order in which a rollout writes them.
fn records_of(trajectory: &Trajectory) -> Vec<Record> {
    let mut records = vec![Record::Header(Box::new(trajectory.header.clone()))];
    for step in &trajectory.steps {
        let asked_for = trajectory.turns.iter().find(|turn| Some(turn.turn) == step.turn);
        records.extend(asked_for.cloned().map(Record::Turn));
        records.push(Record::Step(step.clone()));
    }
    records.extend(trajectory.summary.clone().map(|summary| Record::Summary(Box::new(summary))));
    records
}

fn journal_in(folder: &TempDir, records: &[Record]) -> PathBuf {
    let path = folder.path().join("journal.jsonl");
    let mut writer = JournalWriter::create(&path).unwrap();
    for record in records {
        writer.append(record).unwrap();
    }
    writer.finish().unwrap();
    path
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/format/journal-v1.jsonl")
}

#[test]
fn what_is_written_is_what_is_read() {
    let folder = TempDir::new().unwrap();
    for sample in [Sample::default(), Sample::oracle(), Sample::nop()] {
        let trajectory = sample.trajectory();
        let path = journal_in(&folder, &records_of(&trajectory));
        let read = read(&path).unwrap();
        assert_eq!((read.trajectory, read.torn), (trajectory.clone(), None));
        assert_eq!(summary_of(&path).unwrap(), trajectory.summary);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn version_1_is_read_and_written_as_it_was_then() {
    let trajectory = Sample::default().trajectory();
    assert_eq!(read(&golden()).unwrap().trajectory, trajectory);
    let folder = TempDir::new().unwrap();
    let path = journal_in(&folder, &records_of(&trajectory));
    assert_eq!(fs::read_to_string(path).unwrap(), fs::read_to_string(golden()).unwrap());
}

#[test]
fn cut_at_any_byte_every_whole_record_survives() {
    let folder = TempDir::new().unwrap();
    let whole = Sample { steps: 2, ..Sample::oracle() }.trajectory();
    let bytes = fs::read(journal_in(&folder, &records_of(&whole))).unwrap();
    let path = folder.path().join("cut.jsonl");
    for cut in 0..=bytes.len() {
        let kept = &bytes[..cut];
        fs::write(&path, kept).unwrap();
        let lines = kept.split(|byte| *byte == b'\n').count() - 1;
        let good = kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if lines == 0 {
            assert!(matches!(read(&path), Err(Error::Headless { .. })), "cut at {cut}");
            continue;
        }
        let read = read(&path).unwrap();
        assert_eq!(records_in_file(&read.trajectory), lines, "cut at {cut}");
        assert_eq!(read.trajectory.steps, whole.steps[..read.trajectory.steps.len()]);
        let torn = read.torn.map(|torn| (torn.offset, torn.bytes));
        let expected = (good < cut).then_some((good as u64, (cut - good) as u64));
        assert_eq!(torn, expected, "cut at {cut}");
        assert_eq!(summary_of(&path).unwrap().is_some(), cut == bytes.len(), "cut at {cut}");

        // Recovery waits for the disk, so it is tried at every 31st place only.
        if cut % 31 == 0 {
            assert_eq!(recover(&path).unwrap().is_some(), torn.is_some());
            assert_eq!(fs::read(&path).unwrap(), &bytes[..good]);
            assert_eq!(recover(&path).unwrap(), None);
        }
    }
}

fn records_in_file(trajectory: &Trajectory) -> usize {
    1 + trajectory.turns.len() + trajectory.steps.len() + usize::from(trajectory.summary.is_some())
}

#[test]
fn a_tail_of_zeros_is_torn_and_not_corrupt() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("zeros.jsonl");
    let mut bytes = fs::read(golden()).unwrap();
    let good = bytes.len();
    bytes.extend_from_slice(&[0; 700]);
    bytes.extend_from_slice(b"\nhalf a li\n");
    fs::write(&path, &bytes).unwrap();
    let torn = read(&path).unwrap().torn.unwrap();
    assert_eq!((torn.offset, torn.bytes), (good as u64, (bytes.len() - good) as u64));
}

#[test]
fn a_bad_line_before_good_ones_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bad.jsonl");
    let text = fs::read_to_string(golden()).unwrap();
    fs::write(&path, text.replacen("sed -i s/2/x/", "sed -i s/2/y/", 1)).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { line, .. } if *line > 1), "{error}");
    assert!(recover(&path).is_err());
    assert!(fs::read_to_string(&path).unwrap().len() == text.len(), "it was cut");
}

#[test]
fn a_journal_of_a_later_version_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let mut trajectory = Sample::default().trajectory();
    trajectory.header.wire_version = 99;
    let path = journal_in(&folder, &records_of(&trajectory));
    assert!(matches!(read(&path), Err(Error::Newer { found: 99, .. })));
}

#[test]
fn records_come_in_their_order_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let records = records_of(&Sample::oracle().trajectory());
    let (header, step, summary) = (&records[0], &records[1], records.last().unwrap());
    let path = folder.path().join("order.jsonl");
    let mut writer = JournalWriter::create(&path).unwrap();
    assert!(matches!(writer.append(step), Err(Error::OutOfOrder { .. })));
    writer.append(header).unwrap();
    assert!(matches!(writer.append(header), Err(Error::OutOfOrder { .. })));
    writer.append(summary).unwrap();
    assert!(matches!(writer.append(step), Err(Error::OutOfOrder { .. })));
    assert_eq!(read(&path).unwrap().torn, None);
}

#[test]
fn a_journal_that_is_there_is_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let path = journal_in(&folder, &records_of(&Sample::nop().trajectory()));
    assert!(matches!(JournalWriter::create(&path), Err(Error::Io { .. })));
    assert!(summary_of(&path).unwrap().is_some());
}

#[test]
fn a_summary_longer_than_a_block_is_found_from_the_end() {
    let folder = TempDir::new().unwrap();
    let mut trajectory = Sample::oracle().trajectory();
    let summary = trajectory.summary.as_mut().unwrap();
    summary.checks[0].output = "x".repeat(100_000);
    let path = journal_in(&folder, &records_of(&trajectory));
    assert_eq!(summary_of(&path).unwrap(), trajectory.summary);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No changed byte goes unnoticed: the line is lost or reported, never read as something else.
    #[test]
    fn no_flipped_byte_is_read_as_a_record(at in 0usize..4000, flip in 1u8..=255) {
        let mut bytes = fs::read(golden()).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("flipped.jsonl");
        fs::write(&path, &bytes).unwrap();
        let whole = read(&golden()).unwrap().trajectory;
        if let Ok(read) = read(&path) {
            prop_assert!(read.torn.is_some());
            prop_assert_eq!(&read.trajectory.steps[..], &whole.steps[..read.trajectory.steps.len()]);
        }
    }
}
