//! `trajforge template`: list, show, check, new, schema.

mod skeleton;

use std::process::ExitCode;

use serde_json::json;
use trajforge_pipeline::gate::{self, GateOrder, GateReport, PlayReport};
use trajforge_pipeline::template::{self, Library, Template};
use trajforge_pipeline::{Error, Selection, parse_seeds};

use crate::cli::{Global, SchemaOf, TemplateCommand};
use crate::{output, progress, system};

pub(crate) async fn template(global: &Global, command: TemplateCommand) -> anyhow::Result<ExitCode> {
    match command {
        TemplateCommand::List => list(global),
        TemplateCommand::Show { id } => show(global, &id),
        TemplateCommand::Check { ids, seeds, render_only, workers } => {
            let seeds = parse_seeds(&seeds)?;
            let workers = system::workers(workers);
            check(global, GateOrder { templates: Selection(ids), seeds, workers, render_only }).await
        }
        TemplateCommand::New { id, root } => skeleton::begin(global, &id, &root),
        TemplateCommand::Schema { of } => {
            output::json(&match of {
                SchemaOf::Template => template::definition_schema(),
                SchemaOf::Steps => template::steps_schema(),
                SchemaOf::Trap => template::trap_schema(),
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn library(global: &Global) -> anyhow::Result<Library> {
    Ok(Library::open(&system::home(global)?.templates).map_err(Error::from)?)
}

fn facts(template: &Template) -> serde_json::Value {
    let definition = &template.definition;
    json!({
        "id": template.id,
        "version": definition.version,
        "title": definition.title,
        "summary": definition.summary,
        "category": template.id.category(),
        "difficulty": definition.difficulty,
        "languages": definition.languages,
        "skills": definition.skills,
        "expected_steps": definition.expected_steps,
        "image": definition.environment.image,
    })
}

fn list(global: &Global) -> anyhow::Result<ExitCode> {
    let templates = library(global)?.templates().map_err(Error::from)?;
    if global.json {
        output::json(&templates.iter().map(facts).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["id", "version", "difficulty", "steps", "languages", "title"]);
    for template in &templates {
        let definition = &template.definition;
        table.add_row([
            template.id.to_string(),
            definition.version.to_string(),
            definition.difficulty.as_str().to_owned(),
            definition.expected_steps.to_string(),
            definition.languages.join(" "),
            definition.title.clone(),
        ]);
    }
    output::data(table)?;
    Ok(ExitCode::SUCCESS)
}

fn show(global: &Global, id: &str) -> anyhow::Result<ExitCode> {
    let template = library(global)?.template(id).map_err(Error::from)?;
    let definition = &template.definition;
    let checks: Vec<_> =
        definition.checks.iter().map(|check| (&check.name, check.kind, check.weight)).collect();
    let milestones: Vec<_> = definition.milestones.iter().map(|milestone| &milestone.name).collect();
    let parameters: Vec<_> = definition.parameters.keys().collect();
    if global.json {
        let mut all = facts(&template);
        all["parameters"] = json!(parameters);
        all["answer"] = json!(definition.answer);
        all["checks"] = checks
            .iter()
            .map(|(name, kind, weight)| json!({ "name": name, "kind": kind, "weight": weight }))
            .collect();
        all["milestones"] = json!(milestones);
        all["folder"] = json!(template.folder);
        output::json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::data(format!("{} (version {}): {}\n", template.id, definition.version, definition.title))?;
    output::data(format!("{}\n", definition.summary.trim()))?;
    let mut table = output::table(&["what", "is"]);
    table.add_row(["folder", &template.folder.display().to_string()]);
    table.add_row(["difficulty", definition.difficulty.as_str()]);
    table.add_row(["languages", &definition.languages.join(", ")]);
    table.add_row(["skills", &definition.skills.join(", ")]);
    table.add_row(["expected steps", &definition.expected_steps.to_string()]);
    table.add_row(["image", &definition.environment.image]);
    table
        .add_row(["parameters", &parameters.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")]);
    table.add_row(["decided by", &definition.answer.join(", ")]);
    let named = |(name, kind, weight): &(&String, trajforge_schema::CheckKind, f64)| {
        format!("{name} ({kind:?}, {weight})")
    };
    table.add_row(["checks", &checks.iter().map(named).collect::<Vec<_>>().join(", ").to_lowercase()]);
    table
        .add_row(["milestones", &milestones.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")]);
    output::data(table)?;
    Ok(ExitCode::SUCCESS)
}

async fn check(global: &Global, order: GateOrder) -> anyhow::Result<ExitCode> {
    let world = system::world(global, progress::events()).await?;
    let cancel = system::cancelled_by_signals()?;
    let tell = |id: &str, play: &PlayReport| {
        let PlayReport { part, seed, reward, steps, seconds, .. } = play;
        let time = output::duration(*seconds);
        output::say(format!("{id} seed {seed}: {part} earned {reward:.2} in {steps} steps, {time}"));
    };
    let report = gate::check(&world, &order, &cancel, &tell).await;
    world.sandboxes.drain().await;
    let report = report?;
    if global.json {
        output::json(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_report(report: &GateReport) -> anyhow::Result<()> {
    for template in &report.templates {
        let plays = template.plays.len();
        if template.findings.is_empty() {
            output::data(format!("{} passes ({plays} plays)", template.id))?;
        } else {
            output::data(format!("{} fails ({plays} plays)", template.id))?;
            for finding in &template.findings {
                output::data(format!("  {}: {}", finding.rule, finding.detail))?;
            }
        }
    }
    for pair in &report.near_copies {
        output::data(format!(
            "{} and {} are near-copies: similarity {:.2}",
            pair.left, pair.right, pair.jaccard
        ))?;
    }
    if let Some(pair) = &report.most_similar {
        output::say(format!("most similar: {} and {} ({:.2})", pair.left, pair.right, pair.jaccard));
    }
    for balance in &report.balance {
        let counts: Vec<String> =
            balance.counts.iter().map(|(value, count)| format!("{value} {count}")).collect();
        output::say(format!(
            "{}: evenness {:.2} ({})",
            balance.property,
            balance.evenness,
            counts.join(", ")
        ));
    }
    Ok(())
}
