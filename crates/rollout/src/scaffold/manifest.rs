//! A scaffold's manifest, `scaffolds/NAME/scaffold.yaml`: what it is, how it is started, and what its words mean.

mod check;
mod placeholder;
mod tool;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trajforge_router::gateway::{AtCap, SideRule};
use trajforge_router::read_yaml;
use trajforge_schema::Dialect;

pub use placeholder::Places;
pub use tool::ToolRule;

/// A manifest's file name.
pub const MANIFEST: &str = "scaffold.yaml";

/// A scaffold that is no part of this program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name that `--scaffold` takes; also its folder's.
    pub name: String,
    /// Its release.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// Under which terms it comes.
    pub license: String,
    /// Where it is at home.
    pub homepage: String,
    /// Where it runs.
    pub runs: Runs,
    /// The program and its arguments; `{placeholders}` are filled in.
    pub command: Vec<String>,
    /// Variables of its environment; `{placeholders}` are filled in.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files that are laid down before it starts, path to content; `{placeholders}` in a path are filled in.
    #[serde(default)]
    pub files: BTreeMap<String, Laid>,
    /// What it speaks to a model.
    #[serde(default = "dialect")]
    pub dialect: Dialect,
    /// The port of the sandbox's loopback that leads to the gateway; any free one where absent.
    #[serde(default)]
    pub port: u16,
    /// The status that makes it stop.
    #[serde(default)]
    pub at_cap: AtCap,
    /// Which of its calls are no steps.
    #[serde(default)]
    pub side_calls: Vec<SideRule>,
    /// What it needs beside the task.
    #[serde(default)]
    pub limits: Needs,
    /// Which of its tools are which actions; the others are recorded as they are.
    #[serde(default)]
    pub tools: BTreeMap<String, ToolRule>,
    /// For scaffolds without tools: a reply in words is an action under this name, since the scaffold acts upon it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_action: Option<String>,
    /// Files that are taken out at the end.
    #[serde(default)]
    pub collect: Vec<Wanted>,
    /// What understands those files; the gateway's record alone where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<ReaderName>,
    /// Programs that the task's image must have.
    #[serde(default)]
    pub requires: Vec<String>,
}

/// What a file holds that is laid down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Laid {
    /// This text; `{placeholders}` are filled in, braces around other words stay as they are.
    Text(String),
    /// What a file beside the manifest holds, as it is.
    Copy {
        /// Its name.
        from: String,
        /// What it holds; read with the manifest.
        #[serde(default)]
        #[schemars(skip)]
        content: String,
    },
}

/// Where a scaffold runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// As a program inside the task's sandbox, which asks its model through the gateway.
    Container,
    /// As a program on the host, which works in the task's sandbox through SWE-ReX's protocol and asks its model through the
    /// gateway.
    Swerex,
    /// As a program on the host, which is told the task over its standard input and says its actions on its standard output.
    Host,
}

/// What a scaffold takes on top of what the task allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// Memory, in MiB.
    pub memory_mb: u64,
    /// Disk, in MiB.
    pub disk_mb: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Seconds in which it may end by itself once it was told to stop.
    pub grace_seconds: u64,
}

impl Default for Needs {
    fn default() -> Self {
        Self { memory_mb: 512, disk_mb: 256, pids: 64, grace_seconds: 10 }
    }
}

/// A file that is taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Absolute, once its placeholders are filled in.
    pub path: String,
    /// A larger one is left where it is, in MiB.
    #[serde(default = "max_mb")]
    pub max_mb: u64,
}

/// The readers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReaderName {
    /// mini-swe-agent's trajectory file.
    MiniSweAgent,
    /// SWE-agent's `.traj`.
    SweAgent,
    /// The events of an OpenHands conversation.
    Openhands,
    /// What Aider's driver writes down.
    Aider,
}

fn dialect() -> Dialect {
    Dialect::OpenaiChat
}

fn max_mb() -> u64 {
    32
}

/// Why a manifest can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{file} is no valid scaffold: {message}")]
pub struct Invalid {
    /// The file.
    pub file: String,
    /// What is wrong, with line and column where it is known.
    pub message: String,
}

impl Manifest {
    /// Reads one; its name must be its folder's.
    pub fn read(file: &Path) -> Result<Self, Invalid> {
        let invalid = |message: String| Invalid { file: file.display().to_string(), message };
        let mut manifest: Self = read_yaml(file).map_err(|error| match error {
            trajforge_router::Error::Entry { message, .. } => invalid(message),
            other => invalid(other.to_string()),
        })?;
        let folder = file.parent().unwrap_or(Path::new("."));
        for laid in manifest.files.values_mut() {
            if let Laid::Copy { from, content } = laid {
                let read = std::fs::read_to_string(folder.join(&*from));
                *content = read.map_err(|error| invalid(format!("{from} can't be read: {error}")))?;
            }
        }
        if folder.file_name().and_then(|name| name.to_str()) != Some(manifest.name.as_str()) {
            return Err(invalid(format!("its name is {:?}, and that of its folder is not", manifest.name)));
        }
        manifest.check().map_err(invalid)?;
        Ok(manifest)
    }

    /// Where its layer lies inside a sandbox.
    pub fn layer_path(&self) -> String {
        format!("/opt/trajforge/{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "name: x\nversion: '1'\nsummary: s\nlicense: MIT\nhomepage: h\nruns: container\ncommand: [a]\n";

    fn read(text: &str) -> Result<Manifest, Invalid> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x").join(MANIFEST);
        std::fs::create_dir(root.path().join("x")).unwrap();
        std::fs::write(&file, text).unwrap();
        Manifest::read(&file)
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert!(read(GOOD).is_ok());
        for (more, signs) in [
            ("comand: [a]\n", &["scaffold.yaml", "comand", "line 8"][..]),
            ("environment: {A: '{modell}'}\n", &["{modell}", "base_url"]),
            ("tools: {run: {action: fly}}\n", &["\"run\"", "fly", "bash"]),
            ("tools: {run: {action: bash, cmd: c}}\n", &["cmd", "command"]),
            ("side_calls: [{name: all}]\n", &["all", "every call"]),
            ("reader: aider\n", &["reader"]),
            ("reader: mine\n", &["mine", "line 8"]),
            ("files: {'{output}/a': {from: no-such-file}}\n", &["no-such-file"]),
        ] {
            let error = read(&format!("{GOOD}{more}")).unwrap_err().to_string();
            assert!(signs.iter().all(|sign| error.contains(sign)), "{more}: {error}");
        }
        let other = read(&GOOD.replace("name: x", "name: y")).unwrap_err().to_string();
        assert!(other.contains("its name is \"y\""), "{other}");
    }

    #[test]
    fn every_shipped_manifest_is_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scaffolds");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join(MANIFEST));
        let manifests: Vec<Manifest> =
            entries.filter(|file| file.is_file()).map(|file| Manifest::read(&file).unwrap()).collect();
        assert!(manifests.iter().any(|manifest| manifest.name == "opencode"));
    }
}
