//! Layers: made once, mounted read-only, and made again where they were never completed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use trajforge_sandbox::images::LAYER_LABEL;
use trajforge_sandbox::{Exec, Images, Layer, SandboxExt as _, SandboxSpec, Sandboxes as _};
use trajforge_schema::Event;

use super::engine::{cache, client, docker, recipes, spec};

const PATH: &str = "/opt/trajforge/tiny";

/// A scaffold's folder whose layer holds two files with this content.
fn scaffold(root: &Path, content: &str) {
    let folder = root.join("tiny/layer");
    fs::create_dir_all(&folder).unwrap();
    let lines = format!("FROM trajforge/base\nCOPY content {PATH}/first\nCOPY content {PATH}/deep/second\n");
    fs::write(folder.join("Dockerfile"), lines).unwrap();
    fs::write(folder.join("content"), content).unwrap();
}

async fn images(scaffolds: &Path) -> Images {
    Images::open_with_layers(None, &recipes(), &[scaffolds.to_owned()], &cache()).await.unwrap()
}

/// The layer, and what was made for it.
async fn layer(images: &Images) -> (Layer, Vec<String>) {
    let mut made = Vec::new();
    let mut hear = |event: Event| {
        if let Event::ImageReady { tag, .. } = event {
            made.push(tag);
        }
    };
    let layer = images.layer("tiny", PATH, &mut hear).await.unwrap();
    (layer, made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_is_made_once_and_no_sandbox_can_write_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let unique = format!("layers of process {}\n", std::process::id());
    scaffold(folder.path(), &unique);
    let images = images(folder.path()).await;
    let (layer, made) = self::layer(&images).await;
    assert!(made.contains(&layer.volume), "{made:?}");
    assert_eq!(self::layer(&images).await, (layer.clone(), Vec::new()));

    let docker = docker().await;
    let spec = SandboxSpec { layers: vec![layer.clone()], ..spec().await };
    let sandbox = docker.create(&spec).await.unwrap();
    let script =
        format!("cat {PATH}/first {PATH}/deep/second; echo x >> {PATH}/first; echo x > {PATH}/third");
    for exec in [Exec::bash(script.clone()), Exec::bash(script).as_root()] {
        let ran = sandbox.exec(exec.within(Duration::from_secs(20))).await.unwrap();
        let text = ran.output.text();
        assert_ne!(ran.exit_code, 0);
        assert!(text.starts_with(&format!("{unique}{unique}")), "{text}");
        let refused = ["Read-only file system", "Permission denied"].map(|word| text.matches(word).count());
        assert_eq!(refused.iter().sum::<usize>(), 2, "{text}");
    }
    assert!(!images.remove_layer(&layer.volume).await.unwrap(), "a layer in use was removed");
    sandbox.stop().await.unwrap();
    docker.drain().await;
    clean(&images, &layer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_was_never_completed_is_made_again_and_one_that_changed_is_outdated() {
    let folder = tempfile::tempdir().unwrap();
    scaffold(folder.path(), &format!("half of process {}\n", std::process::id()));
    let images = images(folder.path()).await;
    let (layer, _) = self::layer(&images).await;
    let whole = format!("{}.whole", layer.volume);
    assert!(images.remove_layer(&whole).await.unwrap());
    assert!(images.outdated_layers().await.unwrap().contains(&layer.volume));
    let (again, made) = self::layer(&images).await;
    assert_eq!((&again, made), (&layer, vec![layer.volume.clone()]));
    let volume = client().await.inspect_volume(&layer.volume).await.unwrap();
    assert_eq!(volume.labels[LAYER_LABEL], "tiny");
    assert!(!images.outdated_layers().await.unwrap().contains(&layer.volume));

    scaffold(folder.path(), "changed");
    let changed = self::images(folder.path()).await;
    let outdated = changed.outdated_layers().await.unwrap();
    assert!(outdated.contains(&layer.volume) && outdated.contains(&whole), "{outdated:?}");
    clean(&images, &layer).await;
}

async fn clean(images: &Images, layer: &Layer) {
    assert!(images.remove_layer(&format!("{}.whole", layer.volume)).await.unwrap());
    assert!(images.remove_layer(&layer.volume).await.unwrap());
    images.remove(&images.tag("scaffold-tiny").unwrap()).await.unwrap();
}
