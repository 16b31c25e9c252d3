//! `trajforge image`: list, build, prune.

use std::process::ExitCode;

use serde_json::json;
use trajforge_pipeline::{Error, Images};

use crate::cli::{Global, ImageCommand};
use crate::{output, progress, system};

pub(crate) async fn image(global: &Global, command: ImageCommand) -> anyhow::Result<ExitCode> {
    let images = system::home(global)?.open_images().await?;
    match command {
        ImageCommand::List => list(global, &images).await,
        ImageCommand::Build { names } => {
            let tags = build(&images, &names).await?;
            if global.json {
                output::json(&tags)?;
            } else {
                for tag in tags.values() {
                    output::data(tag)?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        ImageCommand::Prune { dry_run } => prune(global, &images, dry_run).await,
    }
}

/// Makes the named images, or all.
pub(crate) async fn build(
    images: &Images,
    names: &[String],
) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let all = images.list().await.map_err(Error::from)?;
    let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    if wanted.is_empty() {
        let of_tasks = all.iter().filter(|image| image.is_for_tasks);
        wanted = of_tasks.map(|image| image.name.as_str()).collect();
    }
    let events = progress::events();
    Ok(images.ensure(&wanted, &mut |event| events(event)).await.map_err(Error::from)?)
}

async fn list(global: &Global, images: &Images) -> anyhow::Result<ExitCode> {
    let list = images.list().await.map_err(Error::from)?;
    if global.json {
        let row = |image: &trajforge_pipeline::ImageStatus| json!({ "name": image.name, "tag": image.tag, "parent": image.parent, "bytes": image.bytes });
        output::json(&list.iter().map(row).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["name", "tag", "upon", "size"]);
    for image in list {
        let size = image.bytes.map_or("not there".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000));
        table.add_row([image.name, image.tag, image.parent.unwrap_or_else(|| "-".to_owned()), size]);
    }
    output::data(table)?;
    Ok(ExitCode::SUCCESS)
}

async fn prune(global: &Global, images: &Images, dry_run: bool) -> anyhow::Result<ExitCode> {
    let outdated = images.outdated().await.map_err(Error::from)?;
    for tag in &outdated {
        if !dry_run {
            images.remove(tag).await.map_err(Error::from)?;
        }
        if !global.json {
            output::data(tag)?;
        }
    }
    let layers = prune_layers(global, images, dry_run).await?;
    if global.json {
        output::json(&json!({ "removed": outdated, "removed_layers": layers, "dry_run": dry_run }))?;
    } else {
        let done = if dry_run { "would be removed" } else { "removed" };
        output::say(format!("{} images and {} volumes of layers {done}", outdated.len(), layers.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Volumes of scaffolds' layers that no recipe asks for any more; those in use stay.
async fn prune_layers(global: &Global, images: &Images, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let mut removed = Vec::new();
    for volume in images.outdated_layers().await.map_err(Error::from)? {
        if dry_run || images.remove_layer(&volume).await.map_err(Error::from)? {
            if !global.json {
                output::data(&volume)?;
            }
            removed.push(volume);
        }
    }
    Ok(removed)
}
