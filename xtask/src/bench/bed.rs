//! The test bed: the engine, the benchmark's task, a folder for runs, and where all of this was measured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::Serialize;
use trajforge_pipeline::{Events, Home, World};
use trajforge_sandbox::{Docker, SandboxSpec};
use trajforge_schema::{Clock, RolloutSpec, Seed, Task, Timestamp};

/// The benchmark's template.
pub(super) const TEMPLATE: &str = "bench/twenty-actions";

/// What benchmarks have at hand.
pub(super) struct Bed {
    /// The engine, for the floor.
    pub(super) docker: Docker,
    /// The sandbox of the benchmark's task.
    pub(super) spec: SandboxSpec,
    /// Steps that its oracle takes.
    pub(super) steps: usize,
    /// Where runs are written: on the disk, as a user's are.
    pub(super) folder: PathBuf,
    /// Where all of this is.
    pub(super) place: Place,
    home: Home,
}

/// Where and when something was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Place {
    /// The moment, in UTC.
    pub(super) date: String,
    /// This program's version and commit.
    pub(super) trajforge: String,
    /// How it was built.
    pub(super) build: &'static str,
    /// The engine's version; absent where none was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) docker: Option<String>,
    /// The kernel's version.
    pub(super) kernel: String,
    /// Cores of the machine.
    pub(super) cores: usize,
    /// Programs that wanted to run when it began, on the average of a minute: more than none is somebody else's work.
    pub(super) load: String,
}

struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "records of a benchmark are dated, too")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Bed {
    /// Connects to the engine and makes the image.
    pub(super) async fn open(root: &Path) -> anyhow::Result<Self> {
        let folder = root.join("target/bench");
        std::fs::create_dir_all(&folder)?;
        let home = Home {
            templates: vec![root.join("bench/templates")],
            images: root.join("images"),
            models: root.join("models"),
            scaffolds: vec![root.join("scaffolds")],
            cache: folder.join("cache"),
            engine: None,
            isolation: trajforge_pipeline::Isolation::default(),
        };
        let world = world(&home, Arc::new(|_| {})).await?;
        let task = world.library()?.template(TEMPLATE)?.make(Seed(0))?;
        let images = world.images(&BTreeSet::from([task.environment.image.clone()])).await?;
        let image = images.get(&task.environment.image).context("the image was not made")?;
        let docker = Docker::connect(None, &home.cache).await?;
        let spec = spec(&task, image)?;
        let version = docker.version().await?;
        let place = place(root, Some(version.engine), version.kernel)?;
        Ok(Self { docker, spec, steps: task.solution.len(), folder, place, home })
    }

    /// A world of its own, which tells its events.
    pub(super) async fn world(&self, events: Events) -> anyhow::Result<World> {
        world(&self.home, events).await
    }
}

async fn world(home: &Home, events: Events) -> anyhow::Result<World> {
    Ok(World::open(home.clone(), |_| None, Arc::new(WallClock), events, [0; 32]).await?)
}

fn spec(task: &Task, image: &str) -> anyhow::Result<SandboxSpec> {
    let rollout = RolloutSpec::id_for(&task.id, "floor", None, 1);
    Ok(SandboxSpec::of(&task.environment, image, "bench".parse()?, rollout)?)
}

impl Place {
    /// Here and now, where no container engine is part of it.
    pub(super) fn without_engine(root: &Path) -> anyhow::Result<Self> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        place(root, None, kernel.trim().to_owned())
    }
}

fn place(root: &Path, docker: Option<String>, kernel: String) -> anyhow::Result<Place> {
    let now = jiff::Timestamp::from_millisecond(i64::try_from(WallClock.now().0)?)?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(Place {
        date: now.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        trajforge: format!("{} ({})", env!("CARGO_PKG_VERSION"), commit(root)),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        docker,
        kernel,
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        load: load.split(' ').next().unwrap_or("unknown").to_owned(),
    })
}

fn commit(root: &Path) -> String {
    let asked = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .current_dir(root)
        .output();
    match asked {
        Ok(said) if said.status.success() => String::from_utf8_lossy(&said.stdout).trim().to_owned(),
        _ => "no commit".to_owned(),
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { date, trajforge, build, docker, kernel, cores, load } = self;
        let engine = docker.as_ref().map_or(String::new(), |version| format!("Docker {version}; "));
        writeln!(f, "{date}; trajforge {trajforge}, {build} build; {engine}Linux {kernel};")?;
        write!(f, "{cores} cores, load {load} when it began")
    }
}
