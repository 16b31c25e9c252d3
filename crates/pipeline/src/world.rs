//! What a command has at hand: content on disk, sandboxes, models, the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use trajforge_rollout::scaffold::{MANIFEST, Manifest};
use trajforge_router::{Cassette, Catalog, Endpoint, Secret};
use trajforge_sandbox::{Docker, Images, Isolation, Layer, Sandboxes};
use trajforge_schema::{Clock, Event, ModelEntry};
use trajforge_template::Library;

use crate::error::Error;

/// Whoever listens to what happens.
pub type Events = Arc<dyn Fn(Event) + Send + Sync>;

/// Where content lies, and which container engine is used.
#[derive(Debug, Clone)]
pub struct Home {
    /// Roots of templates; later ones win.
    pub templates: Vec<PathBuf>,
    /// Recipes of images.
    pub images: PathBuf,
    /// Entries of models.
    pub models: PathBuf,
    /// Folders of scaffolds; later ones win.
    pub scaffolds: Vec<PathBuf>,
    /// What may be thrown away.
    pub cache: PathBuf,
    /// The container engine's address, as in `DOCKER_HOST`; the usual socket where absent.
    pub engine: Option<String>,
    /// Walls and ways out of all sandboxes.
    pub isolation: Isolation,
}

/// Where the images of sandboxes come from.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// From the engine; made where they are not there.
    Engine,
    /// These tags by the recipes' names: for sandboxes that need no engine.
    Given(BTreeMap<String, String>),
}

/// What a run needs of the world.
#[derive(Clone)]
pub struct World {
    /// Content and engine.
    pub home: Home,
    /// Makes sandboxes.
    pub sandboxes: Arc<dyn Sandboxes>,
    /// What sandboxes start from.
    pub images: ImageSource,
    /// The models there are.
    pub catalog: Catalog,
    /// What requests go into, or come from, beside or instead of their endpoints.
    pub cassette: Option<Arc<Cassette>>,
    /// The key in an environment variable.
    pub key: fn(&str) -> Option<Secret>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Whoever listens.
    pub events: Events,
    /// What nobody can guess: keys of the gateway's sessions are derived from it.
    pub secret: [u8; 32],
}

/// Sandboxes of one shape that are prepared ahead of need: while a rollout acts, the one that it is verified in is made.
const AHEAD: usize = 1;

impl Home {
    /// The folder of a scaffold that is no part of this program.
    pub fn scaffold(&self, name: &str) -> Option<PathBuf> {
        let folders = self.scaffolds.iter().rev().map(|folder| folder.join(name));
        folders.into_iter().find(|folder| folder.join(MANIFEST).is_file())
    }

    /// The recipes of images, and the engine that builds them.
    pub async fn open_images(&self) -> Result<Images, Error> {
        Ok(Images::open_with_layers(self.engine.as_deref(), &self.images, &self.scaffolds, &self.cache)
            .await?)
    }
}

impl World {
    /// Connects to the container engine, removes what dead workers left there, and reads the models' entries.
    pub async fn open(
        home: Home,
        key: fn(&str) -> Option<Secret>,
        clock: Arc<dyn Clock>,
        events: Events,
        secret: [u8; 32],
    ) -> Result<Self, Error> {
        let catalog = Catalog::read(&home.models)?;
        let (engine, isolation) = (home.engine.as_deref(), home.isolation.clone());
        let docker = Docker::connect_isolated(engine, &home.cache, AHEAD, isolation).await?;
        docker.reap(&mut |event| events(event)).await?;
        let images = ImageSource::Engine;
        let sandboxes = Arc::new(docker);
        Ok(Self { home, sandboxes, images, catalog, cassette: None, key, clock, events, secret })
    }

    /// The templates there are.
    pub fn library(&self) -> Result<Library, Error> {
        Ok(Library::open(&self.home.templates)?)
    }

    /// A model's endpoint, ready to be asked.
    pub fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, Error> {
        self.endpoint_of(self.catalog.entry(name)?.clone())
    }

    pub(crate) fn endpoint_of(&self, entry: ModelEntry) -> Result<Arc<Endpoint>, Error> {
        let is_replayed = self.cassette.as_ref().is_some_and(|cassette| cassette.is_replay());
        let key = match &entry.key_variable {
            _ if is_replayed => None,
            None => None,
            Some(variable) => {
                let missing = || trajforge_router::Error::KeyMissing {
                    model: entry.name.clone(),
                    variable: variable.clone(),
                };
                Some((self.key)(variable).ok_or_else(missing)?)
            }
        };
        let endpoint = Endpoint::new(entry, key)?;
        Ok(Arc::new(match &self.cassette {
            Some(cassette) => endpoint.with_cassette(Arc::clone(cassette))?,
            None => endpoint,
        }))
    }

    /// The exact tag of each named image, made where it is not there.
    pub async fn images(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Error> {
        if let ImageSource::Given(tags) = &self.images {
            return Ok(tags.clone());
        }
        let images = self.home.open_images().await?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(images.ensure(&names, &mut |event| self.tell(event)).await?)
    }

    /// The manifest of a scaffold that is no part of this program; nothing where there is none.
    pub fn manifest(&self, name: &str) -> Result<Option<Manifest>, Error> {
        let Some(folder) = self.home.scaffold(name) else { return Ok(None) };
        Ok(Some(Manifest::read(&folder.join(MANIFEST))?))
    }

    /// The scaffolds that are no part of this program, by name.
    pub fn external_scaffolds(&self) -> Vec<String> {
        crate::scaffolds::names(&self.home)
    }

    /// The layer of a scaffold, made where it is not there; nothing for one that brings none along.
    pub async fn layer(&self, manifest: &Manifest) -> Result<Option<Layer>, Error> {
        let folder = self.home.scaffold(&manifest.name);
        if !folder.is_some_and(|folder| folder.join("layer").is_dir()) {
            return Ok(None);
        }
        let images = self.home.open_images().await?;
        let layer =
            images.layer(&manifest.name, &manifest.layer_path(), &mut |event| self.tell(event)).await?;
        Ok(Some(layer))
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.events)(event);
    }
}
