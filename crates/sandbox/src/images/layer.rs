//! The layers of scaffolds: named volumes, each filled once from an image and mounted read-only ever after.
//!
//! The engine fills an empty volume from the image of the first container that it is mounted into. Only when that is done is
//! a second, empty volume made beside it, which says so: a volume without that one was never completed.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, VolumeCreateRequest};
use bollard::query_parameters::{
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use trajforge_schema::Event;

use super::{Images, recipe, timed};
use crate::engine::status;
use crate::error::{Error, Result};
use crate::owner::{OWNER_LABEL, Owner, RUN_LABEL};
use crate::spec::Layer;

/// Marks a volume that holds a layer; the value is the scaffold's name.
pub const LAYER_LABEL: &str = "trajforge.layer";
/// What the name of the second volume ends with.
const WHOLE: &str = ".whole";

impl Images {
    /// The layer of a scaffold, mounted at the path at which its recipe has put it; made where it is not there.
    pub async fn layer(
        &self,
        scaffold: &str,
        path: &str,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Layer> {
        let name = recipe::of_scaffold(scaffold);
        let volume = volume_of(&self.recipe(&name)?.tag);
        let layer = Layer { volume: volume.clone(), path: path.to_owned() };
        if self.is_whole(&volume).await? {
            return Ok(layer);
        }
        let tag = self.ensure(&[&name], tell).await?.remove(&name).unwrap_or_default();
        let _lock = self.lock(&volume).await?;
        if !self.is_whole(&volume).await? {
            let tell = std::sync::Mutex::new(tell);
            let say = |event| {
                let mut tell = tell.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                (*tell)(event);
            };
            timed(&volume, &say, self.fill(scaffold, &tag, &layer)).await?;
        }
        Ok(layer)
    }

    /// Volumes of layers whose recipes have changed since, or are gone, or that were never completed.
    pub async fn outdated_layers(&self) -> Result<Vec<String>> {
        let filters = HashMap::from([("label", vec![LAYER_LABEL])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let listed = self.engine.client.list_volumes(Some(options)).await;
        let listed = listed.map_err(|error| self.engine.error("list volumes", error))?;
        let there: Vec<String> =
            listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
        let wanted: Vec<String> = self.recipes.values().map(|recipe| volume_of(&recipe.tag)).collect();
        let is_current = |name: &String| {
            let volume = name.strip_suffix(WHOLE).unwrap_or(name);
            let is_whole = there.contains(&volume.to_owned()) && there.contains(&format!("{volume}{WHOLE}"));
            is_whole && wanted.iter().any(|wanted| wanted == volume)
        };
        let mut outdated: Vec<String> = there.iter().filter(|name| !is_current(name)).cloned().collect();
        outdated.sort();
        Ok(outdated)
    }

    /// Removes one of them; false if a sandbox uses it.
    pub async fn remove_layer(&self, volume: &str) -> Result<bool> {
        let options = RemoveVolumeOptionsBuilder::default().build();
        match self.engine.client.remove_volume(volume, Some(options)).await {
            Ok(()) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(true),
            Err(error) if status(&error) == Some(409) => Ok(false),
            Err(error) => Err(self.engine.error(&format!("remove the volume {volume}"), error)),
        }
    }

    async fn is_whole(&self, volume: &str) -> Result<bool> {
        Ok(self.has_volume(volume).await? && self.has_volume(&format!("{volume}{WHOLE}")).await?)
    }

    async fn has_volume(&self, volume: &str) -> Result<bool> {
        match self.engine.client.inspect_volume(volume).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(self.engine.error(&format!("look at the volume {volume}"), error)),
        }
    }

    async fn fill(&self, scaffold: &str, tag: &str, layer: &Layer) -> Result<()> {
        let whole = format!("{}{WHOLE}", layer.volume);
        for left in [&whole, &layer.volume] {
            if !self.remove_layer(left).await? {
                let reason = "it was never completed, and a container uses it".to_owned();
                return Err(Error::ImageBroken { image: left.clone(), reason });
            }
        }
        self.make_volume(scaffold, &layer.volume).await?;
        let labels = [(RUN_LABEL, "layers".to_owned()), (OWNER_LABEL, Owner::this().label())];
        let container = ContainerCreateBody {
            image: Some(tag.to_owned()),
            cmd: Some(vec!["true".to_owned()]),
            labels: Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{}:{}", layer.volume, layer.path)]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = self.engine.client.create_container(None, container).await;
        let created = created.map_err(|error| self.engine.error("fill a layer", error))?;
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        let removed = self.engine.client.remove_container(&created.id, Some(options)).await;
        removed.map_err(|error| self.engine.error("remove a container", error))?;
        self.make_volume(scaffold, &whole).await
    }

    async fn make_volume(&self, scaffold: &str, volume: &str) -> Result<()> {
        let labels = HashMap::from([(LAYER_LABEL.to_owned(), scaffold.to_owned())]);
        let request = VolumeCreateRequest {
            name: Some(volume.to_owned()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        let made = self.engine.client.create_volume(request).await;
        made.map(drop).map_err(|error| self.engine.error(&format!("make the volume {volume}"), error))
    }
}

/// The volume that belongs to an image: named by the same content.
fn volume_of(tag: &str) -> String {
    tag.replace(['/', ':'], "-")
}
