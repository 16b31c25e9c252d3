//! The state of a sandbox: what the workspace holds, and where the shell stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// What the agent stands before when it acts: s_k of (s_k, a_k, o_k, r_k).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// The shell's working directory.
    pub cwd: String,
    /// What changed in the workspace since the state before; in the first state, everything.
    pub files: Delta,
}

/// Everything in the workspace at one moment: path relative to the workspace root, to entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(pub BTreeMap<String, ManifestEntry>);

/// One path of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// File, folder, link or other.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Bytes; 0 for what is no regular file.
    pub size: u64,
    /// Of the content of a file, or of a link's target; absent for folders, devices and files too large to hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A socket, pipe or device.
    Other,
}

/// What differs between two manifests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// New or different entries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, ManifestEntry>,
    /// Paths that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

impl Delta {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// Takes in what changed afterwards, so that both are one.
    pub fn extend(&mut self, later: Self) {
        for path in later.removed {
            self.changed.remove(&path);
            if !self.removed.contains(&path) {
                self.removed.push(path);
            }
        }
        for (path, entry) in later.changed {
            self.removed.retain(|removed| *removed != path);
            self.changed.insert(path, entry);
        }
    }

    /// What has to be applied to `before` to reach `after`.
    pub fn between(before: &Manifest, after: &Manifest) -> Self {
        let changed = after
            .0
            .iter()
            .filter(|(path, entry)| before.0.get(*path) != Some(entry))
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect();
        let removed = before.0.keys().filter(|path| !after.0.contains_key(*path)).cloned().collect();
        Self { changed, removed }
    }
}

impl Manifest {
    /// Takes in a delta.
    pub fn apply(&mut self, delta: &Delta) {
        for path in &delta.removed {
            self.0.remove(path);
        }
        for (path, entry) in &delta.changed {
            self.0.insert(path.clone(), entry.clone());
        }
    }

    /// A digest of the whole: equal manifests, equal digests.
    pub fn digest(&self) -> Digest {
        let bytes = serde_json::to_vec(self).expect("a map of plain values always serialises");
        Digest::of(&bytes)
    }
}
