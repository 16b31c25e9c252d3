//! The external scaffolds of a run: their manifests, their layers, and the gateway that serves them their models.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trajforge_rollout::Scaffold;
use trajforge_rollout::scaffold::reader::Collected;
use trajforge_rollout::scaffold::{Access, External, Manifest, Runs, Stdio};
use trajforge_router::gateway::{Capture, CaptureFile, Served};
use trajforge_router::{Account, Endpoint, Gateway, GatewaySpec, Meter, Terms};
use trajforge_sandbox::Layer;
use trajforge_schema::{RunPlan, Task};

use crate::error::Error;
use crate::world::World;

/// The record of what a scaffold and its model said to each other, while they do.
const EXCHANGES: &str = "exchanges.jsonl";
/// The same, when it is whole.
const PACKED: &str = "exchanges.jsonl.zst";
/// How far back, as a power of two, the packer sees: each request repeats the whole conversation.
const WINDOW: u32 = 24;

/// One of them, with all that it takes.
struct Ready {
    manifest: Arc<Manifest>,
    layer: Option<Layer>,
    /// Where its manifest lies.
    folder: PathBuf,
}

/// The external scaffolds of a run.
pub(crate) struct Externals {
    ready: BTreeMap<String, Ready>,
    gateway: Option<Arc<Gateway>>,
}

impl Externals {
    /// Those that a plan names, with their layers made.
    pub(crate) async fn of(world: &World, plan: &RunPlan) -> Result<Self, Error> {
        let names: BTreeSet<&str> = plan.rollouts.iter().map(|spec| spec.scaffold.as_str()).collect();
        let mut ready = BTreeMap::new();
        for name in names {
            if let Some(manifest) = world.manifest(name)? {
                let layer = world.layer(&manifest).await?;
                let (manifest, folder) = (Arc::new(manifest), world.home.scaffold(name).unwrap_or_default());
                ready.insert(name.to_owned(), Ready { manifest, layer, folder });
            }
        }
        Ok(Self { ready, gateway: None })
    }

    /// Starts what serves them, if there is any of them.
    pub(crate) async fn serve(&mut self, world: &World, terms: &Terms) -> Result<(), Error> {
        if !self.ready.is_empty() {
            let spec = GatewaySpec {
                address: ([127, 0, 0, 1], 0).into(),
                seed: world.secret,
                budget: Arc::clone(&terms.budget),
                pressures: Arc::clone(&terms.pressures),
                cassette: world.cassette.clone(),
            };
            self.gateway = Some(Arc::new(Gateway::start(spec).await?));
        }
        Ok(())
    }

    /// One of them, for one task; what it and its model say, and what it leaves, goes into a folder.
    pub(crate) fn scaffold(
        &self,
        (name, task): (&str, &Task),
        endpoint: &Endpoint,
        (terms, account): (&Terms, Account),
        folder: &Path,
    ) -> Result<Option<Box<dyn Scaffold>>, Error> {
        let (Some(ready), Some(gateway)) = (self.ready.get(name), &self.gateway) else {
            return Ok(None);
        };
        fs::create_dir_all(folder).map_err(|source| {
            let (action, path) = ("create", folder.to_owned());
            trajforge_trajectory::Error::Io { action, path, source }
        })?;
        let capture: Capture = CaptureFile::open(&folder.join(EXCHANGES))?.capture();
        let files = folder.to_owned();
        let access = Access {
            gateway: Arc::clone(gateway),
            meter: Meter::new(&terms.budget, &account, endpoint.entry()),
            served: Served { entry: endpoint.entry().clone(), key: endpoint.key().cloned() },
            account,
            unpriced: terms.unpriced,
            capture,
            keep: Box::new(move |collected| {
                keep(&files, collected);
                if let Err(error) = pack(&files) {
                    tracing::error!("the exchanges in {} could not be packed: {error}", files.display());
                }
            }),
        };
        let manifest = Arc::clone(&ready.manifest);
        Ok(Some(match manifest.runs {
            Runs::Container | Runs::Swerex => {
                Box::new(External::new(manifest, ready.layer.clone(), access, task))
            }
            Runs::Host => Box::new(Stdio::new(manifest, ready.folder.clone(), access, task)),
        }))
    }

    /// Ends what serves them.
    pub(crate) async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take().and_then(Arc::into_inner) {
            gateway.stop().await;
        }
    }
}

/// Files that a scaffold has left: one that can't be written is told of in the log, since the steps don't need it.
fn keep(folder: &Path, collected: &Collected) {
    for (name, content) in &collected.0 {
        if let Err(error) = fs::write(folder.join(name), content) {
            tracing::error!("{name} could not be kept in {}: {error}", folder.display());
        }
    }
}

/// Packs the record of the exchanges; the plain one goes when the packed one is whole.
fn pack(folder: &Path) -> io::Result<()> {
    let (plain, packed, draft) =
        (folder.join(EXCHANGES), folder.join(PACKED), folder.join(format!("{PACKED}.part")));
    let mut encoder = zstd::Encoder::new(File::create(&draft)?, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(WINDOW)?;
    io::copy(&mut File::open(&plain)?, &mut encoder)?;
    encoder.finish()?.sync_data()?;
    fs::rename(draft, packed)?;
    fs::remove_file(plain)
}
