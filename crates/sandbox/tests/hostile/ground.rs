//! Where a hostile act takes place, and the proof that nothing is left of it.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use trajforge_sandbox::{ROLLOUT_LABEL, Ran, Sandbox, SandboxExt, SandboxSpec, Sandboxes};

use crate::engine::{client, docker, spec};

/// A limit that only what hangs can reach.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(2);

/// Makes a sandbox, has the act done in it, and proves the aftermath: the same backend makes another that works and
/// shares nothing with the first, and no container of either is left.
pub(crate) async fn survive(
    name: &str,
    shape: impl FnOnce(&mut SandboxSpec),
    act: impl AsyncFnOnce(&dyn Sandbox),
) {
    let docker = docker().await;
    let mut spec = spec().await;
    spec.rollout = format!("hostile-{name}-{}", std::process::id()).parse().unwrap();
    shape(&mut spec);
    let sandbox = docker.create(&spec).await.unwrap();
    act(&*sandbox).await;
    sandbox.stop().await.unwrap();

    let next = docker.create(&spec).await.unwrap();
    let ran = sh(&*next, "echo alive > here; cat here; ls -A /tmp").await;
    assert_eq!(ran.output.text(), "alive\n", "the next sandbox is not as it should be");
    assert_eq!(next.manifest().await.unwrap().0.keys().collect::<Vec<_>>(), ["here"]);
    next.stop().await.unwrap();
    docker.drain().await;
    let filters = HashMap::from([("label".to_owned(), vec![format!("{ROLLOUT_LABEL}={}", spec.rollout)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let left = client().await.list_containers(Some(options)).await.unwrap();
    assert!(left.is_empty(), "containers were left: {left:?}");
}

/// A sandbox as it is by default.
pub(crate) fn usual(_: &mut SandboxSpec) {}

/// A command in the main session, which must answer.
pub(crate) async fn sh(sandbox: &dyn Sandbox, command: &str) -> Ran {
    sandbox.shell("main", command, TIMEOUT).await.unwrap()
}

/// Proves that the same sandbox goes on after an act: the session, a program apart from it, and the manifest.
pub(crate) async fn goes_on(sandbox: &dyn Sandbox) {
    assert_eq!(sh(sandbox, "echo still here").await.output.text(), "still here\n");
    let ran = sandbox.exec(trajforge_sandbox::Exec::argv(["/bin/true"])).await.unwrap();
    assert_eq!(ran.exit_code, 0);
    sandbox.manifest().await.unwrap();
}
