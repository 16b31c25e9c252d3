//! The program under test: started as a user would start it, in a folder of its own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to work in, and the way to start the program there.
pub(crate) struct Program {
    pub(crate) folder: TempDir,
}

/// Containers of a run that are still there.
pub(crate) fn containers(run: &str) -> usize {
    let label = format!("label=trajforge.run={run}");
    let output = Command::new("docker").args(["ps", "-aq", "--filter", &label]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().count()
}

/// What came back.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// The checkout.
    pub(crate) fn home() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command with the shipped content and the test's own templates.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trajforge"));
        command
            .arg("--home")
            .arg(Self::home())
            .arg("--templates")
            .arg(Self::home().join("testdata/templates"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG");
        command
    }

    pub(crate) fn say(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    /// A run's rollouts, as `status --json` lists them.
    pub(crate) fn rollouts(&self, run: &str) -> Vec<Value> {
        self.say(&["status", run, "--json"]).json()["rollouts"].as_array().unwrap().clone()
    }
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    /// Ended well.
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// Failed with this exit code and this error code, a hint, and nothing on stdout.
    pub(crate) fn failed(self, code: i32, page: &str) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains(page), "no {page} in: {}", self.err);
        assert!(self.err.contains("hint:") || self.err.contains("help:"), "no hint in: {}", self.err);
        assert_eq!(self.out, "");
        self
    }
}
