//! The program inside each sandbox: PID 1, and the one that acts for the host.

mod as_agent;
mod capture;
mod children;
mod exec;
mod files;
mod folder;
mod git;
mod hosts;
mod identity;
mod list;
mod listing;
mod outlet;
mod pack;
mod pool;
mod process;
mod quota;
mod search;
mod server;
mod service;
mod shell;
mod spawn;
mod stamp;
mod stream;
mod tree;
mod tunnel;
mod unpack;
mod usage;
mod world;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

use outlet::Outlet;
use pool::Pool;
use world::World;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[expect(
    clippy::disallowed_methods,
    reason = "argv and the image's PATH are this program's only configuration, and are read here alone"
)]
fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    if name.as_encoded_bytes().ends_with(b"as-agent") {
        return complain("as-agent", &as_agent::run(arguments), 126);
    }
    if arguments.first().is_some_and(|first| first == "as-agent") {
        return complain("as-agent", &as_agent::run(arguments[1..].to_vec()), 126);
    }
    if rustix::process::getpid().as_raw_nonzero().get() != 1 {
        return complain(
            "trajforge-shim",
            &io::Error::other("runs only as the first process of a sandbox"),
            2,
        );
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned());
    match serve(path) {
        Ok(()) => end(),
        Err(error) => complain("trajforge-shim", &error, 1),
    }
}

fn serve(path: String) -> io::Result<()> {
    identity::settle()?;
    hosts::name_loopback();
    // The pipes to the host are moved away from 0 and 1, so that no child can ever inherit them by accident.
    let input = claim(&io::stdin())?;
    let output = claim(&io::stdout())?;
    let world = Arc::new(World::new(path, Outlet::new(output), Pool::new()?));
    let reaping = Arc::clone(&world);
    std::thread::Builder::new().stack_size(64 << 10).spawn(move || reaping.children.reap())?;
    server::serve(&world, input)
}

fn claim(stream: &impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(stream, 10)?)
}

fn complain(program: &str, error: &io::Error, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "{program}: {error}");
    ExitCode::from(code)
}

/// The end of the sandbox: the host is gone or has said so, and nothing may outlive it.
pub(crate) fn end() -> ! {
    spawn::kill_everything();
    std::process::exit(0)
}
