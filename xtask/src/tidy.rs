//! The house rules that can be checked, each a function from the tree of files to findings.

mod links;
mod names;
mod ratchet;
mod size;
mod templates;
mod text;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::say;
use ratchet::Ratchet;
use tree::Tree;

/// Arguments of `tidy`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Lower the ratchet to what the files measure; it is never raised
    #[arg(long)]
    shrink: bool,
    /// Begin a ratchet from what the files measure
    #[arg(long, conflicts_with = "shrink")]
    init: bool,
}

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, relative to the workspace.
    pub(crate) path: String,
    /// The line, from 1; the first where the whole file is meant.
    pub(crate) line: usize,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What breaks it.
    pub(crate) what: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, what: what.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.what)
    }
}

/// Every rule. A new one is a function and a line here.
const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    text::first_lines,
    text::unfinished,
    text::trailing_space,
    text::developer_paths,
    size::limits,
    ratchet::held,
    names::crates,
    names::yaml_library,
    links::architecture,
    links::error_codes,
    links::failure_codes,
    links::decisions,
    templates::complete,
];

/// Checks the rules, or moves the ratchet.
pub(crate) fn tidy(root: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let tree = Tree::tracked(root)?;
    if arguments.init || arguments.shrink {
        let measured = Ratchet::measured(&tree);
        let ratchet = if arguments.init { measured } else { Ratchet::written(&tree)?.shrunk(&measured) };
        std::fs::write(root.join(ratchet::FILE), ratchet.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    for finding in &findings {
        say::data(finding)?;
    }
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say::people(format!("{} findings", findings.len()));
    Ok(ExitCode::FAILURE)
}

/// The findings of one rule in a tree of fixture files.
#[cfg(test)]
fn found(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    rule(&Tree::of(files)).iter().map(ToString::to_string).collect()
}
