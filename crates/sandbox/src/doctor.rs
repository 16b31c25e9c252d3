//! The doctor: what is missing, filling up or leaking on this machine, and how to mend it.

use std::path::Path;

use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum};
use trajforge_schema::Event;

use crate::engine::Engine;
use crate::error::Result;
use crate::images::Images;
use crate::reaper;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: `docker`, `cgroup`, `storage`, `disk`, `leftovers`, `images`.
    pub topic: &'static str,
    /// How it is.
    pub grade: Grade,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, with a drawback.
    Warn,
    /// Nothing can run like this.
    Fail,
}

/// The oldest engine that is known to do everything that is needed.
const OLDEST_API: (u32, u32) = (1, 41);
const GIB: u64 = 1 << 30;
/// Below this no rollouts should start.
const DISK_FAIL: u64 = 2 * GIB;
/// Below this the end is near.
const DISK_WARN: u64 = 10 * GIB;

/// Looks at everything; what can't be looked at is a finding, too.
pub async fn examine(address: Option<&str>, recipes: &Path, cache: &Path) -> Vec<Finding> {
    let engine = match Engine::connect(address).await {
        Ok(engine) => engine,
        Err(error) => {
            let hint = error.hint().map(str::to_owned);
            return vec![finding("docker", Grade::Fail, error.to_failure().message, hint.as_deref())];
        }
    };
    let mut findings = vec![daemon(&engine).await];
    match engine.client.info().await {
        Ok(info) => {
            findings.push(cgroup(&info));
            findings.push(storage(&info));
            findings.push(disk(&info, cache));
        }
        Err(error) => findings.push(finding("docker", Grade::Fail, error.to_string(), None)),
    }
    findings.push(leftovers(&engine).await);
    findings.push(images(address, recipes, cache).await);
    findings
}

/// Mends what can be mended without asking: removes the containers of dead workers.
pub async fn repair(address: Option<&str>, tell: &mut (dyn FnMut(Event) + Send)) -> Result<usize> {
    let engine = Engine::connect(address).await?;
    reaper::reap(&engine, tell).await
}

fn finding(topic: &'static str, grade: Grade, detail: impl Into<String>, hint: Option<&str>) -> Finding {
    Finding { topic, grade, detail: detail.into(), hint: hint.map(str::to_owned) }
}

async fn daemon(engine: &Engine) -> Finding {
    let version = match engine.client.version().await {
        Ok(version) => version,
        Err(error) => return finding("docker", Grade::Fail, error.to_string(), None),
    };
    let api = version.api_version.unwrap_or_default();
    let detail = format!("engine {}, API {api}, at {}", version.version.unwrap_or_default(), engine.address);
    if number(&api).is_some_and(|api| api < OLDEST_API) {
        return finding("docker", Grade::Warn, detail, Some("install Docker 20.10 or newer"));
    }
    finding("docker", Grade::Ok, detail, None)
}

fn number(api: &str) -> Option<(u32, u32)> {
    let (major, minor) = api.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn cgroup(info: &SystemInfo) -> Finding {
    let version = match info.cgroup_version {
        Some(SystemInfoCgroupVersionEnum::_1) => "1",
        Some(SystemInfoCgroupVersionEnum::_2) => "2",
        _ => "unknown",
    };
    let detail = format!("version {version}");
    let missing: Vec<&str> =
        [(info.memory_limit, "memory"), (info.cpu_cfs_quota, "CPU"), (info.pids_limit, "process")]
            .into_iter()
            .filter_map(|(is_there, name)| (is_there == Some(false)).then_some(name))
            .collect();
    if missing.is_empty() {
        return finding("cgroup", Grade::Ok, detail, None);
    }
    finding(
        "cgroup",
        Grade::Warn,
        format!("{detail}, without {} limits", missing.join(" and ")),
        Some("a task could use up the machine; enable the controllers in the kernel's command line"),
    )
}

fn storage(info: &SystemInfo) -> Finding {
    let driver = info.driver.clone().unwrap_or_default();
    let hint = "every container copies its whole image; use overlay2";
    match driver.as_str() {
        "vfs" => finding("storage", Grade::Warn, driver, Some(hint)),
        _ => finding("storage", Grade::Ok, driver, None),
    }
}

fn disk(info: &SystemInfo, cache: &Path) -> Finding {
    let Some(free) = crate::disk::free(info, cache) else {
        let root = info.docker_root_dir.clone().unwrap_or_default();
        return finding("disk", Grade::Warn, format!("could not look at {root}"), None);
    };
    let detail = format!("{:.1} GiB free", free as f64 / GIB as f64);
    let hint = "`trajforge image prune` and `docker system prune` free some";
    match free {
        ..DISK_FAIL => finding("disk", Grade::Fail, detail, Some(hint)),
        DISK_FAIL..DISK_WARN => finding("disk", Grade::Warn, detail, Some(hint)),
        _ => finding("disk", Grade::Ok, detail, None),
    }
}

async fn leftovers(engine: &Engine) -> Finding {
    match reaper::leftovers(engine).await {
        Ok(none) if none.is_empty() => finding("leftovers", Grade::Ok, "none", None),
        Ok(some) => finding(
            "leftovers",
            Grade::Warn,
            format!("{} containers of dead workers", some.len()),
            Some("`trajforge doctor --repair` removes them; so does the next run"),
        ),
        Err(error) => finding("leftovers", Grade::Fail, error.to_failure().message, error.hint()),
    }
}

async fn images(address: Option<&str>, recipes: &Path, cache: &Path) -> Finding {
    let listed = match Images::open(address, recipes, cache).await {
        Ok(images) => images.list().await,
        Err(error) => Err(error),
    };
    let list = match listed {
        Ok(list) => list,
        Err(error) => return finding("images", Grade::Fail, error.to_failure().message, error.hint()),
    };
    let missing: Vec<&str> = list
        .iter()
        .filter(|image| image.is_for_tasks && image.bytes.is_none())
        .map(|image| image.name.as_str())
        .collect();
    if missing.is_empty() {
        return finding("images", Grade::Ok, format!("{} are there", list.len()), None);
    }
    finding(
        "images",
        Grade::Warn,
        format!("not built yet: {}", missing.join(", ")),
        Some("`trajforge image build` makes them; so does the first run that needs them"),
    )
}
