//! `trajforge scaffold`: list, new, check, schema.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::json;
use trajforge_pipeline::scaffolds::{self, Report};
use trajforge_pipeline::{Error, template};

use crate::cli::{Global, ScaffoldCommand, ScaffoldSchema};
use crate::{output, system};

/// The example, from which every new one is made.
const MANIFEST: &str = include_str!("../../../../scaffolds/example-python/scaffold.yaml");
/// Its program.
const PROGRAM: &str = include_str!("../../../../scaffolds/example-python/agent.py");
/// Its name.
const EXAMPLE: &str = "example-python";

pub(crate) async fn scaffold(global: &Global, command: ScaffoldCommand) -> anyhow::Result<ExitCode> {
    match command {
        ScaffoldCommand::List => list(global),
        ScaffoldCommand::New { name, root } => begin(global, &name, &root),
        ScaffoldCommand::Check { name } => check(global, &name).await,
        ScaffoldCommand::Schema { of } => {
            output::json(&match of {
                ScaffoldSchema::Manifest => scaffolds::manifest_schema(),
                ScaffoldSchema::Stdio => scaffolds::stdio_schema(),
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list(global: &Global) -> anyhow::Result<ExitCode> {
    let all = scaffolds::list(&system::home(global)?);
    if global.json {
        output::json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["name", "runs", "model", "summary"]);
    for facts in all {
        let model = if facts.needs_model { "yes" } else { "no" };
        table.add_row([facts.name.as_str(), facts.runs.as_str(), model, facts.summary.as_str()]);
    }
    output::data(table)?;
    Ok(ExitCode::SUCCESS)
}

fn begin(global: &Global, name: &str, root: &Path) -> anyhow::Result<ExitCode> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain) {
        bail!("{name:?} is no name: use lower case letters, digits and dashes");
    }
    let folder = root.join(name);
    if folder.exists() {
        return Err(Error::from(template::Error::OutputExists(folder)).into());
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let manifest = MANIFEST.replace(EXAMPLE, name);
    for (file, text) in [("scaffold.yaml", manifest.as_str()), ("agent.py", PROGRAM)] {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    if global.json {
        output::json(&json!({ "name": name, "folder": folder }))?;
    } else {
        output::data(folder.display())?;
        let root = root.display();
        output::say(format!("change it, then prove it: trajforge scaffold check {name} --scaffolds {root}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(global: &Global, name: &str) -> anyhow::Result<ExitCode> {
    let (home, clock) = (system::home(global)?, Arc::new(system::WallClock));
    let report = scaffolds::check(&home, name, clock, system::unguessable()?).await?;
    if global.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report) -> anyhow::Result<()> {
    for rule in &report.rules {
        let word = match rule.holds {
            Some(true) => "holds",
            Some(false) => "broken",
            None => "not seen",
        };
        output::data(format!("{word:<9} {:<10} {}", rule.rule, rule.detail))?;
    }
    let verdict = if report.passed { "keeps to the rules" } else { "does not keep to the rules" };
    output::data(format!("{} {verdict}", report.name))?;
    Ok(())
}
