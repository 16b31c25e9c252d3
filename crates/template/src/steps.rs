//! Step files to oracle steps: conditions, loops and includes resolved, strings rendered.

use std::path::Path;

use trajforge_schema::{Action, OracleStep, Position};

use crate::definition::{StepDefinition, StepsFile, WriteDefinition};
use crate::error::{Error, Fault};
use crate::render::{Renderer, read_text};
use crate::yaml::{self, Text};

/// More than anybody writes, and few enough to end a runaway loop.
const MOST_STEPS: usize = 1000;
/// How deep groups and includes may nest.
const MOST_DEPTH: usize = 8;

/// Resolves the steps of a file that is already open in the renderer.
pub(crate) fn resolve(
    renderer: &mut Renderer<'_>,
    folder: &Path,
    definitions: &[StepDefinition],
) -> Result<Vec<OracleStep>, Error> {
    let mut steps = Vec::new();
    group(renderer, folder, definitions, &mut Resolved { steps: &mut steps, depth: 0 })?;
    Ok(steps)
}

struct Resolved<'s> {
    steps: &'s mut Vec<OracleStep>,
    depth: usize,
}

fn group(
    renderer: &mut Renderer<'_>,
    folder: &Path,
    definitions: &[StepDefinition],
    resolved: &mut Resolved<'_>,
) -> Result<(), Error> {
    if resolved.depth > MOST_DEPTH || resolved.steps.len() > MOST_STEPS {
        return Err(renderer.fault(format!("more than {MOST_STEPS} steps or {MOST_DEPTH} levels")).into());
    }
    resolved.depth += 1;
    for definition in definitions {
        if renderer.holds(definition.when.as_ref())? {
            one(renderer, folder, definition, resolved)?;
        }
    }
    resolved.depth -= 1;
    Ok(())
}

fn one(
    renderer: &mut Renderer<'_>,
    folder: &Path,
    definition: &StepDefinition,
    resolved: &mut Resolved<'_>,
) -> Result<(), Error> {
    if let Some(include) = &definition.include {
        let file = folder.join(renderer.text(include)?);
        let (included, text): (StepsFile, String) = yaml::read(&file)?;
        let (outer, outer_text) = renderer.opened();
        renderer.open(&file, &text);
        group(renderer, folder, &included.steps, resolved)?;
        renderer.open(&outer, &outer_text);
        return Ok(());
    }
    if let Some(steps) = &definition.steps {
        let Some(each) = &definition.each else {
            return group(renderer, folder, steps, resolved);
        };
        let (name, items) = items(renderer, each)?;
        for (index, item) in items.into_iter().enumerate() {
            renderer.bind(&name, item);
            renderer.bind("loop_index", serde_json::Value::from(index + 1));
            group(renderer, folder, steps, resolved)?;
        }
        renderer.unbind(&name);
        renderer.unbind("loop_index");
        return Ok(());
    }
    let action = action(renderer, folder, definition)?;
    let reasoning = definition.reasoning.as_ref().map(|text| renderer.text(text)).transpose()?;
    let reasoning = reasoning.map(|text| text.trim().to_owned()).unwrap_or_default();
    resolved.steps.push(OracleStep { reasoning, action });
    Ok(())
}

fn items(renderer: &Renderer<'_>, each: &Text) -> Result<(String, Vec<serde_json::Value>), Box<Fault>> {
    let wrong =
        |message: &str| Box::new(renderer.fault_at(each, message).hint("write `each: module in modules`"));
    let (name, expression) = each.value.split_once(" in ").ok_or_else(|| wrong("this is no loop"))?;
    let expression = Text { value: expression.trim().to_owned(), ..each.clone() };
    match renderer.evaluate(&expression)? {
        serde_json::Value::Array(items) => Ok((name.trim().to_owned(), items)),
        _ => Err(wrong("a loop goes over a list")),
    }
}

fn action(renderer: &Renderer<'_>, folder: &Path, step: &StepDefinition) -> Result<Action, Error> {
    let text = |text: &Text| renderer.text(text);
    let mut actions = Vec::new();
    if let Some(command) = &step.bash {
        let command = text(command)?.trim_end().to_owned();
        actions.push(Action::Bash { command, timeout_seconds: step.timeout_seconds });
    }
    if let Some(read) = &step.read {
        actions.push(Action::Read { path: text(&read.path)?, offset: read.offset, limit: read.limit });
    }
    if let Some(write) = &step.write {
        actions.push(Action::Write { path: text(&write.path)?, content: content(renderer, folder, write)? });
    }
    if let Some(edit) = &step.edit {
        let occurrence = if edit.all { Position::All } else { Position::Unique };
        actions.push(Action::Edit {
            path: text(&edit.path)?,
            old: text(&edit.old)?,
            new: text(&edit.new)?,
            occurrence,
        });
    }
    if let Some(search) = &step.search {
        let path = search.path.as_ref().map(text).transpose()?;
        actions.push(Action::Search { pattern: text(&search.pattern)?, path });
    }
    if let Some(path) = &step.list {
        actions.push(Action::List { path: Some(text(path)?) });
    }
    if let Some(thought) = &step.think {
        actions.push(Action::Think { thought: text(thought)?.trim().to_owned() });
    }
    if let Some(message) = &step.submit {
        actions.push(Action::Submit { message: Some(text(message)?.trim().to_owned()) });
    }
    match (actions.pop(), actions.is_empty()) {
        (Some(action), true) => Ok(action),
        (found, _) => {
            let wrong =
                if found.is_none() { "a step without an action" } else { "a step with several actions" };
            let hint = "give each step exactly one of bash, read, write, edit, search, list, think, submit";
            let fault = match step.reasoning.as_ref().or(step.bash.as_ref()) {
                Some(place) => renderer.fault_at(place, wrong),
                None => renderer.fault(wrong),
            };
            Err(fault.hint(hint).into())
        }
    }
}

fn content(renderer: &Renderer<'_>, folder: &Path, write: &WriteDefinition) -> Result<String, Error> {
    match (&write.content, &write.from) {
        (Some(content), None) => Ok(renderer.text(content)?),
        (None, Some(from)) => {
            let file = folder.join(renderer.text(from)?);
            let text = read_text(&file)?;
            if file.extension().is_some_and(|extension| extension == "j2") {
                return Ok(renderer.whole(&file, &text)?);
            }
            Ok(text)
        }
        _ => Err(renderer
            .fault_at(&write.path, "a write without content, or with two")
            .hint("give it either `content` or `from`")
            .into()),
    }
}
