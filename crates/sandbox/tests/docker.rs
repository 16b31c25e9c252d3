//! The conformance suite, and what only containers have, against the Docker engine of this machine.

use std::path::PathBuf;

use trajforge_sandbox::conformance::{Scope, check};
use trajforge_sandbox::{Docker, Network, SandboxSpec, User};

fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

fn spec(image: &str) -> SandboxSpec {
    SandboxSpec {
        image: image.to_owned(),
        run: "conformance".parse().unwrap(),
        rollout: "conformance-1".parse().unwrap(),
        user: User::Agent,
        workspace: "/workspace".to_owned(),
        limits: trajforge_schema::Limits::default(),
        variables: std::collections::BTreeMap::new(),
        network: Network::None,
        output_bytes: SandboxSpec::OUTPUT_BYTES,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_behave() {
    let docker = Docker::connect(None, &cache()).await.unwrap();
    check(&docker, &spec("trajforge/base:dev"), Scope::Everything).await;
}
