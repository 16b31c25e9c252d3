//! Images: from recipes, from a registry, and from packages.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use trajforge_sandbox::images::{BOOKWORM, IMAGE_LABEL, ROOT_IMAGE};
use trajforge_sandbox::{Error, Images};
use trajforge_schema::Event;

use super::engine::{cache, client, recipes};
use super::registry::Registry;

async fn open(folder: &Path) -> Images {
    Images::open(None, folder, &cache()).await.unwrap()
}

fn write(folder: &Path, path: &str, content: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_build_an_image_once() {
    let folder = tempfile::tempdir().unwrap();
    // Its own content, so that no run finds what another has left.
    let unique = format!("{}", std::process::id());
    write(folder.path(), "once/Dockerfile", &format!("FROM {ROOT_IMAGE}\nCOPY marker /marker\n"));
    write(folder.path(), "once/marker", &unique);
    write(folder.path(), "left/Dockerfile", "FROM trajforge/once\nRUN cp /marker /left\n");
    write(folder.path(), "right/Dockerfile", "FROM trajforge/once\nRUN cp /marker /right\n");
    let (first, second) = (open(folder.path()).await, open(folder.path()).await);

    let (mut told, mut told_other) = (Vec::new(), Vec::new());
    let (mut hear, mut hear_other) = (|event: Event| told.push(event), |event: Event| told_other.push(event));
    let (tags, other_tags) =
        tokio::join!(first.ensure(&["left", "right"], &mut hear), second.ensure(&["left"], &mut hear_other));
    let (tags, other_tags) = (tags.unwrap(), other_tags.unwrap());
    assert_eq!(tags["left"], other_tags["left"]);
    let once = first.tag("once").unwrap();
    let begun = |events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::ImageBuilding { tag } if *tag == once)).count()
    };
    assert_eq!(begun(&told) + begun(&told_other), 1, "{told:?} {told_other:?}");

    let inspected = client().await.inspect_image(&tags["right"]).await.unwrap();
    assert_eq!(inspected.config.unwrap().labels.unwrap()[IMAGE_LABEL], "right");
    assert!(first.list().await.unwrap().iter().all(|image| image.bytes.is_some()));

    // With a change, the old tags are outdated.
    write(folder.path(), "once/marker", "changed");
    let changed = open(folder.path()).await;
    let outdated = changed.outdated().await.unwrap();
    for tag in [&tags["left"], &tags["right"], &once] {
        assert!(outdated.contains(tag), "{tag} is not in {outdated:?}");
        changed.remove(tag).await.unwrap();
    }
}

#[tokio::test]
async fn a_build_that_fails_shows_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "bad/Dockerfile",
        &format!("FROM {ROOT_IMAGE}\nRUN echo looking for it && cat /no/such/file\n"),
    );
    let error = open(folder.path()).await.ensure(&["bad"], &mut |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::ImageBroken { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/file"), "{error}");
    let unknown = open(folder.path()).await.ensure(&["unknown"], &mut |_| ()).await.unwrap_err();
    assert!(matches!(unknown, Error::ImageMissing { .. }), "{unknown:?}");
}

/// Both ways to the root image end in the same tag with the same configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_image_is_pulled_or_made() {
    let images = open(&recipes()).await;
    images.ensure(&["base"], &mut |_| ()).await.unwrap();
    let client = client().await;
    let before = client.inspect_image(ROOT_IMAGE).await.unwrap();

    // A registry on the loopback serves the image that is here, as Docker's own would.
    let registry = Registry::serve(&client, ROOT_IMAGE).await;
    let source = format!("{}/debian:bookworm-slim", registry.address());
    images.pull_root(&BOOKWORM, &source).await.unwrap();
    let pulled = client.inspect_image(ROOT_IMAGE).await.unwrap();
    assert_eq!(pulled.id, before.id, "what was pulled is something else");
    client.remove_image(&source, None::<bollard::query_parameters::RemoveImageOptions>, None).await.unwrap();

    let silent = format!("{}/no-such:tag", registry.address());
    let error = images.pull_root(&BOOKWORM, &silent).await.unwrap_err();
    assert!(matches!(error, Error::Docker { .. }), "{error:?}");

    images.bootstrap_root(&BOOKWORM).await.unwrap();
    let made = client.inspect_image(ROOT_IMAGE).await.unwrap();
    let config = made.config.unwrap();
    assert_eq!(config.cmd.unwrap(), ["bash"]);
    assert_eq!(config.env.unwrap(), before.config.unwrap().env.unwrap());
    // The image that everything here stands on is put back.
    let (repository, tag) = ROOT_IMAGE.split_once(':').unwrap();
    let options =
        bollard::query_parameters::TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    client.tag_image(&before.id.unwrap(), Some(options)).await.unwrap();
    client
        .remove_image(&made.id.unwrap(), None::<bollard::query_parameters::RemoveImageOptions>, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_shipped_recipes_are_sound() {
    let images = open(&recipes()).await;
    let list = images.list().await.unwrap();
    let parents: HashMap<&str, Option<&str>> =
        list.iter().map(|image| (image.name.as_str(), image.parent.as_deref())).collect();
    assert_eq!(parents["base"], None);
    assert_eq!((parents["build"], parents["data"]), (Some("base"), Some("base")));
}
