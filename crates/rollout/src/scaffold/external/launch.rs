//! The start of an external scaffold: a session, a port that leads to it, its files, its program.

use std::sync::Arc;
use std::time::Duration;

use trajforge_sandbox::protocol::{Identity, Owner};
use trajforge_sandbox::{Exec, File, Sandbox, SandboxExt as _};
use trajforge_schema::{Failure, FailureCode, Limits};

use super::External;
use crate::scaffold::manifest::{Laid, Places, Runs};
use crate::scaffold::reader::Collected;

/// A folder of the agent's for what a scaffold writes for itself.
const OUTPUT: &str = "/tmp/scaffold";
/// The loop ends a program in time; this is for one that it has lost sight of.
const LONGEST: Duration = Duration::from_hours(24 * 7);
/// Bytes of what it prints that are kept.
const PRINTED: u64 = 64 << 10;

impl External {
    /// Starts the program; its future goes on when it is waited for.
    pub(super) async fn launch(&mut self, sandbox: &Arc<dyn Sandbox>) -> Result<(), Failure> {
        self.sandbox = Some(Arc::clone(sandbox));
        self.require(&**sandbox).await?;
        self.open_session()?;
        if self.manifest.runs == Runs::Swerex {
            return self.launch_outside(sandbox).await;
        }
        let port = sandbox.tunnel(self.manifest.port, self.access.gateway.address()).await?;
        self.places = self.places(port);
        let mut files = vec![file(&self.places.instruction_file, &self.task.instruction)];
        for (path, content) in &self.manifest.files {
            let path = self.places.fill(path);
            files.push(match content {
                Laid::Text(text) => file(&path, &self.places.fill(text)),
                Laid::Copy { content, .. } => file(&path, content),
            });
        }
        sandbox.put(OUTPUT, Owner::Agent, &[]).await?;
        sandbox.put("/", Owner::Agent, &files).await?;
        let mut exec = Exec::argv(self.manifest.command.iter().map(|part| self.places.fill(part)))
            .in_folder(&self.task.environment.workspace)
            .within(LONGEST);
        for (name, value) in &self.manifest.environment {
            exec = exec.with_variable(name, self.places.fill(value));
        }
        exec.output_bytes = Some(PRINTED);
        let sandbox = Arc::clone(sandbox);
        self.program = Some(Box::pin(async move { sandbox.exec(exec).await }));
        Ok(())
    }

    /// What the image must have is looked for before anything is started.
    async fn require(&mut self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        for program in &self.manifest.requires {
            let look = Exec::argv(["sh", "-c", "command -v -- \"$0\"", program]);
            if !sandbox.exec(look).await?.succeeded() {
                let name = &self.manifest.name;
                let message =
                    format!("the scaffold {name} needs {program}, which the task's image does not have");
                return Err(Failure::new(FailureCode::ScaffoldCrashed, message));
            }
        }
        Ok(())
    }

    fn open_session(&mut self) -> Result<(), Failure> {
        let most = u64::from(self.task.environment.limits.steps);
        self.session = Some(self.access.open(&self.rollout, &self.manifest, most, &self.heard)?);
        Ok(())
    }

    pub(super) fn places(&self, port: u16) -> Places {
        let Limits { steps, rollout_seconds, action_seconds, .. } = self.task.environment.limits;
        let (path, key) = self.session.as_ref().map_or(("", ""), |session| (session.path(), session.key()));
        let root = format!("http://127.0.0.1:{port}{path}");
        Places {
            instruction: self.task.instruction.clone(),
            instruction_file: format!("{OUTPUT}/instruction.md"),
            workspace: self.task.environment.workspace.clone(),
            base_url: format!("{root}/v1"),
            anthropic_base_url: root,
            key: key.to_owned(),
            model: self.access.served.entry.name.clone(),
            steps,
            seconds: rollout_seconds,
            action_seconds,
            output: OUTPUT.to_owned(),
            layer: self.manifest.layer_path(),
            ..Places::default()
        }
    }

    /// Takes out what the manifest asks for; what is not there is left out.
    pub(super) async fn collect(&mut self, sandbox: &dyn Sandbox) -> Collected {
        if self.outside.is_some() {
            return self.collect_outside().await;
        }
        let mut collected = Collected::default();
        for wanted in &self.manifest.collect {
            let path = self.places.fill(&wanted.path);
            match sandbox.read_raw(&path, Identity::Agent, wanted.max_mb << 20).await {
                Ok(content) => {
                    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                    collected.0.insert(name, self.masked(content));
                }
                Err(error) => {
                    tracing::warn!(rollout = self.rollout, "{path} could not be taken out: {error}");
                }
            }
        }
        collected
    }

    /// Some bytes without the session's key, which scaffolds like to write down.
    pub(super) fn masked(&self, bytes: Vec<u8>) -> Vec<u8> {
        let key = &self.places.key;
        match String::from_utf8(bytes) {
            Ok(text) if !key.is_empty() && text.contains(key) => text.replace(key, "[key]").into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(error) => error.into_bytes(),
        }
    }
}

fn file(path: &str, content: &str) -> File {
    let path = path.trim_start_matches('/').to_owned();
    File { path, mode: 0o644, content: content.as_bytes().to_vec() }
}
