//! `trajforge task`: one concrete task, laid out for people.

use std::process::ExitCode;

use serde_json::json;
use trajforge_pipeline::template::{Library, lay_out};
use trajforge_pipeline::{Error, make_task};
use trajforge_schema::Seed;

use crate::cli::{Global, TaskCommand};
use crate::{output, system};

pub(crate) fn task(global: &Global, command: &TaskCommand) -> anyhow::Result<ExitCode> {
    let TaskCommand::Make { template, seed, out } = command;
    let library = Library::open(&system::home(global)?.templates).map_err(Error::from)?;
    let task = make_task(&library, template, Seed(*seed))?;
    lay_out(&task, out).map_err(Error::from)?;
    if global.json {
        output::json(&json!({ "id": task.id, "digest": task.digest, "folder": out }))?;
    } else {
        output::data(&task.id)?;
        output::say(format!(
            "{} has instruction.md, workspace/, verify/, solution.md and traps/",
            out.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
