//! Limits: what an agent uses up is its own loss, and the shim still answers.

use std::time::Duration;

use trajforge_sandbox::{Exec, SandboxExt, SandboxSpec, Sandboxes};

use super::engine::{docker, spec};

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_memory_bomb_is_killed_and_the_session_answers() {
    let docker = docker().await;
    let mut spec = spec().await;
    spec.limits.memory_mb = 128;
    let sandbox = docker.create(&spec).await.unwrap();
    let bomb = "python3 -c 'x = bytearray(1 << 30)'";
    let ran = sandbox.shell("main", bomb, TIMEOUT).await.unwrap();
    assert_eq!(ran.exit_code, 137, "{:?}", ran.output.text());
    let after = sandbox.shell("main", "echo alive", TIMEOUT).await.unwrap();
    assert_eq!(after.output.text(), "alive\n");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}

#[tokio::test]
async fn a_fork_bomb_is_swept_away() {
    let docker = docker().await;
    let mut spec = spec().await;
    spec.limits.pids = 64;
    let sandbox = docker.create(&spec).await.unwrap();
    sandbox.shell("main", "true", TIMEOUT).await.unwrap();
    let bomb = "bomb() { bomb | bomb & }; bomb; sleep 0.5; echo";
    let _ = sandbox.shell("main", bomb, Duration::from_secs(3)).await.unwrap();
    sandbox.usage().await.expect("the shim answers while no process can be had");
    sandbox.kill_agent().await.unwrap();
    let ran = sandbox.exec(Exec::bash("pgrep -c -u agent bash").as_root()).await.unwrap();
    assert_eq!(ran.output.text(), "0\n");
    let after = sandbox.shell("main", "echo alive", TIMEOUT).await.unwrap();
    assert_eq!(after.output.text(), "alive\n");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}

#[tokio::test]
async fn there_is_no_network_but_the_loopback() {
    let docker = docker().await;
    let sandbox = docker.create(&spec().await).await.unwrap();
    let look = "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; python3 -c '\nimport socket\n\
                s = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen(); socket.create_connection(s.getsockname()); print(\"own\", flush=True)\n\
                socket.create_connection((\"169.254.169.254\", 80), timeout=2)' 2>&1 | grep -E 'own|Error'";
    let ran = sandbox.shell("main", look, TIMEOUT).await.unwrap();
    let text = ran.output.text();
    assert!(text.starts_with("lo\nown\n") && text.contains("unreachable"), "{text}");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}

#[tokio::test]
async fn a_workspace_elsewhere_is_made_for_the_agent() {
    let docker = docker().await;
    let spec = SandboxSpec {
        workspace: "/srv/project/tree".to_owned(),
        variables: [("MODE".to_owned(), "test".to_owned())].into(),
        ..spec().await
    };
    let sandbox = docker.create(&spec).await.unwrap();
    let ran = sandbox
        .shell("main", "pwd; touch x && stat -c %U . x; echo $MODE $LANG $TERM $HOME; umask", TIMEOUT)
        .await
        .unwrap();
    assert_eq!(ran.output.text(), "/srv/project/tree\nagent\nagent\ntest C.UTF-8 dumb /home/agent\n0022\n");
    sandbox.stop().await.unwrap();
    docker.drain().await;
}

#[tokio::test]
async fn one_action_costs_about_a_millisecond() {
    let docker = docker().await;
    let sandbox = docker.create(&spec().await).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = std::time::Instant::now();
        sandbox.shell("main", "true", TIMEOUT).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    // The figure itself is a benchmark's; here only that nothing sleeps or polls on the way.
    assert!(times[100] < Duration::from_millis(10), "the median is {:?}", times[100]);
    sandbox.stop().await.unwrap();
    docker.drain().await;
}
