//! This machine: the clock, the environment, where content lies, signals. Nothing below reads them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use trajforge_pipeline::{Error, Events, Home, Isolation, Secret, World};
use trajforge_schema::{Clock, Timestamp};

use crate::cli::Global;
use crate::output;

/// The wall clock.
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the wall clock is read")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Sends diagnostics to stderr: warnings, or more where asked (`-v`, `-vv`, or RUST_LOG).
pub(crate) fn start_log(verbose: u8) {
    let level = ["warn", "trajforge=debug,trajforge_pipeline=debug,trajforge_sandbox=debug,warn", "debug"]
        [usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colour_on_stderr())
        .without_time()
        .init();
}

/// Where content lies: `--home`, else the nearest folder with `templates/` at or above the current one, else at or
/// above the program's.
pub(crate) fn home(global: &Global) -> anyhow::Result<Home> {
    let home = match &global.home {
        Some(home) => home.clone(),
        None => find_home().ok_or(Error::NoHome)?,
    };
    let mut templates = vec![home.join("templates")];
    templates.extend(global.templates.iter().cloned());
    let mut scaffolds = vec![home.join("scaffolds")];
    scaffolds.extend(global.scaffold_folders.iter().cloned());
    Ok(Home {
        templates,
        images: home.join("images"),
        models: home.join("models"),
        scaffolds,
        cache: cache()?,
        engine: engine(),
        isolation: Isolation::default(),
    })
}

fn find_home() -> Option<PathBuf> {
    let is_home = |folder: &&Path| folder.join("templates").is_dir() && folder.join("images").is_dir();
    let from = |path: PathBuf| path.ancestors().find(is_home).map(Path::to_owned);
    std::env::current_dir().ok().and_then(from).or_else(|| std::env::current_exe().ok().and_then(from))
}

#[expect(clippy::disallowed_methods, reason = "this is where the engine's address is read")]
fn engine() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|address| !address.is_empty())
}

/// `$XDG_CACHE_HOME/trajforge`, else `~/.cache/trajforge`.
fn cache() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("trajforge"))
}

/// The world of a command that needs sandboxes.
pub(crate) async fn world(global: &Global, events: Events) -> anyhow::Result<World> {
    world_behind(Isolation::default(), global, events).await
}

/// The same, with walls and ways out for its sandboxes.
pub(crate) async fn world_behind(
    isolation: Isolation,
    global: &Global,
    events: Events,
) -> anyhow::Result<World> {
    let home = Home { isolation, ..home(global)? };
    Ok(World::open(home, key, Arc::new(WallClock), events, unguessable()?).await?)
}

#[expect(clippy::disallowed_methods, reason = "this is where keys are read")]
pub(crate) fn key(variable: &str) -> Option<Secret> {
    std::env::var(variable).ok().filter(|key| !key.is_empty()).map(Secret::new)
}

/// Bytes that nobody can guess.
pub(crate) fn unguessable() -> anyhow::Result<[u8; 32]> {
    use std::io::Read as _;
    let mut bytes = [0; 32];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.context("read /dev/urandom")?;
    Ok(bytes)
}

/// Two for each core: rollouts wait for containers and models most of their time.
pub(crate) fn workers(asked: Option<usize>) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    asked.unwrap_or(cores * 2).max(1)
}

/// Cancelled by the first Ctrl-C or SIGTERM; the second ends the program at once.
pub(crate) fn cancelled_by_signals() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        output::say("stopping; once more to end at once");
        cancel.cancel();
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        std::process::exit(130);
    });
    Ok(token)
}
