//! Forks: another sandbox that goes on from where one stands, with its files and what its shell sessions remember.

use trajforge_shim::protocol::{Identity, Meanwhile, Owner, Pack, Request, Shell, Unpack};

use crate::error::{Error, Result};
use crate::exec::Ran;
use crate::sandbox::{Sandbox, SandboxExt, Sandboxes, ran};

/// What differs between a sandbox and its image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Something was added, or is not what it was; of a folder that was there before, what is in it is told apart.
    Changed(String),
    /// Something is gone, with all that was below it.
    Removed(String),
}

/// Not part of what a sandbox holds: mounts of the engine and of the sandbox itself.
const OUTSIDE: [&str; 8] = [
    "/trajforge",
    "/run/trajforge",
    "/proc",
    "/sys",
    "/dev",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
];
/// Milliseconds that reading or restoring a session may take.
const TIMEOUT_MS: u64 = 10_000;
/// Bytes that a session may remember.
const SESSION_BYTES: u64 = 8 << 20;
/// Variables that bash sets itself and lets nobody set.
const FIXED: [&str; 7] = ["_", "BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"];
/// What sessions have in common, since none has a line editor.
const EDITING: [&str; 4] = ["set +o emacs", "set -o emacs", "set +o vi", "set -o vi"];
/// Ends the variables, each of which is one line, in what a session prints.
const VARIABLES_END: &str = "# functions";
/// Prints commands that make another bash remember the same.
const REMEMBER: &str = "\\builtin declare -p; \\builtin echo '# functions'; \\builtin declare -f; \\builtin alias -p; \\builtin shopt -p; \\builtin umask -p; \
                        \\builtin printf '\\\\builtin cd -- %q\\n' \"$PWD\"; \\builtin trap -p; \\builtin set +o";

/// A new sandbox like `from`, from the same image: its whole file system with owners and modes, and of the named sessions the
/// working directory, variables, functions, aliases and options. Processes are not copied: background jobs and
/// services have to be started again. While files are read the agent's processes stand still.
pub async fn fork(
    from: &dyn Sandbox,
    sandboxes: &dyn Sandboxes,
    sessions: &[&str],
) -> Result<Box<dyn Sandbox>> {
    let mut remembered = Vec::new();
    for session in sessions {
        remembered.push((*session, remember(from, session).await?));
    }
    let to = sandboxes.create(from.spec()).await?;
    match copy(from, &*to, &remembered).await {
        Ok(()) => Ok(to),
        Err(error) => {
            if let Err(error) = to.stop().await {
                tracing::warn!("a sandbox could not be stopped: {error}");
            }
            Err(error)
        }
    }
}

async fn copy(from: &dyn Sandbox, to: &dyn Sandbox, sessions: &[(&str, String)]) -> Result<()> {
    // The workspace goes as a whole: the engine can't name every file in it.
    let workspace = from.spec().workspace.clone();
    let (mut clear, mut shallow) = (vec![workspace.clone()], Vec::new());
    for change in from.changes().await? {
        match change {
            Change::Changed(path) if is_inside(&path, &workspace) => shallow.push(path),
            Change::Removed(path) if is_inside(&path, &workspace) => clear.push(path),
            _ => {}
        }
    }
    let max_bytes = from.disk_bytes().saturating_mul(2);
    let pack = Pack { paths: vec![workspace], shallow, meanwhile: Meanwhile::Stopped, max_bytes };
    let (_, archive) = from.pack(pack).await?;
    let unpack = Unpack { root: "/".to_owned(), owner: Owner::Kept, clear, max_bytes };
    to.unpack(unpack, archive).await?;
    for (session, memory) in sessions {
        restore(to, session, memory).await?;
    }
    Ok(())
}

/// Whether a path is one of the sandbox's own, outside of its workspace.
fn is_inside(path: &str, workspace: &str) -> bool {
    let is_below =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    !is_below(workspace) && !OUTSIDE.iter().any(|folder| is_below(folder))
}

async fn remember(sandbox: &dyn Sandbox, session: &str) -> Result<String> {
    let ran = shell(sandbox, session, REMEMBER.to_owned()).await?;
    if ran.timed_out || ran.output.cut_bytes > 0 {
        let reason = format!("what the session {session} remembers can't be read in time, or is too much");
        return Err(Error::Limit { reason });
    }
    Ok(settable(&ran.output.text()))
}

/// Without the variables that can't be set: the attempt would end everything after it.
fn settable(memory: &str) -> String {
    let (variables, rest) = memory.split_once(VARIABLES_END).unwrap_or((memory, ""));
    let is_fixed = |line: &&str| {
        let name = line.splitn(3, ' ').nth(2).and_then(|rest| rest.split('=').next());
        name.is_some_and(|name| FIXED.contains(&name))
    };
    let kept: Vec<&str> = variables.lines().filter(|line| !is_fixed(line)).collect();
    // Setting how lines are edited, even to what it is, makes bash begin to read anew, from what is no terminal.
    let is_editing = |line: &&str| EDITING.contains(line);
    let rest: Vec<&str> = rest.lines().filter(|line| !is_editing(line)).collect();
    format!("{}\n{}\n", kept.join("\n"), rest.join("\n"))
}

async fn restore(sandbox: &dyn Sandbox, session: &str, memory: &str) -> Result<()> {
    let quoted = memory.replace('\'', r"'\''");
    shell(sandbox, session, format!("\\builtin eval '{quoted}' 2>/dev/null")).await.map(drop)
}

async fn shell(sandbox: &dyn Sandbox, session: &str, command: String) -> Result<Ran> {
    let request = Request::Shell(Shell {
        session: session.to_owned(),
        command,
        identity: Identity::Agent,
        meanwhile: Meanwhile::Running,
        timeout_ms: TIMEOUT_MS,
        output_bytes: SESSION_BYTES,
    });
    ran(sandbox.call(request, Vec::new()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_bash_itself_are_left_out() {
        let memory = "declare -ir UID=\"0\"\ndeclare -x UIDS=\"1\"\ndeclare -ar BASH_VERSINFO=([0]=\"5\")\ndeclare -r own=\"2\"\n\
                      # functions\nf () \n{ \n    declare -r UID=3\n}\nset +o emacs\n";
        assert_eq!(
            settable(memory),
            "declare -x UIDS=\"1\"\ndeclare -r own=\"2\"\n\nf () \n{ \n    declare -r UID=3\n}\n"
        );
    }

    #[test]
    fn the_workspace_and_mounts_are_told_from_the_rest() {
        for path in ["/tmp/a", "/home/agent/.cache", "/workspaces", "/etc/hosts.allow", "/run/other"] {
            assert!(is_inside(path, "/workspace"), "{path}");
        }
        for path in ["/workspace", "/workspace/a", "/trajforge/shim", "/run/trajforge", "/etc/hosts"] {
            assert!(!is_inside(path, "/workspace"), "{path}");
        }
    }
}
