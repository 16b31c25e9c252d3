//! Sandboxes that are prepared ahead of need.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use bollard::query_parameters::{KillContainerOptionsBuilder, ListContainersOptionsBuilder};
use trajforge_sandbox::{Docker, RUN_LABEL, SandboxExt, SandboxSpec, Sandboxes};

use super::engine::{cache, client, spec};

async fn of_run(run: &str) -> SandboxSpec {
    SandboxSpec { run: run.parse().unwrap(), ..spec().await }
}

/// The ids of the running containers of a run.
async fn running(run: &str) -> Vec<String> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{RUN_LABEL}={run}")])]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    let containers = client().await.list_containers(Some(options)).await.unwrap();
    containers.into_iter().filter_map(|container| container.id).collect()
}

async fn until(run: &str, count: usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let there = running(run).await;
        if there.len() == count {
            return there;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{} containers instead of {count}", there.len());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_sandbox_is_there_before_it_is_asked_for() {
    let docker = Docker::connect_warm(None, &cache(), 1).await.unwrap();
    let first = docker.create(&of_run("warm-next").await).await.unwrap();
    let ahead = until("warm-next", 2).await;
    let mut spec = of_run("warm-next").await;
    spec.workspace = "/elsewhere".to_owned();
    spec.variables.insert("FLAVOUR".to_owned(), "plum".to_owned());
    let second = docker.create(&spec).await.unwrap();
    let after = until("warm-next", 3).await;
    assert!(ahead.iter().all(|id| after.contains(id)), "the prepared one was not taken");
    let ran = second.shell("main", "echo $FLAVOUR; pwd; ls -A; id -u", Duration::from_secs(9)).await.unwrap();
    assert_eq!(ran.output.text(), "plum\n/elsewhere\n1000\n");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    docker.drain().await;
    assert_eq!(
        running("warm-next").await,
        Vec::<String>::new(),
        "after draining none is left, prepared or not"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_shape_gets_a_container_of_its_own() {
    let docker = Docker::connect_warm(None, &cache(), 1).await.unwrap();
    let spec = of_run("warm-shape").await;
    let first = docker.create(&spec).await.unwrap();
    let ahead = until("warm-shape", 2).await;
    let mut small = spec.clone();
    small.limits.pids = 77;
    let second = docker.create(&small).await.unwrap();
    let limit = client().await;
    let mut found = 0;
    for id in running("warm-shape").await.iter().filter(|id| !ahead.contains(id)) {
        let host = limit.inspect_container(id, None).await.unwrap().host_config.unwrap();
        found += usize::from(host.pids_limit == Some(77 + 16));
    }
    assert!(found >= 1, "no container has the limit that was asked for");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    docker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_sandbox_that_died_is_replaced() {
    let docker = Docker::connect_warm(None, &cache(), 1).await.unwrap();
    let spec = of_run("warm-dead").await;
    let first = docker.create(&spec).await.unwrap();
    let before = until("warm-dead", 2).await;
    let kill = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
    for id in &before {
        client().await.kill_container(id, Some(kill.clone())).await.unwrap();
    }
    until("warm-dead", 0).await;
    let second = docker.create(&spec).await.unwrap();
    let ran = second.shell("main", "echo here", Duration::from_secs(9)).await.unwrap();
    assert_eq!(ran.output.text(), "here\n");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    docker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_is_prepared_that_nobody_will_ask_for() {
    let docker = Docker::connect_warm(None, &cache(), 1).await.unwrap();
    let spec = of_run("warm-last").await;
    docker.expect(&spec, 2);
    let first = docker.create(&spec).await.unwrap();
    let ahead = until("warm-last", 2).await;
    let second = docker.create(&spec).await.unwrap();
    // A third would have been begun by now; long enough for it to show.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after: HashSet<String> = running("warm-last").await.into_iter().collect();
    assert_eq!(after, ahead.into_iter().collect(), "the two that were expected, and no other");
    let third = docker.create(&spec).await.unwrap();
    for sandbox in [first, second, third] {
        sandbox.stop().await.unwrap();
    }
    docker.drain().await;
}
