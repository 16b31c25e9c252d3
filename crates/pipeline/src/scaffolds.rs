//! The scaffolds there are, and whether one of them keeps to the rules.

mod check;

use std::path::Path;

use serde::Serialize;
use trajforge_rollout::scaffold::{MANIFEST, Manifest, NATIVE, Runs};

use crate::world::Home;

pub use check::{Report, Rule, check};

/// A scaffold, for people who choose one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The name that `--scaffold` takes.
    pub name: String,
    /// Its version; of native ones with a digest of their prompts. Absent for a manifest that can't be read.
    pub version: Option<String>,
    /// Where it runs: in this program, in the task's container, or as a program on the host.
    pub runs: Place,
    /// Whether it asks a model.
    pub needs_model: bool,
    /// What it is, in a line; for a manifest that can't be read, why.
    pub summary: String,
}

/// Where a scaffold runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In this program.
    Native,
    /// In the task's container.
    Container,
    /// As a program on the host.
    Host,
    /// Nowhere: its manifest is wrong.
    Nowhere,
}

impl Place {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Container => "container",
            Self::Host => "host",
            Self::Nowhere => "nowhere",
        }
    }
}

/// Every scaffold: those of this program first, then those with a manifest.
pub fn list(home: &Home) -> Vec<Facts> {
    let without = |name: &str, summary: &str| Facts {
        name: name.to_owned(),
        version: Some("1".to_owned()),
        runs: Place::Native,
        needs_model: false,
        summary: summary.to_owned(),
    };
    let native = NATIVE.iter().map(|style| Facts {
        name: style.name.to_owned(),
        version: Some(style.version()),
        runs: Place::Native,
        needs_model: true,
        summary: style.summary.to_owned(),
    });
    let mut all = vec![without("oracle", "plays the template's solution"), without("nop", "does nothing")];
    all.extend(native);
    all.extend(names(home).into_iter().filter_map(|name| Some(external(&home.scaffold(&name)?, name))));
    all
}

fn external(folder: &Path, name: String) -> Facts {
    match Manifest::read(&folder.join(MANIFEST)) {
        Ok(manifest) => Facts {
            name,
            version: Some(manifest.version),
            runs: match manifest.runs {
                Runs::Container => Place::Container,
                Runs::Host | Runs::Swerex => Place::Host,
            },
            needs_model: true,
            summary: manifest.summary,
        },
        Err(invalid) => {
            Facts { name, version: None, runs: Place::Nowhere, needs_model: true, summary: invalid.message }
        }
    }
}

/// The names of the scaffolds with a manifest.
pub(crate) fn names(home: &Home) -> Vec<String> {
    let entries = home.scaffolds.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let entries = entries.flatten().flatten();
    let is_scaffold = |entry: &std::fs::DirEntry| entry.path().join(MANIFEST).is_file();
    let names = entries.filter(is_scaffold).filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// The JSON Schema of a manifest.
pub fn manifest_schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Manifest)).unwrap_or_default()
}

/// The JSON Schema of what passes over the standard streams of a scaffold on the host.
pub fn stdio_schema() -> serde_json::Value {
    trajforge_rollout::scaffold::stdio::protocol::schema()
}
