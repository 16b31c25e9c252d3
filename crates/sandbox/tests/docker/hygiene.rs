//! Nothing is left behind: whoever dies, whatever is dropped.

use std::collections::HashMap;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use tokio::io::{AsyncBufReadExt, BufReader};
use trajforge_sandbox::doctor::{Grade, examine};
use trajforge_sandbox::{Error, OWNER_LABEL, ROLLOUT_LABEL, RUN_LABEL, SandboxExt, SandboxSpec, Sandboxes};
use trajforge_schema::Event;

use super::engine::{cache, client, docker, recipes, spec};

async fn containers_of(rollout: &str) -> usize {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{ROLLOUT_LABEL}={rollout}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    client().await.list_containers(Some(options)).await.unwrap().len()
}

async fn until_none(rollout: &str) {
    let began = Instant::now();
    while containers_of(rollout).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "the container of {rollout} stayed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn named(rollout: &str) -> SandboxSpec {
    SandboxSpec { rollout: rollout.parse().unwrap(), ..spec().await }
}

#[tokio::test]
async fn a_stopped_sandbox_is_gone_after_draining() {
    let docker = docker().await;
    let sandbox = docker.create(&named("hygiene-stopped").await).await.unwrap();
    assert_eq!(containers_of("hygiene-stopped").await, 1);
    sandbox.stop().await.unwrap();
    docker.drain().await;
    assert_eq!(containers_of("hygiene-stopped").await, 0);
}

#[tokio::test]
async fn a_dropped_sandbox_is_gone_too() {
    let docker = docker().await;
    drop(docker.create(&named("hygiene-dropped").await).await.unwrap());
    docker.drain().await;
    assert_eq!(containers_of("hygiene-dropped").await, 0);
}

#[tokio::test]
async fn whoever_stops_waiting_for_a_sandbox_leaves_none() {
    let docker = docker().await;
    let spec = named("hygiene-abandoned").await;
    for patience in [1, 20, 60, 150] {
        let made = tokio::time::timeout(Duration::from_millis(patience), docker.create(&spec)).await;
        drop(made);
    }
    docker.drain().await;
    assert_eq!(containers_of("hygiene-abandoned").await, 0);
}

#[tokio::test]
async fn a_call_under_way_is_told_when_the_container_dies() {
    let docker = docker().await;
    let sandbox = docker.create(&named("hygiene-killed").await).await.unwrap();
    let killing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        let filters = HashMap::from([("label".to_owned(), vec![format!("{ROLLOUT_LABEL}=hygiene-killed")])]);
        let list = ListContainersOptionsBuilder::default().filters(&filters).build();
        let client = client().await;
        let found = client.list_containers(Some(list)).await.unwrap();
        let id = found[0].id.clone().unwrap();
        client.remove_container(&id, Some(options)).await.unwrap();
    };
    let (ran, ()) = tokio::join!(sandbox.shell("main", "sleep 60", Duration::from_mins(1)), killing);
    assert!(matches!(ran, Err(Error::Lost { .. })), "{ran:?}");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}

/// The worker of the next test: makes a sandbox in which much is going on, says so, and waits to be killed.
#[tokio::test]
#[ignore = "is run as a process of its own by a_container_does_not_outlive_its_worker"]
async fn a_worker_that_will_be_killed() {
    let docker = docker().await;
    let sandbox = docker.create(&named("hygiene-orphan").await).await.unwrap();
    let busy = "(setsid sleep 900 &); sleep 901 & nohup sleep 902 >/dev/null 2>&1 & disown -a";
    sandbox.shell("main", busy, Duration::from_secs(20)).await.unwrap();
    writeln!(std::io::stdout(), "ready").unwrap();
    sandbox.shell("main", "sleep 903", Duration::from_mins(10)).await.unwrap();
}

#[tokio::test]
async fn a_container_does_not_outlive_its_worker() {
    let mut worker = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "docker::hygiene::a_worker_that_will_be_killed"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.ends_with("ready") {
            break;
        }
    }
    assert_eq!(containers_of("hygiene-orphan").await, 1);
    worker.kill().await.unwrap();
    until_none("hygiene-orphan").await;
}

#[tokio::test]
async fn the_reaper_takes_the_dead_and_spares_the_living() {
    let docker = docker().await;
    let client = client().await;
    let living = docker.create(&named("hygiene-living").await).await.unwrap();
    // A container whose owner is this process's namesake of another time, and one of a machine that nobody here knows.
    let owner = owner_label("hygiene-living").await;
    let (pid, rest) = owner.split_once(':').unwrap();
    let (_, namespace) = rest.split_once(':').unwrap();
    let image = spec().await.image;
    for (rollout, owner) in
        [("hygiene-dead", format!("{pid}:1:{namespace}")), ("hygiene-elsewhere", format!("{pid}:1:1:other"))]
    {
        let labels = [(RUN_LABEL, "r"), (ROLLOUT_LABEL, rollout), (OWNER_LABEL, owner.as_str())];
        let body = ContainerCreateBody {
            image: Some(image.clone()),
            cmd: Some(vec!["sleep".to_owned(), "60".to_owned()]),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..ContainerCreateBody::default()
        };
        client.create_container(None, body).await.unwrap();
    }

    let findings = examine(None, &recipes(), &cache()).await;
    let leak = findings.iter().find(|finding| finding.topic == "leftovers").unwrap();
    assert_eq!(leak.grade, Grade::Warn, "{leak:?}");
    assert!(findings.iter().all(|finding| finding.grade != Grade::Fail), "{findings:?}");

    let mut told = Vec::new();
    docker.reap(&mut |event: Event| told.push(event)).await.unwrap();
    assert!(
        told.iter().any(|event| matches!(event, Event::Reaped { what } if what.contains("hygiene-dead"))),
        "{told:?}"
    );
    assert_eq!(containers_of("hygiene-dead").await, 0);
    assert_eq!(containers_of("hygiene-elsewhere").await, 1);
    living.usage().await.expect("the living one is still there");
    living.stop().await.unwrap();
    docker.drain().await;
    remove("hygiene-elsewhere").await;
}

#[tokio::test]
async fn a_dead_engine_is_one_clear_error() {
    let error =
        trajforge_sandbox::Docker::connect(Some("unix:///nowhere/docker.sock"), &cache()).await.unwrap_err();
    assert!(matches!(error, Error::DockerUnreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("/nowhere/docker.sock") && error.hint().is_some());
    let findings = examine(Some("unix:///nowhere/docker.sock"), &recipes(), &cache()).await;
    assert_eq!((findings.len(), findings[0].grade), (1, Grade::Fail));
}

#[tokio::test]
async fn a_missing_image_is_named() {
    let spec = SandboxSpec { image: "trajforge/no-such:000000000000".to_owned(), ..spec().await };
    let Err(error) = docker().await.create(&spec).await else {
        panic!("it was made from nothing");
    };
    assert!(matches!(error, Error::ImageMissing { .. }), "{error:?}");
}

async fn one(rollout: &str) -> bollard::models::ContainerSummary {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{ROLLOUT_LABEL}={rollout}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let mut found = client().await.list_containers(Some(options)).await.unwrap();
    found.pop().unwrap()
}

async fn owner_label(rollout: &str) -> String {
    one(rollout).await.labels.unwrap()[OWNER_LABEL].clone()
}

async fn remove(rollout: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    let id = one(rollout).await.id.unwrap();
    client().await.remove_container(&id, Some(options)).await.unwrap();
}
