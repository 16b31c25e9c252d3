//! YAML in, typed values out: the one place that names the YAML library.

use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Fault, nearest};

/// A string of a YAML file that remembers where it stands, so that an error inside it can be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The string.
    pub value: String,
    /// The line of its first character, from 1.
    pub line: usize,
    /// The column of its first character, from 1.
    pub column: usize,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<String>::deserialize(deserializer)?;
        let at = spanned.referenced;
        let number = |value: u64| usize::try_from(value).unwrap_or(0);
        Ok(Self { value: spanned.value, line: number(at.line()), column: number(at.column()) })
    }
}

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// Parses a file's text.
pub(crate) fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Error> {
    serde_saphyr::from_str(text).map_err(|error| Error::from(fault(file, text, &error)))
}

/// Reads and parses a file.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<(T, String), Error> {
    let text = std::fs::read_to_string(file).map_err(Error::io("read", file))?;
    Ok((parse(file, &text)?, text))
}

fn fault(file: &Path, text: &str, error: &serde_saphyr::Error) -> Fault {
    let bare = error.without_snippet().to_string();
    let message = bare.rsplit_once(" at line ").map_or(bare.as_str(), |(message, _)| message).to_owned();
    let mut fault = Fault::new(file, message.clone()).text(text);
    if let Some(at) = error.location() {
        let number = |value: u64| usize::try_from(value).unwrap_or(0);
        fault = fault.at(number(at.line()), number(at.column()));
    }
    match hint(&message) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// Turns "unknown field `nmae`, expected one of name, run" into a suggestion.
fn hint(message: &str) -> Option<String> {
    let (_, rest) =
        message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `"))?;
    let (word, expected) = rest.split_once('`')?;
    let (_, expected) = expected.split_once("expected ")?;
    let names = expected.trim_start_matches("one of ").split(',').map(|name| name.trim().trim_matches('`'));
    Some(match nearest(word, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("it takes {}", expected.trim_start_matches("one of ")),
    })
}
