//! Who may name whom.

use serde::Deserialize;

use super::Finding;
use super::tree::Tree;

/// What our crates' names begin with.
const PREFIX: &str = "trajforge-";

/// Each crate, and those of ours that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("app", &["pipeline", "schema"]),
    (
        "pipeline",
        &[
            "dataset",
            "filter",
            "rollout",
            "router",
            "sandbox",
            "scheduler",
            "schema",
            "template",
            "trajectory",
        ],
    ),
    ("template", &["schema"]),
    ("scheduler", &["schema"]),
    ("trajectory", &["schema"]),
    ("filter", &["schema"]),
    ("dataset", &["schema"]),
    ("router", &["schema"]),
    ("sandbox", &["schema", "shim"]),
    ("rollout", &["router", "sandbox", "schema"]),
    ("schema", &[]),
    ("shim", &[]),
];

/// The files that alone name the YAML library.
const YAML: [&str; 2] = ["crates/template/src/yaml.rs", "crates/router/src/catalog.rs"];

/// What of a `Cargo.toml` is looked at.
#[derive(Debug, Deserialize)]
struct Cargo {
    #[serde(default)]
    package: Package,
    #[serde(default)]
    dependencies: toml::Table,
}

#[derive(Debug, Default, Deserialize)]
struct Package {
    #[serde(default)]
    name: String,
}

/// A crate names only those that it may; what only tests need is not looked at.
pub(super) fn crates(tree: &Tree) -> Vec<Finding> {
    let rule = "who-names-whom";
    let mut findings = Vec::new();
    let files = tree.files().filter(|(path, _)| path.starts_with("crates/") && path.ends_with("/Cargo.toml"));
    for (path, text) in files {
        let cargo: Cargo = match toml::from_str(text) {
            Ok(cargo) => cargo,
            Err(error) => {
                findings.push(Finding::new(path, 1, rule, error.message()));
                continue;
            }
        };
        let own = cargo.package.name.strip_prefix(PREFIX).unwrap_or(&cargo.package.name);
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == own) else {
            findings.push(Finding::new(
                path,
                1,
                rule,
                format!("{own} is a crate that the rule does not know"),
            ));
            continue;
        };
        let ours = cargo.dependencies.keys().filter_map(|name| name.strip_prefix(PREFIX));
        for name in ours.filter(|name| !allowed.contains(name)) {
            let line = text.lines().position(|line| line.starts_with(&format!("{PREFIX}{name}")));
            let what = format!("{own} may not name {name}");
            findings.push(Finding::new(path, line.map_or(1, |index| index + 1), rule, what));
        }
    }
    findings
}

/// The YAML library could be replaced by changing two files.
pub(super) fn yaml_library(tree: &Tree) -> Vec<Finding> {
    let library = concat!("serde_", "saphyr");
    let mut findings = Vec::new();
    for (path, text) in tree.ending(&[".rs"]).filter(|(path, _)| !YAML.contains(path)) {
        for (index, _) in text.lines().enumerate().filter(|(_, line)| line.contains(library)) {
            let what = format!("only {} name {library}", YAML.join(" and "));
            findings.push(Finding::new(path, index + 1, "yaml-library", what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_stage_that_names_another_is_found() {
        let stage = "[package]\nname = \"trajforge-filter\"\n[dependencies]\nserde = \"1\"\ntrajforge-schema.workspace = true\n\
                     trajforge-dataset.workspace = true\n[dev-dependencies]\ntrajforge-template.workspace = true\n";
        let unknown = "[package]\nname = \"trajforge-utils\"\n";
        let files = [("crates/filter/Cargo.toml", stage), ("crates/utils/Cargo.toml", unknown)];
        assert_eq!(
            found(crates, &files),
            [
                "crates/filter/Cargo.toml:6: who-names-whom: filter may not name dataset",
                "crates/utils/Cargo.toml:1: who-names-whom: utils is a crate that the rule does not know",
            ]
        );
    }

    #[test]
    fn what_may_be_named_is_not_found() {
        let app =
            "[package]\nname = \"trajforge-app\"\n[dependencies]\ntrajforge-pipeline.workspace = true\n";
        let shim = "[package]\nname = \"trajforge-shim\"\n[dependencies]\nlibc = \"1\"\n";
        let files = [("crates/app/Cargo.toml", app), ("crates/sandbox/shim/Cargo.toml", shim)];
        assert!(found(crates, &files).is_empty());
    }

    #[test]
    fn the_yaml_library_is_named_in_two_files() {
        let text = concat!("//! A.\nuse serde_", "saphyr::Value;\n");
        assert_eq!(found(yaml_library, &[("crates/template/src/make.rs", text), (YAML[0], text)]).len(), 1);
    }
}
