//! Programs apart from the sessions: input, output, time limits, services.

use std::time::{Duration, Instant};

use trajforge_schema::Service;

use super::{TIMEOUT, sh};
use crate::exec::Exec;
use crate::sandbox::{Sandbox, SandboxExt};

pub(super) async fn a_program_is_fed_and_reports(sandbox: &dyn Sandbox) {
    let input = "line\n".repeat(100_000);
    let ran = sandbox.exec(Exec::argv(["wc", "-l"]).with_stdin(input)).await.expect("it answers");
    assert_eq!((ran.output.text().trim(), ran.exit_code), ("100000", 0));
    let ran = sandbox
        .exec(
            Exec::bash("echo out; echo err >&2; pwd; echo $X; exit 9")
                .in_folder("/tmp")
                .with_variable("X", "y"),
        )
        .await
        .expect("it answers");
    assert_eq!((ran.output.text().as_str(), ran.exit_code), ("out\nerr\n/tmp\ny\n", 9));
    let absent = sandbox.exec(Exec::argv(["no-such-program"])).await.expect("it answers");
    assert_eq!(absent.exit_code, 127);
    let signalled = sandbox.exec(Exec::bash("kill -11 $$")).await.expect("it answers");
    assert_eq!(signalled.exit_code, 139);
}

pub(super) async fn fifty_megabytes_are_bounded(sandbox: &dyn Sandbox) {
    let printing = "echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last";
    for ran in [
        sandbox.exec(Exec::bash(printing)).await.expect("it answers"),
        sandbox.shell("main", printing, TIMEOUT).await.expect("it answers"),
    ] {
        let kept = (ran.output.head.len() + ran.output.tail.len()) as u64;
        assert_eq!(kept, sandbox.spec().output_bytes);
        assert_eq!(kept + ran.output.cut_bytes, 50_000_012);
        assert!(ran.output.head.starts_with(b"first\nxxx") && ran.output.tail.ends_with(b"xxx\nlast\n"));
    }
}

pub(super) async fn binary_output_arrives_exactly(sandbox: &dyn Sandbox) {
    let program = "import os; os.write(1, bytes(range(256)) * 10)";
    let ran = sandbox.exec(Exec::argv(["python3", "-c", program])).await.expect("it answers");
    assert_eq!(ran.output.head.len() + ran.output.tail.len(), 2560);
    assert_eq!(ran.output.head[..256], (0..=255).collect::<Vec<u8>>());
    assert!(!ran.output.text().is_empty());
}

pub(super) async fn a_timeout_reaches_grandchildren(sandbox: &dyn Sandbox) {
    let script = "(trap '' INT TERM; while :; do sleep 602; done) & (trap '' INT TERM; sleep 603)";
    let ran = sandbox.exec(Exec::bash(script).within(Duration::from_millis(300))).await.expect("it answers");
    assert!(ran.timed_out && ran.duration < Duration::from_secs(10), "{ran:?}");
    assert_eq!(sh(sandbox, "pgrep -fc 'sleep 60[23]'").await, "0\n");
}

/// The end of the output and the end of the program come in either order, and at any distance.
pub(super) async fn a_program_that_closes_its_output_is_not_waited_for(sandbox: &dyn Sandbox) {
    for _ in 0..60 {
        let programs = (0..20).map(|_| {
            let closing = Exec::argv(["sh", "-c", "exec >&- 2>&-"]).within(Duration::from_secs(20));
            sandbox.exec(closing)
        });
        for ran in futures_util::future::join_all(programs).await {
            let ran = ran.expect("it answers");
            assert!(!ran.timed_out && ran.exit_code == 0, "{ran:?}");
        }
    }
}

pub(super) async fn a_slow_program_stalls_nobody(sandbox: &dyn Sandbox) {
    let slow: Vec<_> = (0..12).map(|_| sandbox.exec(Exec::bash("sleep 2"))).collect();
    let quick = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        sandbox.exec(Exec::bash("echo quick")).await.expect("it answers");
        sandbox.list("main", None).await.expect("it answers");
        began.elapsed()
    };
    let (_, took) = tokio::join!(futures_util::future::join_all(slow), quick);
    assert!(took < Duration::from_secs(1), "it took {took:?}");
}

pub(super) async fn services_start_and_stop(sandbox: &dyn Sandbox) {
    let service = Service {
        name: "counter".to_owned(),
        run: "trap 'echo bye; exit 0' TERM; sleep 0.3; touch /tmp/up; echo up; while :; do sleep 0.05; done"
            .to_owned(),
        ready: "test -e /tmp/up".to_owned(),
        ready_seconds: 10,
        in_verification: false,
    };
    let (started, output) = sandbox.start_service(&service).await.expect("it answers");
    assert!(started.ready && started.exit_code.is_none(), "{started:?} {output:?}");
    assert!(sandbox.start_service(&service).await.is_err(), "the same name twice");

    let hopeless = Service {
        name: "hopeless".to_owned(),
        run: "echo no configuration >&2; exit 4".to_owned(),
        ready: "false".to_owned(),
        ..service
    };
    let (ended, output) = sandbox.start_service(&hopeless).await.expect("it answers");
    assert_eq!((ended.ready, ended.exit_code), (false, Some(4)));
    assert!(String::from_utf8_lossy(&output).contains("no configuration"), "{output:?}");

    let stopped = sandbox.stop_services().await.expect("it answers");
    let counter = stopped.iter().find(|stopped| stopped.name == "counter").expect("it was running");
    assert_eq!((counter.exit_code, counter.killed), (0, false));
}

pub(super) async fn the_agent_is_killed_and_services_live(sandbox: &dyn Sandbox) {
    let service = Service {
        name: "steady".to_owned(),
        run: "exec sleep 604".to_owned(),
        ready: "true".to_owned(),
        ready_seconds: 5,
        in_verification: false,
    };
    sandbox.start_service(&service).await.expect("it answers");
    sh(sandbox, "sleep 605 & setsid sleep 606 & (setsid sleep 607 &)").await;
    let killed = sandbox.kill_agent().await.expect("it answers");
    assert!(killed >= 4, "only {killed} were killed");
    let left = sandbox.exec(Exec::bash("pgrep -fa '[s]leep 60'")).await.expect("it answers");
    assert!(left.output.text().trim().ends_with("sleep 604"), "{:?}", left.output.text());
    let ran = sandbox.shell("main", "echo again", TIMEOUT).await.expect("it answers");
    assert!(ran.restarted && ran.output.text() == "again\n", "{ran:?}");
    sandbox.stop_services().await.expect("it answers");
}

pub(super) async fn usage_is_told(sandbox: &dyn Sandbox) {
    let usage = sandbox.usage().await.expect("it answers");
    for figure in [usage.memory_peak_bytes, usage.cpu_us, usage.pids] {
        assert!(figure.is_none_or(|figure| figure > 0), "{usage:?}");
    }
}
