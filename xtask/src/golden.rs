//! The digests of every template's first members: what a version has once promised, it keeps.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};
use trajforge_schema::{Digest, Seed};
use trajforge_template::Library;

use crate::say;

/// Where they are written.
const FILE: &str = "testdata/golden/tasks.json";
/// Members of each template.
const SEEDS: u64 = 5;

/// Arguments of `golden`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Compare only; exits with 1 when something differs
    #[arg(long)]
    check: bool,
}

/// By template.
type Golden = BTreeMap<String, Members>;

/// What the members of one version look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Members {
    /// The template's version.
    version: u32,
    /// The tasks' digests, in the order of the seeds from 0.
    digests: Vec<Digest>,
}

/// Writes the digests, or compares them.
pub(crate) fn golden(root: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let rendered = rendered(&root.join("templates"))?;
    let file = root.join(FILE);
    if !arguments.check {
        std::fs::create_dir_all(file.parent().unwrap_or(root))?;
        std::fs::write(&file, serde_json::to_string_pretty(&rendered)? + "\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {FILE}"))?;
    let written: Golden = serde_json::from_str(&text).with_context(|| format!("read {FILE}"))?;
    let differences = differences(&written, &rendered);
    for difference in &differences {
        say::data(difference)?;
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rendered(templates: &Path) -> anyhow::Result<Golden> {
    let mut golden = Golden::new();
    for template in Library::open(&[templates.to_owned()])?.templates()? {
        let digests = (0..SEEDS)
            .map(|seed| Ok(template.make(Seed(seed))?.digest))
            .collect::<Result<_, trajforge_template::Error>>()?;
        golden.insert(template.id.to_string(), Members { version: template.definition.version, digests });
    }
    Ok(golden)
}

fn differences(written: &Golden, rendered: &Golden) -> Vec<String> {
    let again = "write the digests again with `cargo xtask golden`";
    let mut found = Vec::new();
    for (id, new) in rendered {
        let Some(old) = written.get(id) else {
            found.push(format!("{id}: it is not in {FILE}; {again}"));
            continue;
        };
        if old.version != new.version {
            found.push(format!(
                "{id}: version {} was written, it is {} now; {again}",
                old.version, new.version
            ));
            continue;
        }
        if old.digests.len() != new.digests.len() {
            found.push(format!(
                "{id}: {} members are written, {} are wanted; {again}",
                old.digests.len(),
                new.digests.len()
            ));
        }
        for (seed, (old, new)) in
            old.digests.iter().zip(&new.digests).enumerate().filter(|(_, (old, new))| old != new)
        {
            let (old, new) = (old.short(), new.short());
            found.push(format!(
                "{id} seed {seed}: {old} was promised, {new} is rendered; raise the template's version, then {again}"
            ));
        }
    }
    let gone = written.keys().filter(|id| !rendered.contains_key(*id));
    found.extend(gone.map(|id| format!("{id}: there is no such template any more; {again}")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(id: &str, version: u32, digests: &[&str]) -> Golden {
        let digests = digests.iter().map(|digest| Digest::of(digest.as_bytes())).collect();
        Golden::from([(id.to_owned(), Members { version, digests })])
    }

    #[test]
    fn a_changed_member_asks_for_a_new_version() {
        let found = differences(&golden("a/b", 1, &["x", "y"]), &golden("a/b", 1, &["x", "z"]));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("a/b seed 1: ") && found[0].contains("raise the template's version"));
    }

    #[test]
    fn a_new_version_asks_for_new_digests() {
        let found = differences(&golden("a/b", 1, &["x"]), &golden("a/b", 2, &["y"]));
        assert!(found.len() == 1 && found[0].contains("version 1 was written, it is 2 now"), "{found:?}");
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_told() {
        assert_eq!(differences(&golden("a/b", 1, &["x"]), &golden("a/c", 1, &["x"])).len(), 2);
        assert!(differences(&golden("a/b", 1, &["x"]), &golden("a/b", 1, &["x"])).is_empty());
    }
}
