//! The images that sandboxes start from: recipes in a folder, tagged by their content, built once.

mod layer;
mod recipe;
mod root;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bollard::query_parameters::{
    BuildImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use trajforge_schema::Event;

use crate::engine::{Engine, is_full, status};
use crate::error::{Error, Result};
use recipe::{Base, Recipe};

pub use layer::LAYER_LABEL;
pub use root::{BOOKWORM, ROOT_IMAGE, Root, TRIXIE};

/// Marks an image that was built from a recipe; the value is the recipe's name.
pub const IMAGE_LABEL: &str = "trajforge.image";
/// Lines of a failed build that are shown.
const SHOWN_LINES: usize = 12;

/// A recipe and whether its image is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageStatus {
    /// The recipe's name.
    pub name: String,
    /// The tag that its content gives it.
    pub tag: String,
    /// The recipe that it builds upon; nothing for those on a root.
    pub parent: Option<String>,
    /// Its size in bytes, if it is there.
    pub bytes: Option<u64>,
    /// Whether tasks run in it; else scaffolds are made of it.
    pub is_for_tasks: bool,
}

/// The recipes of a folder, and the engine that builds them.
#[derive(Debug)]
pub struct Images {
    engine: Engine,
    recipes: BTreeMap<String, Recipe>,
    locks: PathBuf,
}

/// Where progress is told; several builds may tell at once.
type Tell<'a> = &'a (dyn Fn(Event) + Sync);

impl Images {
    /// Reads the recipes below a folder and connects to the engine; `cache` holds the locks by which several processes
    /// build each image only once.
    pub async fn open(address: Option<&str>, folder: &Path, cache: &Path) -> Result<Self> {
        Self::of(address, recipe::read_all(folder, &[])?, cache).await
    }

    /// The same, with the layers of the scaffolds in other folders: `NAME/layer/` there is the recipe `scaffold-NAME`.
    pub async fn open_with_layers(
        address: Option<&str>,
        folder: &Path,
        scaffolds: &[PathBuf],
        cache: &Path,
    ) -> Result<Self> {
        Self::of(address, recipe::read_all(folder, scaffolds)?, cache).await
    }

    async fn of(address: Option<&str>, recipes: BTreeMap<String, Recipe>, cache: &Path) -> Result<Self> {
        let locks = cache.join("locks");
        std::fs::create_dir_all(&locks).map_err(|source| Error::File {
            path: locks.display().to_string(),
            doing: "hold the locks of images".to_owned(),
            source,
        })?;
        Ok(Self { engine: Engine::connect(address).await?, recipes, locks })
    }

    /// The exact tag of a recipe's image: `trajforge/NAME:` and twelve digits of the digest of everything in it.
    pub fn tag(&self, name: &str) -> Result<String> {
        self.recipe(name).map(|recipe| recipe.tag.clone())
    }

    /// Builds what is missing of the named images and of those below them; gives back their exact tags.
    pub async fn ensure(
        &self,
        names: &[&str],
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<BTreeMap<String, String>> {
        let tell = Mutex::new(tell);
        let say = |event| {
            let mut tell = tell.lock().unwrap_or_else(PoisonError::into_inner);
            (*tell)(event);
        };
        let tell: Tell<'_> = &say;
        let wanted: BTreeSet<&str> = names.iter().copied().collect();
        let built = wanted.into_iter().map(|name| async move {
            let tag = self.one(name, tell).await?;
            Ok::<_, Error>((name.to_owned(), tag))
        });
        Ok(try_join_all(built).await?.into_iter().collect())
    }

    /// All recipes, in the order of their names.
    pub async fn list(&self) -> Result<Vec<ImageStatus>> {
        let mut list = Vec::new();
        for (name, recipe) in &self.recipes {
            list.push(ImageStatus {
                name: name.clone(),
                tag: recipe.tag.clone(),
                parent: recipe.base.parent().map(str::to_owned),
                bytes: self.size(&recipe.tag).await?,
                is_for_tasks: !recipe::is_of_scaffolds(name),
            });
        }
        Ok(list)
    }

    /// Tags of images that came from recipes which have changed since, or are gone.
    pub async fn outdated(&self) -> Result<Vec<String>> {
        let current: BTreeSet<&str> = self.recipes.values().map(|recipe| recipe.tag.as_str()).collect();
        let filters = [("label".to_owned(), vec![IMAGE_LABEL.to_owned()])];
        let options = ListImagesOptionsBuilder::default().filters(&filters.into_iter().collect()).build();
        let images = self
            .engine
            .client
            .list_images(Some(options))
            .await
            .map_err(|error| self.engine.error("list images", error))?;
        let mut tags: Vec<String> = images
            .into_iter()
            .flat_map(|image| image.repo_tags)
            .filter(|tag| recipe::is_content_tag(tag) && !current.contains(tag.as_str()))
            .collect();
        tags.sort();
        Ok(tags)
    }

    /// Removes one image; containers that use it keep it alive.
    pub async fn remove(&self, tag: &str) -> Result<()> {
        let options = RemoveImageOptionsBuilder::default().build();
        let removed = self.engine.client.remove_image(tag, Some(options), None).await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.engine.error(&format!("remove the image {tag}"), error)),
        }
    }

    fn recipe(&self, name: &str) -> Result<&Recipe> {
        self.recipes.get(name).ok_or_else(|| Error::ImageMissing { image: format!("trajforge/{name}") })
    }

    fn one<'a>(
        &'a self,
        name: &'a str,
        tell: Tell<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<String>> + Send + 'a>> {
        Box::pin(async move {
            let recipe = self.recipe(name)?;
            if self.size(&recipe.tag).await?.is_some() {
                return Ok(recipe.tag.clone());
            }
            match &recipe.base {
                Base::Recipe(parent) => drop(self.one(parent, tell).await?),
                Base::Root(root) => self.root(root, tell).await?,
            }
            let _lock = self.lock(&recipe.tag).await?;
            if self.size(&recipe.tag).await?.is_none() {
                timed(&recipe.tag, tell, self.build(name, recipe)).await?;
            }
            Ok(recipe.tag.clone())
        })
    }

    async fn root(&self, root: &Root, tell: Tell<'_>) -> Result<()> {
        if self.size(root.image).await?.is_some() {
            return Ok(());
        }
        let _lock = self.lock(root.image).await?;
        if self.size(root.image).await?.is_some() {
            return Ok(());
        }
        let make = async {
            match self.pull_root(root, root.source).await {
                Ok(()) => Ok(()),
                Err(error @ Error::DiskFull { .. }) => Err(error),
                Err(error) => {
                    tell(Event::Warning {
                        message: format!("{}; making it with mmdebstrap", error.to_failure().message),
                    });
                    self.bootstrap_root(root).await
                }
            }
        };
        timed(root.image, tell, make).await
    }

    async fn build(&self, name: &str, recipe: &Recipe) -> Result<()> {
        let options = BuildImageOptionsBuilder::default()
            .t(&recipe.tag)
            .labels(&[(IMAGE_LABEL, name)].into_iter().collect())
            .rm(true)
            .forcerm(true)
            .build();
        let context = bollard::body_full(Bytes::from(recipe.context()?));
        let mut progress = self.engine.client.build_image(options, None, Some(context));
        let mut said = String::new();
        while let Some(step) = progress.next().await {
            let problem = match step {
                Ok(step) => {
                    said.push_str(step.stream.as_deref().unwrap_or_default());
                    step.error_detail.and_then(|detail| detail.message)
                }
                Err(bollard::errors::Error::DockerStreamError { error }) => Some(error),
                Err(error) => return Err(self.engine.error(&format!("build {}", recipe.tag), error)),
            };
            if let Some(problem) = problem {
                return Err(broken(&recipe.tag, &said, &problem));
            }
        }
        match self.size(&recipe.tag).await? {
            Some(_) => Ok(()),
            None => Err(broken(&recipe.tag, &said, "the build left no image")),
        }
    }

    async fn size(&self, tag: &str) -> Result<Option<u64>> {
        match self.engine.client.inspect_image(tag).await {
            Ok(image) => Ok(Some(image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.engine.error(&format!("look at the image {tag}"), error)),
        }
    }

    /// Holds off everybody else, in this process and in others, who would make the same image.
    async fn lock(&self, tag: &str) -> Result<File> {
        let path = self.locks.join(tag.replace(['/', ':'], "-"));
        let name = path.display().to_string();
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            file.lock()?;
            Ok(file)
        });
        locked.await.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|source| Error::File {
            path: name,
            doing: "lock an image".to_owned(),
            source,
        })
    }
}

async fn timed(tag: &str, tell: Tell<'_>, work: impl Future<Output = Result<()>>) -> Result<()> {
    let began = Instant::now();
    tell(Event::ImageBuilding { tag: tag.to_owned() });
    work.await?;
    let seconds = began.elapsed().as_secs_f64();
    tell(Event::ImageReady { tag: tag.to_owned(), seconds });
    Ok(())
}

fn broken(image: &str, said: &str, problem: &str) -> Error {
    if is_full(problem) || is_full(said) {
        return Error::DiskFull { doing: format!("build {image}") };
    }
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n  ");
    Error::ImageBroken { image: image.to_owned(), reason: format!("{problem}\n  {shown}") }
}
