//! A sandbox becomes a task's world: files, setup, services.

use std::time::Duration;

use trajforge_sandbox::protocol::Owner;
use trajforge_sandbox::{Exec, File, Sandbox, SandboxExt as _};
use trajforge_schema::{Failure, FailureCode, Task, TaskFile};

use crate::milestones;

/// Where the setup's files lie while it runs.
const SETUP_FOLDER: &str = "/setup";
/// How long one command of the setup may take.
const SETUP_TIME: Duration = Duration::from_mins(2);

/// Lays the files, runs the setup, removes what only the setup may see, and starts the services.
pub(crate) async fn prepare(sandbox: &dyn Sandbox, task: &Task) -> Result<(), Failure> {
    let environment = &task.environment;
    lay(sandbox, &environment.workspace, Owner::Agent, &task.files).await?;
    if !environment.setup.is_empty() {
        set_up(sandbox, task).await?;
    }
    for service in &environment.services {
        start(sandbox, service).await?;
    }
    milestones::hide(sandbox, &task.milestones).await
}

async fn set_up(sandbox: &dyn Sandbox, task: &Task) -> Result<(), Failure> {
    let environment = &task.environment;
    lay(sandbox, SETUP_FOLDER, Owner::Root, &task.setup_files).await?;
    for command in &environment.setup {
        let ran = sandbox.exec(Exec::bash(command).as_root().within(SETUP_TIME)).await?;
        if !ran.succeeded() {
            let message = format!(
                "setup `{}` ended with {}: {}",
                first_line(command),
                ran.exit_code,
                ran.output.text()
            );
            return Err(Failure::new(FailureCode::SetupFailed, message));
        }
    }
    let mut own = format!("rm -rf {SETUP_FOLDER}");
    if environment.user == "agent" {
        let folders: Vec<String> = environment.carry.iter().map(|path| quoted(path)).collect();
        let folders = folders.join(" ");
        let workspace = quoted(&environment.workspace);
        own = format!("{own}; mkdir -p {workspace} {folders}; chown -hR agent:agent {workspace} {folders}");
    }
    let ran = sandbox.exec(Exec::bash(own).as_root().within(SETUP_TIME)).await?;
    if ran.succeeded() {
        return Ok(());
    }
    Err(Failure::new(
        FailureCode::SetupFailed,
        format!("the workspace could not be handed over: {}", ran.output.text()),
    ))
}

/// Starts one service and waits until it is ready.
pub(crate) async fn start(sandbox: &dyn Sandbox, service: &trajforge_schema::Service) -> Result<(), Failure> {
    let (started, output) = sandbox.start_service(service).await?;
    if started.ready {
        return Ok(());
    }
    let end = started.exit_code.map_or("it still runs".to_owned(), |code| format!("it ended with {code}"));
    let message = format!(
        "the service {} was not ready after {} ms ({end}): {}",
        service.name,
        started.waited_ms,
        String::from_utf8_lossy(&output)
    );
    Err(Failure::new(FailureCode::ServiceNotReady, message))
}

/// Lays a task's files below a folder.
pub(crate) async fn lay(
    sandbox: &dyn Sandbox,
    folder: &str,
    owner: Owner,
    files: &[TaskFile],
) -> Result<(), Failure> {
    let file =
        |file: &TaskFile| File { path: file.path.clone(), mode: file.mode, content: file.content.0.clone() };
    let files: Vec<File> = files.iter().map(file).collect();
    sandbox.put(folder, owner, &files).await?;
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// One word of a shell command.
pub(crate) fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}
