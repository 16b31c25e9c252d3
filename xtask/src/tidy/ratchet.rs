//! The ratchet: files and functions that are longer than most, each with a length that may only shrink.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;
use serde::Deserialize;

use super::Finding;
use super::size::functions;
use super::tree::Tree;

/// Where it is written.
pub(super) const FILE: &str = "xtask/tidy-ratchet.toml";
/// Files that are longer are in it.
const FILE_LINES: usize = 350;
/// Functions that are longer are in it.
const FUNCTION_LINES: usize = 50;

/// Lengths in lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ratchet {
    /// By path.
    files: BTreeMap<String, usize>,
    /// By path, two colons and the name.
    functions: BTreeMap<String, usize>,
}

/// Nothing has grown, nothing long is new, and nothing stands there that is gone or shorter.
pub(super) fn held(tree: &Tree) -> Vec<Finding> {
    let written = match Ratchet::written(tree) {
        Ok(written) => written,
        Err(error) => return vec![Finding::new(FILE, 1, "ratchet", format!("{error:#}"))],
    };
    let measured = Ratchet::measured(tree);
    let mut findings = compare(&written.files, &measured.files, FILE_LINES);
    findings.extend(compare(&written.functions, &measured.functions, FUNCTION_LINES));
    findings
}

fn compare(
    written: &BTreeMap<String, usize>,
    measured: &BTreeMap<String, usize>,
    most: usize,
) -> Vec<Finding> {
    let path = |name: &str| name.split("::").next().unwrap_or(name).to_owned();
    let mut findings = Vec::new();
    for (name, lines) in measured {
        let what = match written.get(name) {
            Some(allowed) if lines <= allowed => continue,
            Some(allowed) => format!("{name} has grown from {allowed} to {lines} lines"),
            None => format!("{name} has {lines} lines, more than {most}"),
        };
        findings.push(Finding::new(&path(name), 1, "ratchet", what));
    }
    for (name, allowed) in written {
        if measured.get(name).is_none_or(|lines| lines < allowed) {
            let what = format!("{name} is shorter than {allowed} lines: run `cargo xtask tidy --shrink`");
            findings.push(Finding::new(FILE, 1, "ratchet", what));
        }
    }
    findings
}

impl Ratchet {
    /// The ratchet as it is written.
    pub(super) fn written(tree: &Tree) -> anyhow::Result<Self> {
        let text = tree.text(FILE).context("there is no ratchet: begin one with --init")?;
        toml::from_str(text).context("the ratchet can't be read")
    }

    /// What the files of a tree measure.
    pub(super) fn measured(tree: &Tree) -> Self {
        let mut measured = Self::default();
        for (path, text) in tree.ending(&[".rs"]) {
            let lines = text.lines().count();
            if lines > FILE_LINES {
                measured.files.insert(path.to_owned(), lines);
            }
            // A file that can't be read is found by another rule.
            for function in functions(text).unwrap_or_default() {
                if function.lines > FUNCTION_LINES {
                    let longest = measured.functions.entry(format!("{path}::{}", function.name)).or_default();
                    *longest = function.lines.max(*longest);
                }
            }
        }
        measured
    }

    /// Every entry lowered to what is measured; none is raised, and none is new.
    pub(super) fn shrunk(&self, measured: &Self) -> Self {
        let lower = |written: &BTreeMap<String, usize>, measured: &BTreeMap<String, usize>| {
            let entry =
                |(name, allowed): (&String, &usize)| Some((name.clone(), *measured.get(name)?.min(allowed)));
            written.iter().filter_map(entry).collect()
        };
        Self {
            files: lower(&self.files, &measured.files),
            functions: lower(&self.functions, &measured.functions),
        }
    }
}

impl fmt::Display for Ratchet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Lengths in lines that may only shrink: `cargo xtask tidy --shrink` lowers them.")?;
        for (table, entries) in [("files", &self.files), ("functions", &self.functions)] {
            writeln!(f, "\n[{table}]")?;
            for (name, lines) in entries {
                writeln!(f, "{name:?} = {lines}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    fn file(lines: usize) -> String {
        "// x\n".repeat(lines)
    }

    #[test]
    fn what_grows_and_what_is_new_is_found() {
        let ratchet = "[files]\n\"a.rs\" = 400\n\"b.rs\" = 400\n";
        let (a, b, c) = (file(401), file(400), file(351));
        let files = [(FILE, ratchet), ("a.rs", &a), ("b.rs", &b), ("c.rs", &c)];
        assert_eq!(
            found(held, &files),
            [
                "a.rs:1: ratchet: a.rs has grown from 400 to 401 lines",
                "c.rs:1: ratchet: c.rs has 351 lines, more than 350"
            ]
        );
    }

    #[test]
    fn what_has_shrunk_asks_for_a_lower_entry() {
        let files =
            [(FILE, "[files]\n\"a.rs\" = 400\n[functions]\n\"a.rs::f\" = 60\n"), ("a.rs", "//! A.\n")];
        assert_eq!(found(held, &files).len(), 2);
        assert_eq!(
            found(held, &[]),
            [format!("{FILE}:1: ratchet: there is no ratchet: begin one with --init")]
        );
    }

    #[test]
    fn shrinking_never_raises_and_never_adds() {
        let ratchet = |text: &str| toml::from_str::<Ratchet>(text).unwrap();
        let written = ratchet("[files]\na = 400\nb = 400\nc = 400\n[functions]\n\"a::f\" = 60\n");
        let measured = ratchet("[files]\na = 500\nb = 380\nd = 360\n[functions]\n\"a::f\" = 55\n");
        let shrunk = written.shrunk(&measured);
        assert_eq!(shrunk, ratchet("[files]\na = 400\nb = 380\n[functions]\n\"a::f\" = 55\n"));
        assert_eq!(ratchet(&shrunk.to_string()), shrunk);
    }

    #[test]
    fn a_long_function_is_measured_under_its_name() {
        let text = format!("//! A.\nmod tests {{\nfn f() {{\n{}}}\n}}\n", "    f();\n".repeat(50));
        let tree = Tree::of(&[("a.rs", &text)]);
        assert_eq!(Ratchet::measured(&tree).functions, BTreeMap::from([("a.rs::tests::f".to_owned(), 52)]));
    }
}
