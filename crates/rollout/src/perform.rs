//! An action becomes an observation.

use std::time::Duration;

use trajforge_sandbox::protocol::Edit;
use trajforge_sandbox::{Ran, Sandbox, SandboxExt as _, Shown};
use trajforge_schema::{Action, Observation, Position};

use crate::browser::Browser;

/// The agent's shell.
const SESSION: &str = "agent";

/// What an action led to.
pub(crate) struct Performed {
    /// What the agent sees.
    pub(crate) observation: Observation,
    /// Where the shell stands, if it was used.
    pub(crate) cwd: Option<String>,
}

/// Carries out one action; what fails for the agent is an observation, not an error.
pub(crate) async fn perform(
    sandbox: &dyn Sandbox,
    browser: &mut Browser,
    action: &Action,
    most: Duration,
) -> Result<Performed, trajforge_sandbox::Error> {
    if let Some(shown) = browser.act(sandbox, action, most).await {
        return Ok(of_shown(shown?));
    }
    let shown = match action {
        Action::Bash { command, timeout_seconds } => {
            let time = timeout_seconds.map_or(most, Duration::from_secs).min(most);
            return Ok(of_shell(&sandbox.shell(SESSION, command, time).await?, time));
        }
        Action::Read { path, offset, limit } => sandbox.read(SESSION, path, *offset, *limit).await?,
        Action::Write { path, content } => sandbox.write(SESSION, path, content).await?,
        Action::Edit { path, old, new, occurrence } => {
            let edit = Edit {
                session: SESSION.to_owned(),
                path: path.clone(),
                old: old.clone(),
                new: new.clone(),
                all: *occurrence == Position::All,
            };
            sandbox.edit(edit).await?
        }
        Action::Search { pattern, path } => sandbox.search(SESSION, pattern, path.as_deref()).await?,
        Action::List { path } => sandbox.list(SESSION, path.as_deref()).await?,
        Action::Think { .. } => text("Noted.", false),
        Action::Submit { .. } => text("Submitted.", false),
        Action::Tool { name, .. } => {
            text(&format!("{name}: only the scaffold that has this tool can do it"), true)
        }
        Action::Invalid { tool, problem, .. } => text(&format!("{tool}: {problem}"), true),
        Action::Open { .. }
        | Action::Follow { .. }
        | Action::Back {}
        | Action::Find { .. }
        | Action::Fill { .. } => text("The browser did nothing.", true),
    };
    Ok(of_shown(shown))
}

fn of_shown(shown: Shown) -> Performed {
    let Shown { text, is_error, cut_bytes } = shown;
    let observation = Observation { text, exit_code: None, is_error, truncated_bytes: cut_bytes };
    Performed { observation, cwd: None }
}

fn of_shell(ran: &Ran, time: Duration) -> Performed {
    let mut text = ran.output.text();
    let mut note = |line: String| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&line);
    };
    if ran.timed_out {
        note(format!("[interrupted after {} s: the command did not end]", time.as_secs()));
    }
    if !ran.timed_out && ran.exit_code != 0 {
        note(format!("[exit code {}]", ran.exit_code));
    }
    if ran.restarted {
        note("[the shell ended and was started again; its variables and jobs are gone]".to_owned());
    }
    if text.is_empty() {
        "[no output]".clone_into(&mut text);
    }
    let observation = Observation {
        text,
        exit_code: (!ran.timed_out).then_some(ran.exit_code),
        is_error: !ran.succeeded(),
        truncated_bytes: ran.output.cut_bytes,
    };
    Performed { observation, cwd: Some(ran.cwd.clone()).filter(|cwd| !cwd.is_empty()) }
}

fn text(text: &str, is_error: bool) -> Shown {
    Shown { text: text.to_owned(), is_error, cut_bytes: 0 }
}
