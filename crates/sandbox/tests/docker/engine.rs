//! What the tests share: the engine, the image, a sandbox to be made.

use std::path::{Path, PathBuf};

use bollard::Docker as Client;
use trajforge_sandbox::{Docker, Images, Network, SandboxSpec, User};
use trajforge_schema::Event;

pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

pub(crate) fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../images")
}

pub(crate) async fn docker() -> Docker {
    Docker::connect(None, &cache()).await.unwrap()
}

pub(crate) async fn client() -> Client {
    let client = Client::connect_with_unix("/var/run/docker.sock", 60, bollard::API_DEFAULT_VERSION).unwrap();
    client.negotiate_version().await.unwrap()
}

/// A sandbox on the base image, which is built if it is not there.
pub(crate) async fn spec() -> SandboxSpec {
    let images = Images::open(None, &recipes(), &cache()).await.unwrap();
    let mut tell = |event: Event| drop(event);
    let tags = images.ensure(&["base"], &mut tell).await.unwrap();
    SandboxSpec {
        image: tags["base"].clone(),
        run: "sandbox-tests".parse().unwrap(),
        rollout: format!("test-{}", std::process::id()).parse().unwrap(),
        user: User::Agent,
        workspace: "/workspace".to_owned(),
        limits: trajforge_schema::Limits::default(),
        variables: std::collections::BTreeMap::new(),
        network: Network::None,
        output_bytes: SandboxSpec::OUTPUT_BYTES,
        layers: Vec::new(),
    }
}
