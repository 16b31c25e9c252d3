//! Sessions: a shell of the sandbox each.

use serde_json::{Value, json};
use trajforge_sandbox::{Exec, SandboxExt as _};

use super::Shared;
use super::problem::{Class, Problem};
use super::wire::{Action, Bash, Check, CloseSession, CreateSession, Observation, time};

impl Shared {
    /// Begins a session. What can't be sourced is told in its output, as a shell does.
    pub(super) async fn create(&self, request: CreateSession) -> Result<Value, Problem> {
        let shell = {
            let mut sessions = self.sessions.lock().await;
            if sessions.open.contains_key(&request.session) {
                let message = format!("session {} already exists", request.session);
                return Err(Problem::new(Class::SessionExists, message));
            }
            sessions.begun += 1;
            // A shell is never begun again under a name that it had.
            let shell = format!("swerex-{}", sessions.begun);
            sessions.open.insert(request.session.clone(), shell.clone());
            shell
        };
        let sources: Vec<String> =
            request.startup_source.iter().map(|path| format!("source {}", quoted(path))).collect();
        let ran =
            self.sandbox.shell(&shell, &sources.join("; "), time(Some(request.startup_timeout))).await?;
        Ok(json!({ "output": ran.output.text(), "session_type": "bash" }))
    }

    /// Does something in a session.
    pub(super) async fn run(&self, action: Action) -> Result<Observation, Problem> {
        match action {
            Action::Bash(bash) => self.bash(bash).await,
            // A command that takes too long is interrupted when its time is up: nothing is left to be interrupted.
            Action::BashInterrupt { session } => {
                self.shell_of(&session).await?;
                Ok(Observation { exit_code: Some(0), session_type: "bash", ..Observation::default() })
            }
        }
    }

    async fn bash(&self, bash: Bash) -> Result<Observation, Problem> {
        let shell = self.shell_of(&bash.session).await?;
        if bash.is_interactive_command || bash.is_interactive_quit || !bash.expect.is_empty() {
            let message = "interactive programs can't be driven: the session is no terminal";
            return Err(Problem::new(Class::Swerex, message));
        }
        self.check_syntax(&bash.command).await?;
        let ran = self.sandbox.shell(&shell, &bash.command, time(bash.timeout)).await?;
        let (output, command) = (ran.output.text(), &bash.command);
        if ran.timed_out {
            let seconds = bash.timeout.unwrap_or_default();
            let message = format!("timeout after {seconds} seconds while running command {command:?}");
            return Err(Problem::new(Class::CommandTimeout, message));
        }
        if bash.check == Check::Raise && ran.exit_code != 0 {
            let code = ran.exit_code;
            let message =
                format!("Command {command:?} failed with exit code {code}. Here is the output:\n{output:?}");
            return Err(Problem::new(Class::NonZeroExitCode, after(&bash.error_msg, message)));
        }
        let exit_code = (bash.check != Check::Ignore).then_some(ran.exit_code);
        Ok(Observation { output, exit_code, session_type: "bash", ..Observation::default() })
    }

    /// Bash says of a command whether it can be read, without running it.
    async fn check_syntax(&self, command: &str) -> Result<(), Problem> {
        let ran = self.sandbox.exec(Exec::argv(["bash", "-n"]).with_stdin(command)).await?;
        if ran.succeeded() {
            return Ok(());
        }
        let (said, code) = (ran.output.text(), ran.exit_code);
        let message = format!("Error (exit code {code}) while checking bash command {command:?}\n{said}");
        let extra = json!({ "bash_stdout": "", "bash_stderr": said });
        Err(Problem::new(Class::BashIncorrectSyntax, message).with(extra))
    }

    /// Forgets a session; what it began in the background goes on until the sandbox ends.
    pub(super) async fn close(&self, request: CloseSession) -> Result<Value, Problem> {
        self.shell_of(&request.session).await?;
        self.sessions.lock().await.open.remove(&request.session);
        Ok(json!({ "session_type": "bash" }))
    }

    async fn shell_of(&self, session: &str) -> Result<String, Problem> {
        let shell = self.sessions.lock().await.open.get(session).cloned();
        let missing =
            || Problem::new(Class::SessionDoesNotExist, format!("session '{session}' does not exist"));
        shell.ok_or_else(missing)
    }
}

/// A message after the one that the client wants before it.
pub(super) fn after(before: &str, message: String) -> String {
    if before.is_empty() { message } else { format!("{before}: {message}") }
}

/// A text as one word of bash.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
