//! `as-agent [NAME=VALUE...] CMD...`: how a hidden check, which runs as root, runs the agent's code without lending it root's power.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::FdFlags;
use trajforge_shim::protocol::{Hello, SECRET_FOLDER};

use crate::identity::{User, become_user};

/// Where the handshake is kept for this.
pub(crate) fn record() -> String {
    format!("{SECRET_FOLDER}/agent.json")
}

/// Becomes the agent and runs the command; returns only if that fails.
pub(crate) fn run(arguments: Vec<OsString>) -> io::Error {
    match attempt(arguments) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn attempt(arguments: Vec<OsString>) -> io::Result<std::convert::Infallible> {
    let mut arguments = arguments.into_iter().peekable();
    let mut variables = Vec::new();
    while let Some(pair) = arguments.next_if(|argument| argument.as_encoded_bytes().contains(&b'=')) {
        let pair = pair.to_string_lossy().into_owned();
        variables.extend(pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let Some(program) = arguments.next() else {
        return Err(io::Error::other("usage: as-agent [NAME=VALUE...] COMMAND [ARGUMENT...]"));
    };
    let hello: Hello = serde_json::from_slice(&fs::read(record())?)?;
    close_the_rest()?;
    let here = std::env::current_dir()?;
    become_user(User::Plain { uid: hello.uid, gid: hello.gid, file_bytes: hello.disk_bytes })?;
    // A folder that the agent may not enter, such as the checks' own, is no place for its code.
    std::env::set_current_dir(here).or_else(|_| std::env::set_current_dir(&hello.workspace))?;
    // Nothing of the check's own environment goes on to the agent's code but where programs are.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = path.to_string_lossy().replace(&format!("{SECRET_FOLDER}/bin:"), "");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs([("PATH", path.as_str()), ("LANG", "C.UTF-8"), ("TERM", "dumb")])
        .envs([("HOME", &hello.home), ("USER", &hello.user), ("LOGNAME", &hello.user)])
        .envs(&hello.variables)
        .envs(variables);
    Err(command.exec())
}

/// Nothing but the three standard descriptors goes on to the agent's code.
fn close_the_rest() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|text| text.parse::<i32>().ok()) else {
            continue;
        };
        if number > 2 {
            crate::spawn::mark_close_on_exec(number, FdFlags::CLOEXEC);
        }
    }
    Ok(())
}
