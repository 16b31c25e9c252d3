//! Exchanges on file: recorded once, replayed by what is asked.
//!
//! A cassette is a text file of one JSON object a line, only ever added to. Equal requests are replayed in the order
//! in which they were recorded. A request is known by its path and its body, in a form that does not depend on the
//! order of fields, and without the fields that differ from run to run.

mod difference;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trajforge_schema::{Content, Digest};

use crate::error::Error;

/// Fields of a request that say who asks and not what is asked.
const VOLATILE: [&str; 5] = ["user", "metadata", "prompt_cache_key", "safety_identifier", "client_metadata"];
/// Headers of an answer that matter to whoever reads it.
const HEADERS: [&str; 4] = ["content-type", "retry-after", "retry-after-ms", "location"];

/// The version of a line's format.
const WIRE_VERSION: u32 = 1;

/// A file of exchanges, open to be added to or to be played.
#[derive(Debug)]
pub struct Cassette {
    path: PathBuf,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Record(Mutex<File>),
    Replay(Mutex<Tape>),
}

/// What is left to play.
#[derive(Debug, Default)]
struct Tape {
    left: BTreeMap<Digest, VecDeque<Arc<Recorded>>>,
    all: Vec<Arc<Recorded>>,
}

/// One exchange on file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// The version of the line's format.
    wire_version: u32,
    /// The digest of what was asked.
    key: Digest,
    /// The end of the path, after the base URL.
    path: String,
    /// What was asked, in the form that the digest is of.
    request: Value,
    /// The answer's status.
    pub(crate) status: u16,
    /// Those of its headers that matter.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body, decompressed.
    pub(crate) body: Content,
}

impl Cassette {
    /// Opens a file to add to; it is made where it is not there.
    pub fn record(path: &Path) -> Result<Arc<Self>, Error> {
        let open = || {
            let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
            cut_torn_tail(&file)?;
            Ok(file)
        };
        let file = open().map_err(|error: io::Error| wrong(path, error.to_string()))?;
        Ok(Arc::new(Self { path: path.to_owned(), mode: Mode::Record(Mutex::new(file)) }))
    }

    /// Reads a file to be played.
    pub fn replay(path: &Path) -> Result<Arc<Self>, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| wrong(path, error.to_string()))?;
        let mut tape = Tape::default();
        // What a kill cut off at the end has no line end, and was never whole.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (index, line) in whole.lines().enumerate() {
            let recorded: Recorded = serde_json::from_str(line)
                .map_err(|error| wrong(path, format!("line {}: {error}", index + 1)))?;
            if recorded.wire_version > WIRE_VERSION {
                let version = recorded.wire_version;
                return Err(wrong(path, format!("line {} is of the later format {version}", index + 1)));
            }
            let recorded = Arc::new(recorded);
            tape.left.entry(recorded.key.clone()).or_default().push_back(Arc::clone(&recorded));
            tape.all.push(recorded);
        }
        Ok(Arc::new(Self { path: path.to_owned(), mode: Mode::Replay(Mutex::new(tape)) }))
    }

    /// Whether it is played: nothing is sent then.
    pub fn is_replay(&self) -> bool {
        matches!(self.mode, Mode::Replay(_))
    }

    /// The next answer to a request; the text says why there is none.
    pub(crate) fn play(&self, path: &str, body: &[u8]) -> Result<Arc<Recorded>, String> {
        let Mode::Replay(tape) = &self.mode else { return Err("the cassette is not played".to_owned()) };
        let asked = canonical(body);
        let key = key(path, &asked);
        let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = tape.left.get_mut(&key) {
            let spent = || format!("{} holds no more answers to this request", self.path.display());
            return left.pop_front().ok_or_else(spent);
        }
        let same_path = tape.all.iter().filter(|recorded| recorded.path == path);
        let nearest = difference::nearest(&asked, same_path.map(|recorded| &recorded.request));
        let why = nearest.unwrap_or_else(|| format!("it holds nothing for {path}"));
        Err(format!("{} holds no such request: {why}", self.path.display()))
    }

    /// Adds an exchange; does nothing where the cassette is played.
    pub(crate) fn add(&self, recorded: &Recorded) -> io::Result<()> {
        let Mode::Record(file) = &self.mode else { return Ok(()) };
        let mut line = serde_json::to_vec(recorded)?;
        line.push(b'\n');
        // One write a line: processes that record into one file do not cut each other's lines.
        file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

impl Recorded {
    /// An exchange whose answer has begun.
    pub(crate) fn begun(path: &str, body: &[u8], status: u16, headers: &reqwest::header::HeaderMap) -> Self {
        let request = canonical(body);
        let text = |name: &str| Some((name.to_owned(), headers.get(name)?.to_str().ok()?.to_owned()));
        Self {
            wire_version: WIRE_VERSION,
            key: key(path, &request),
            path: path.to_owned(),
            request,
            status,
            headers: HEADERS.into_iter().filter_map(text).collect(),
            body: Content::default(),
        }
    }
}

/// What a kill left of a line would spoil the next one.
fn cut_torn_tail(mut file: &File) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < bytes.len() {
        tracing::warn!(
            "the last exchange of a cassette was cut short: {} bytes are removed",
            bytes.len() - whole
        );
        file.set_len(whole as u64)?;
    }
    Ok(())
}

/// A body without what differs from run to run, and with its fields in one order.
fn canonical(body: &[u8]) -> Value {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return Value::from(String::from_utf8_lossy(body).into_owned());
    };
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, _| !VOLATILE.contains(&name.as_str()));
    }
    sorted(value)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn key(path: &str, request: &Value) -> Digest {
    Digest::of(format!("{path}\n{request}").as_bytes())
}

fn wrong(path: &Path, message: String) -> Error {
    Error::Cassette { path: path.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fields_and_who_asks_make_no_difference_and_the_order_of_messages_does() {
        let of = |body: &str| key("/p", &canonical(body.as_bytes()));
        let first = of(r#"{"model": "m", "messages": [1, {"a": 1, "b": 2}], "user": "x"}"#);
        assert_eq!(first, of(r#"{"messages": [1, {"b": 2, "a": 1}], "model": "m", "metadata": {"id": 7}}"#));
        assert_ne!(first, of(r#"{"messages": [{"b": 2, "a": 1}, 1], "model": "m"}"#));
    }
}
