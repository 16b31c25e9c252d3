//! The journal of one rollout: append-only, written ahead, readable after a crash.
//!
//! # Format, version 1
//! One [`Record`] per line, as JSON. Each line begins with a check over the rest of it:
//!
//! ```text
//! {"crc":"5f0c9a17","record":"step","step":1, ... }
//! ```
//!
//! `crc` is the first eight hexadecimal digits of the BLAKE3 digest of everything between the comma after it and
//! the line's LF. So a journal is JSON Lines for any
//! other program. The first line is the header, the last the summary; a journal without a summary belongs to a
//! rollout that did not finish. A line counts when its LF is there and its check holds.
//!
//! `testdata/format/journal-v1.jsonl` is a journal of this version; it is never edited.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use trajforge_schema::{Digest, Header, Joined, Record, Step, Summary, Trajectory, WIRE_VERSION};

use crate::error::{Error, Result, failed};

/// What comes before the check in a line.
const BEFORE_CHECK: &[u8] = br#"{"crc":""#;
/// Digits of the check.
const CHECK_DIGITS: usize = 8;
/// What comes between the check and the rest.
const AFTER_CHECK: &[u8] = br#"","#;

/// Writes the journal of one attempt. Dropping it without [`finish`](Self::finish) leaves an unfinished journal,
/// of which every appended record survives the death of this process.
#[derive(Debug)]
pub struct JournalWriter {
    file: File,
    path: PathBuf,
    length: u64,
    place: Place,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Middle,
    Joined,
    End,
    Broken,
}

impl JournalWriter {
    /// A new, empty journal. That the file exists already is an error: attempts are never overwritten.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            OpenOptions::new().write(true).create_new(true).open(path).map_err(failed("create", path))?;
        Ok(Self { file, path: path.to_owned(), length: 0, place: Place::Header })
    }

    /// Writes one record, whole, in one write: the header first, the summary last, anything else between them.
    ///
    /// When the write fails (a full disk), what it left is cut off again, and no more records are taken.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let next = self.place_after(record)?;
        let line = line_of(record);
        if let Err(source) = self.file.write_all(&line) {
            self.place = Place::Broken;
            let cut = self.file.set_len(self.length);
            debug_assert!(cut.is_ok(), "a reader cuts the tail if this could not");
            return Err(failed("write", &self.path)(source));
        }
        self.length += line.len() as u64;
        self.place = next;
        Ok(())
    }

    /// Makes the journal durable: after this it survives a loss of power too. A journal without a summary may be
    /// finished as well; it stays one of a rollout that did not end.
    pub fn finish(self) -> Result<()> {
        self.file.sync_data().map_err(failed("sync", &self.path))?;
        sync_folder_of(&self.path)
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn place_after(&self, record: &Record) -> Result<Place> {
        match (self.place, record) {
            (Place::Broken, _) => Err(Error::Broken { path: self.path.clone() }),
            (Place::Header, Record::Header(_)) | (Place::Middle, Record::Turn(_) | Record::Step(_)) => {
                Ok(Place::Middle)
            }
            (Place::Middle, Record::Joined(_)) => Ok(Place::Joined),
            (Place::Middle | Place::Joined, Record::Summary(_)) => Ok(Place::End),
            _ => Err(Error::OutOfOrder { path: self.path.clone(), record: kind_of(record) }),
        }
    }
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Everything up to the last good line.
    pub trajectory: Trajectory,
    /// What comes after it, if anything does.
    pub torn: Option<Torn>,
}

/// The end of a journal that never completely reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// Where the last good line ends.
    pub offset: u64,
    /// How many bytes come after it.
    pub bytes: u64,
}

/// Reads a journal, with the summary's settlement added to the last step's reward. A torn tail is left out and
/// reported; the file is not changed. Bad lines with good ones after them are an error, as is a journal without a
/// header.
pub fn read(path: &Path) -> Result<Read> {
    let (lines, torn) = good_lines(path)?;
    let mut records = lines.into_iter();
    let Some(Record::Header(header)) = records.next() else {
        return Err(Error::Headless { path: path.to_owned() });
    };
    let mut trajectory =
        Trajectory { header: *header, turns: Vec::new(), steps: Vec::new(), joined: None, summary: None };
    for (index, record) in records.enumerate() {
        let misplaced = trajectory.summary.is_some() || matches!(record, Record::Header(_));
        if misplaced {
            return Err(Error::Corrupt {
                path: path.to_owned(),
                line: index as u64 + 2,
                problem: format!("a {} can't come here", kind_of(&record)),
            });
        }
        match record {
            Record::Header(_) => {}
            Record::Turn(reply) => trajectory.turns.push(reply),
            Record::Step(step) => trajectory.steps.push(step),
            Record::Joined(joined) => {
                put_into(&mut trajectory.steps, &joined);
                trajectory.joined = Some(joined);
            }
            Record::Summary(summary) => {
                if let Some(last) = trajectory.steps.last_mut() {
                    last.reward += summary.settlement;
                }
                trajectory.summary = Some(*summary);
            }
        }
    }
    Ok(Read { trajectory, torn })
}

/// Gives the steps what the scaffold's own record knows of them.
fn put_into(steps: &mut [Step], joined: &Joined) {
    for known in &joined.steps {
        let place = usize::try_from(known.step).ok().and_then(|number| number.checked_sub(1));
        let Some(step) = place.and_then(|place| steps.get_mut(place)) else { continue };
        step.observation.exit_code = step.observation.exit_code.or(known.exit_code);
        step.observation.is_error |= step.observation.exit_code.is_some_and(|code| code != 0);
        if let Some(cwd) = &known.cwd {
            step.state.cwd.clone_from(cwd);
        }
        if let (true, Some(text)) = (step.observation.text.is_empty(), &known.observation) {
            step.observation.text.clone_from(text);
        }
    }
}

/// Cuts a torn tail off the file, and says what was cut.
pub fn recover(path: &Path) -> Result<Option<Torn>> {
    let (_, torn) = good_lines(path)?;
    if let Some(torn) = torn {
        let file = OpenOptions::new().write(true).open(path).map_err(failed("open", path))?;
        file.set_len(torn.offset).map_err(failed("cut", path))?;
        file.sync_data().map_err(failed("sync", path))?;
    }
    Ok(torn)
}

/// The summary of a journal, without reading the rest: nothing if the rollout did not finish.
pub fn summary_of(path: &Path) -> Result<Option<Summary>> {
    let last = last_line(path)?;
    let Some(json) = last.as_deref().and_then(checked) else {
        return Ok(None);
    };
    match serde_json::from_slice(&json) {
        Ok(Record::Summary(summary)) => Ok(Some(*summary)),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Every record up to the last good line, and what comes after it.
fn good_lines(path: &Path) -> Result<(Vec<Record>, Option<Torn>)> {
    let file = File::open(path).map_err(failed("open", path))?;
    let size = file.metadata().map_err(failed("read", path))?.len();
    let mut reader = BufReader::new(file);
    let mut records = Vec::new();
    let mut good_end = 0;
    let mut number = 0;
    let mut bad_line = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(failed("read", path))?;
        if length == 0 {
            break;
        }
        number += 1;
        match (checked(&line), bad_line) {
            (Some(json), None) => {
                records.push(parsed(&json, path, number)?);
                good_end += length as u64;
            }
            (Some(_), Some(bad)) => {
                return Err(Error::Corrupt {
                    path: path.to_owned(),
                    line: bad,
                    problem: "it is not what was written, and good lines come after it".to_owned(),
                });
            }
            (None, None) => bad_line = Some(number),
            (None, Some(_)) => {}
        }
    }
    let torn = (good_end < size).then(|| Torn { offset: good_end, bytes: size - good_end });
    Ok((records, torn))
}

fn parsed(json: &[u8], path: &Path, line: u64) -> Result<Record> {
    #[derive(serde::Deserialize)]
    struct Version {
        wire_version: u32,
    }
    if line == 1
        && let Ok(Version { wire_version: found }) = serde_json::from_slice(json)
        && found > WIRE_VERSION
    {
        return Err(Error::Newer { path: path.to_owned(), found, known: WIRE_VERSION });
    }
    serde_json::from_slice(json).map_err(|problem| Error::Corrupt {
        path: path.to_owned(),
        line,
        problem: problem.to_string(),
    })
}

/// A record as one line, check and LF included.
fn line_of(record: &Record) -> Vec<u8> {
    let json = serde_json::to_vec(record).expect("a record is plain data with string keys");
    let rest = &json[1..];
    let mut line = Vec::with_capacity(json.len() + BEFORE_CHECK.len() + CHECK_DIGITS + AFTER_CHECK.len());
    line.extend_from_slice(BEFORE_CHECK);
    line.extend_from_slice(check_of(rest).as_bytes());
    line.extend_from_slice(AFTER_CHECK);
    line.extend_from_slice(rest);
    line.push(b'\n');
    line
}

/// The JSON of a line without its check, if the line is whole and the check holds.
fn checked(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\n")?;
    let (check, rest) = line.strip_prefix(BEFORE_CHECK)?.split_at_checked(CHECK_DIGITS)?;
    let rest = rest.strip_prefix(AFTER_CHECK)?;
    if check_of(rest).as_bytes() != check {
        return None;
    }
    let mut json = Vec::with_capacity(rest.len() + 1);
    json.push(b'{');
    json.extend_from_slice(rest);
    Some(json)
}

fn check_of(rest: &[u8]) -> String {
    Digest::of(rest).as_str()[..CHECK_DIGITS].to_owned()
}

fn last_line(path: &Path) -> Result<Option<Vec<u8>>> {
    const BLOCK: u64 = 16 * 1024;
    let mut file = File::open(path).map_err(failed("open", path))?;
    let mut start = file.metadata().map_err(failed("read", path))?.len();
    let mut tail = Vec::new();
    while start > 0 {
        let length = BLOCK.min(start);
        start -= length;
        file.seek(SeekFrom::Start(start)).map_err(failed("read", path))?;
        let mut block = Vec::new();
        (&mut file).take(length).read_to_end(&mut block).map_err(failed("read", path))?;
        block.extend_from_slice(&tail);
        tail = block;
        let before_last = tail.len().saturating_sub(1);
        if let Some(at) = tail[..before_last].iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(tail.split_off(at + 1)));
        }
    }
    Ok((!tail.is_empty()).then_some(tail))
}

fn kind_of(record: &Record) -> &'static str {
    match record {
        Record::Header(_) => "header",
        Record::Turn(_) => "turn",
        Record::Step(_) => "step",
        Record::Joined(_) => "joined",
        Record::Summary(_) => "summary",
    }
}

/// Makes a file's entry in its folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|file| file.sync_all()).map_err(failed("sync", folder))
}

impl Read {
    /// The header of what was read.
    pub fn header(&self) -> &Header {
        &self.trajectory.header
    }
}
