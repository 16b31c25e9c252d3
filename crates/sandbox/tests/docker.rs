//! The conformance suite, and what only containers have, against the Docker engine of this machine.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod docker {
    mod bare;
    pub(crate) mod engine;
    mod hygiene;
    mod images;
    mod layers;
    mod limits;
    mod podman;
    mod registry;
    mod walls;
    mod warm;
}

use docker::engine::{docker, spec};
use trajforge_sandbox::conformance::{Scope, check};
use trajforge_sandbox::{SandboxExt, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_behave() {
    check(&docker().await, &spec().await, Scope::Everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_containers_behave() {
    let docker = trajforge_sandbox::Docker::connect_warm(None, &docker::engine::cache(), 2).await.unwrap();
    check(&docker, &spec().await, Scope::Everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_who_is_root_has_no_power_either() {
    use trajforge_sandbox::{File, Owner, Sandboxes};
    let docker = docker().await;
    let spec = trajforge_sandbox::SandboxSpec { user: User::Root, ..spec().await };
    let sandbox = docker.create(&spec).await.unwrap();
    let secret = File { path: "answer".to_owned(), mode: 0o600, content: b"42".to_vec() };
    for folder in ["/verify", "/run/trajforge/milestones"] {
        sandbox.put(folder, Owner::Secret, std::slice::from_ref(&secret)).await.unwrap();
    }
    let timeout = std::time::Duration::from_secs(20);
    let attempt = "id -u; grep CapEff /proc/self/status; cat /verify/answer /run/trajforge/milestones/answer; chmod 777 /verify; \
                   cat /proc/1/environ; kill -9 1; echo touched > here";
    let ran = sandbox.shell("main", attempt, timeout).await.unwrap();
    let text = ran.output.text();
    assert!(text.starts_with("0\nCapEff:\t0000000000000000\n"), "{text}");
    assert!(!text.contains("42"), "{text}");
    let read = sandbox.read("main", "/verify/answer", None, None).await.unwrap();
    assert!(read.is_error, "{}", read.text);
    assert_eq!(sandbox.read("main", "here", None, None).await.unwrap().text, "     1\ttouched\n");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}
