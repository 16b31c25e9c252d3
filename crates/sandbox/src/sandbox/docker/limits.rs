//! Limits of every process in a sandbox, apart from what the engine holds the whole sandbox to.

use bollard::models::ResourcesUlimits;
use rustix::process::{Resource, getrlimit};

use crate::engine::Engine;
use crate::error::Result;

/// Files that one process may have open.
const OPEN_FILES: i64 = 4096;

/// As an engine has to be told them.
pub(super) async fn of(engine: &Engine) -> Result<Vec<ResourcesUlimits>> {
    let mut limits = vec![ulimit("nofile", OPEN_FILES)];
    if engine.is_podman().await? {
        limits.push(ulimit("nproc", most_processes()));
    }
    Ok(limits)
}

/// Podman's own default is more than a machine that is itself confined may allow; above the kernel's it never goes.
fn most_processes() -> i64 {
    let allowed = getrlimit(Resource::Nproc).maximum.and_then(|most| i64::try_from(most).ok());
    let possible = std::fs::read_to_string("/proc/sys/kernel/pid_max");
    let possible = possible.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(32_768);
    allowed.map_or(possible, |allowed| possible.min(allowed))
}

fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
}
