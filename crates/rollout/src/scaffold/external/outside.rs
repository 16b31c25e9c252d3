//! A scaffold that runs on the host and works in the sandbox through SWE-ReX's protocol.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use trajforge_sandbox::{Exec, Output as Printed, Ran, Sandbox, SandboxExt as _, User};
use trajforge_schema::{Failure, FailureCode};

use super::External;
use crate::scaffold::manifest::Places;
use crate::scaffold::reader::Collected;
use crate::scaffold::stdio::process::{Output, Process};
use crate::swerex::Server;

/// Lines of what it prints that are kept.
const LINES: usize = 200;
/// How long a program may take to end that has closed its output.
const ENDING: Duration = Duration::from_secs(10);

/// What a program has that does not run in the sandbox.
pub(super) struct Outside {
    server: Server,
    folder: TempDir,
    kill: CancellationToken,
}

impl Outside {
    /// Kills the program.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }
}

impl External {
    /// Serves the sandbox, and starts the program on the host.
    pub(super) async fn launch_outside(&mut self, sandbox: &Arc<dyn Sandbox>) -> Result<(), Failure> {
        give_roots_home(&**sandbox).await?;
        let folder = tempfile::tempdir().map_err(internal)?;
        let key = self.session.as_ref().map(|session| session.key().to_owned()).unwrap_or_default();
        let server = Server::start(Arc::clone(sandbox), &key, ([127, 0, 0, 1], 0).into()).await;
        let server = server.map_err(internal)?;
        let output = folder.path().display().to_string();
        self.places = Places {
            instruction_file: format!("{output}/instruction.md"),
            output,
            swerex_port: server.address().port(),
            swerex_key: key,
            ..self.places(self.access.gateway.address().port())
        };
        let written = tokio::fs::write(&self.places.instruction_file, &self.task.instruction).await;
        written.map_err(internal)?;
        let command: Vec<String> = self.manifest.command.iter().map(|part| self.places.fill(part)).collect();
        let variables: BTreeMap<String, String> = self
            .manifest
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), self.places.fill(value)))
            .collect();
        let process = Process::start(&command, folder.path(), &variables).map_err(|error| {
            let (name, program) = (&self.manifest.name, &command[0]);
            let message = format!("the scaffold {name} could not be started ({program}): {error}");
            Failure::new(FailureCode::ScaffoldCrashed, message)
        })?;
        let kill = CancellationToken::new();
        self.program = Some(Box::pin(watch(process, kill.clone())));
        self.outside = Some(Outside { server, folder, kill });
        Ok(())
    }

    /// Takes the files that the manifest asks for; what is not there is left out.
    pub(super) async fn collect_outside(&mut self) -> Collected {
        let mut collected = Collected::default();
        let Some(folder) = self.outside.as_ref().map(|outside| outside.folder.path().to_owned()) else {
            return collected;
        };
        for wanted in &self.manifest.collect {
            let path = self.places.fill(&wanted.path);
            if !Path::new(&path).starts_with(&folder) {
                tracing::warn!(rollout = self.rollout, "{path} is not in the scaffold's folder, and is left");
                continue;
            }
            let size = tokio::fs::metadata(&path).await.map(|known| known.len());
            let content = match size {
                Ok(size) if size <= wanted.max_mb << 20 => tokio::fs::read(&path).await,
                Ok(size) => Err(std::io::Error::other(format!("it has {size} bytes"))),
                Err(error) => Err(error),
            };
            match content {
                Ok(content) => {
                    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                    collected.0.insert(name, self.masked(content));
                }
                Err(error) => {
                    tracing::warn!(rollout = self.rollout, "{path} could not be taken: {error}");
                }
            }
        }
        collected
    }

    /// Ends what served the program, and removes its folder.
    pub(super) async fn end_outside(&mut self) {
        let Some(Outside { server, folder, .. }) = self.outside.take() else { return };
        server.stop().await;
        if let Err(error) = folder.close() {
            tracing::warn!(rollout = self.rollout, "the scaffold's folder could not be removed: {error}");
        }
    }
}

/// SWE-agent keeps its tools and notes in root's home, whoever it works as. Nothing of the verification is there.
async fn give_roots_home(sandbox: &dyn Sandbox) -> Result<(), Failure> {
    if sandbox.spec().user == User::Root {
        return Ok(());
    }
    let (user, group) = sandbox.spec().user.ids();
    sandbox.exec(Exec::bash(format!("mkdir -p /root && chown {user}:{group} /root")).as_root()).await?;
    Ok(())
}

/// Waits for the program's end, or makes it.
async fn watch(mut process: Process, kill: CancellationToken) -> Result<Ran, trajforge_sandbox::Error> {
    let began = Instant::now();
    let mut lines = VecDeque::new();
    loop {
        let output = tokio::select! {
            output = process.next() => output,
            () = kill.cancelled() => Output::Closed,
        };
        match output {
            Output::Line(line) => lines.push_back(line),
            Output::TooLong => {}
            Output::Closed => break,
        }
        if lines.len() > LINES {
            lines.pop_front();
        }
    }
    let patience = if kill.is_cancelled() { Duration::ZERO } else { ENDING };
    let status = process.ended(patience).await;
    lines.push_back(process.last_words());
    process.stop(Duration::ZERO).await;
    let printed: Vec<String> = lines.into();
    Ok(Ran {
        // Whoever had to be killed has no code of its own: that of the signal stands for it.
        exit_code: status.and_then(|status| status.code()).unwrap_or(137),
        output: Printed { head: printed.join("\n").into_bytes(), ..Printed::default() },
        duration: began.elapsed(),
        ..Ran::default()
    })
}

fn internal(error: impl Display) -> Failure {
    Failure::new(FailureCode::Internal, format!("a scaffold on the host could not be prepared: {error}"))
}
