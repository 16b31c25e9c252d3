//! A task as a folder that a person can read.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use trajforge_schema::{OracleStep, Task, TaskFile};

use crate::error::Error;

/// Writes a task: `task.json`, `instruction.md`, `workspace/`, `setup/`, `verify/`, `solution.md` and `traps/NAME.md`.
/// The folder must not exist, or be empty; it appears whole or not at all.
pub fn lay_out(task: &Task, folder: &Path) -> Result<(), Error> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(Error::OutputExists(folder.to_owned()));
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = folder.with_file_name(format!(".{name}.partial"));
    let written = write_all(task, &partial).and_then(|()| {
        let _ = fs::remove_dir(folder);
        fs::rename(&partial, folder).map_err(Error::io("write", folder))
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

fn write_all(task: &Task, folder: &Path) -> Result<(), Error> {
    let _ = fs::remove_dir_all(folder);
    let json = serde_json::to_string_pretty(task).expect("a task always serialises");
    write(&folder.join("task.json"), json.as_bytes())?;
    write(&folder.join("instruction.md"), format!("{}\n", task.instruction).as_bytes())?;
    files(&folder.join("workspace"), &task.files)?;
    files(&folder.join("setup"), &task.setup_files)?;
    files(&folder.join("verify"), &task.verification.files)?;
    write(&folder.join("solution.md"), steps("The oracle", "", &task.solution).as_bytes())?;
    for trap in &task.traps {
        let intro = format!("{}\n\nMust fail: {}\n\n", trap.why.trim(), trap.fails.join(", "));
        let text = steps(&format!("Trap: {}", trap.name), &intro, &trap.steps);
        write(&folder.join("traps").join(format!("{}.md", trap.name)), text.as_bytes())?;
    }
    Ok(())
}

fn files(root: &Path, files: &[TaskFile]) -> Result<(), Error> {
    for file in files {
        let path = root.join(&file.path);
        write(&path, &file.content.0)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))
            .map_err(Error::io("write", &path))?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::io("write", parent))?;
    }
    fs::write(path, bytes).map_err(Error::io("write", path))
}

fn steps(title: &str, intro: &str, steps: &[OracleStep]) -> String {
    let mut text = format!("# {title}\n\n{intro}");
    for (index, step) in steps.iter().enumerate() {
        let action = serde_json::to_value(&step.action).expect("an action always serialises");
        let _ = writeln!(text, "## {}. {}\n\n{}\n", index + 1, step.action.kind(), step.reasoning);
        for (name, value) in action.as_object().into_iter().flatten().filter(|(name, _)| *name != "type") {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(text, "{name}:\n\n````\n{}\n````\n", value.trim_end());
        }
    }
    text
}
