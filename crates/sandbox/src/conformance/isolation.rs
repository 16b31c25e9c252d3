//! What an agent can't do, and can't make the shim do for it.

use std::time::Duration;

use trajforge_shim::protocol::{Owner, SECRET_FOLDER};

use super::{TIMEOUT, sh};
use crate::archive::File;
use crate::exec::Exec;
use crate::sandbox::{Sandbox, SandboxExt};

pub(super) async fn the_agent_has_no_power(sandbox: &dyn Sandbox) {
    let (uid, _) = sandbox.spec().user.ids();
    assert_eq!(sh(sandbox, "id -u").await, format!("{uid}\n"));
    let status = sh(sandbox, "grep -E 'Cap|NoNewPrivs' /proc/self/status").await;
    for line in status.lines() {
        let value = line.split_whitespace().nth(1).unwrap_or_default();
        assert!(value == "1" || value.chars().all(|digit| digit == '0'), "{status}");
    }
    let attempts = [
        "kill -9 1",
        "cat /proc/1/environ",
        "ls /proc/1/fd",
        "echo x > /proc/1/mem",
        "mount -t tmpfs none /mnt",
        "touch /etc/passwd",
        "touch /trajforge/shim",
        "hostname other",
    ];
    for attempt in attempts {
        let ran = sandbox.exec(Exec::bash(attempt)).await.expect("it answers");
        assert_ne!(ran.exit_code, 0, "{attempt:?} worked: {:?}", ran.output.text());
    }
    sandbox.usage().await.expect("the shim still answers");
}

pub(super) async fn localhost_has_a_name(sandbox: &dyn Sandbox) {
    let addresses = sh(sandbox, "getent ahosts localhost | cut -d' ' -f1").await;
    assert!(addresses.lines().any(|address| address == "127.0.0.1"), "{addresses}");
    // Nothing else is reachable, and whoever asks for a name is told so at once.
    let ran = sandbox.exec(Exec::bash("getent hosts example.org")).await.expect("it answers");
    assert_eq!((ran.exit_code, ran.timed_out), (2, false), "{}", ran.output.text());
}

pub(super) async fn secrets_are_out_of_reach(sandbox: &dyn Sandbox) {
    let secret = File {
        path: "check.sh".to_owned(),
        mode: 0o755,
        content: b"#!/bin/bash\necho the answer is 42\n".to_vec(),
    };
    let roots = [format!("{SECRET_FOLDER}/milestones"), "/verify".to_owned()];
    for root in &roots {
        sandbox.put(root, Owner::Secret, std::slice::from_ref(&secret)).await.expect("it is laid down");
        let spied = sh(
            sandbox,
            &format!("cat {root}/check.sh; ls {root}; cd {root}; find / -name check.sh 2>/dev/null"),
        )
        .await;
        assert!(
            !spied.contains("answer") && !spied.lines().any(|line| line.ends_with("/check.sh")),
            "{spied}"
        );
        let read = sandbox.read("main", &format!("{root}/check.sh"), None, None).await.expect("it answers");
        assert!(read.is_error, "{}", read.text);
        let check = Exec::bash("./check.sh").as_root().in_folder(root);
        let ran = sandbox.exec(check).await.expect("it answers");
        assert_eq!(ran.output.text(), "the answer is 42\n");
    }
}

pub(super) async fn checks_are_not_observed(sandbox: &dyn Sandbox) {
    let spy = "(while :; do cat /proc/[0-9]*/cmdline; done > /tmp/seen 2>/dev/null) & echo $! > /tmp/spy; sleep 0.2";
    sh(sandbox, spy).await;
    // The script itself is in no argument; what it starts is seen by nobody, since the agent stands still.
    let check = "echo hidden-script > /dev/null; sleep 0.2; env hidden_argument=1 sleep 0.2";
    let ran = sandbox.exec(Exec::bash(check).as_root().unobserved()).await.expect("it answers");
    assert_eq!(ran.exit_code, 0, "{:?}", ran.output.text());
    let seen = sh(
        sandbox,
        "sleep 0.2; kill -9 $(cat /tmp/spy); tr '\\0' ' ' < /tmp/seen | grep -aoE 'sleep|hidden' | sort -u",
    )
    .await;
    assert_eq!(seen, "sleep\n", "the agent has seen a check at work, or nothing at all");
}

/// Whoever the agent is: one who is root shares a user with what looks at it.
pub(super) async fn looks_go_on_while_the_agent_stands_still(sandbox: &dyn Sandbox) {
    let look = |command: &'static str| sandbox.look("eye", command, TIMEOUT);
    let first = look("seen=1; id -u").await.expect("it answers");
    assert_eq!((first.output.text().as_str(), first.exit_code), ("0\n", 0));
    sh(sandbox, "(while :; do echo >> /tmp/clock; sleep 0.01; done) & echo $! > /tmp/clock.pid; sleep 0.1")
        .await;
    let still =
        "cp /tmp/clock /run/trajforge/then; sleep 0.2; cmp /tmp/clock /run/trajforge/then; echo $? $seen";
    let still = look(still).await.expect("it answers");
    assert_eq!(still.output.text(), "0 1\n", "the agent went on, or the session did not");
    let moved = "then=$(stat -c %s /tmp/clock); sleep 0.3; now=$(stat -c %s /tmp/clock); kill $(cat /tmp/clock.pid); \
                 [ $now -gt $then ]; echo $?";
    assert_eq!(sh(sandbox, moved).await, "0\n", "the agent never went on");
    let ended = look("exit 3").await.expect("it answers");
    assert!(ended.exit_code == 3 && ended.restarted, "{ended:?}");
    assert_eq!(look("echo again").await.expect("it answers").output.text(), "again\n");
    let own = sh(sandbox, "echo ${seen:-nothing}").await;
    assert_eq!(own, "nothing\n", "the agent has the session of whoever looks at it");
}

pub(super) async fn nobody_else_can_call_the_host(sandbox: &dyn Sandbox) {
    let listed = Exec::bash("ls -A /trajforge/host").as_root();
    assert_eq!(sandbox.exec(listed).await.expect("it answers").output.text(), "");
}

pub(super) async fn file_operations_have_the_agents_rights(sandbox: &dyn Sandbox) {
    for path in ["/etc/shadow", "/proc/1/environ"] {
        let read = sandbox.read("main", path, None, None).await.expect("it answers");
        assert!(read.is_error && read.text.contains("ermission"), "{path}: {}", read.text);
    }
    let written = sandbox.write("main", "/etc/agent-was-here", "x").await.expect("it answers");
    assert!(written.is_error, "{}", written.text);
    // A link to where only root may write, in the agent's own folder.
    sh(sandbox, "ln -s /etc innocent; ln -s /etc/shadow shadow").await;
    let written = sandbox.write("main", "innocent/agent-was-here", "x").await.expect("it answers");
    assert!(written.is_error, "{}", written.text);
    let read = sandbox.read("main", "shadow", None, None).await.expect("it answers");
    assert!(read.is_error, "{}", read.text);
    sandbox.write("main", "mine.txt", "x").await.expect("it answers");
    assert_eq!(sh(sandbox, "stat -c '%U %a' mine.txt; rm innocent shadow mine.txt").await, "agent 644\n");
    sandbox.write("main", "script.sh", "echo 1").await.expect("it answers");
    sh(sandbox, "chmod 755 script.sh").await;
    sandbox.write("main", "script.sh", "echo 2").await.expect("it answers");
    assert_eq!(sh(sandbox, "stat -c %a script.sh; ./script.sh").await, "755\n2\n");
}

pub(super) async fn a_pipe_or_device_does_not_block(sandbox: &dyn Sandbox) {
    sh(sandbox, "mkdir -p odd && cd odd && mkfifo pipe && ln -s loop loop && cd ..").await;
    let looking = async {
        for path in ["odd/pipe", "/dev/zero", "odd/loop", "/dev/null"] {
            let read = sandbox.read("main", path, None, None).await.expect("it answers");
            assert!(read.is_error, "{path}: {}", read.text);
        }
        assert!(sandbox.write("main", "odd/pipe", "x").await.expect("it answers").is_error);
        sandbox.search("main", "x", Some("odd")).await.expect("it answers");
        sandbox.list("main", Some("odd")).await.expect("it answers");
        sandbox.manifest().await.expect("it answers");
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.expect("nothing blocks");
}

pub(super) async fn as_agent_lends_no_power(sandbox: &dyn Sandbox) {
    let script = "exec 7</etc/shadow; id -u; as-agent KIND=odd bash -c 'id -u; pwd; echo $KIND$CHECK; grep CapEff /proc/self/status; ls -l /proc/self/fd; \
                  echo $PATH; cat /etc/shadow'";
    let ran = sandbox
        .exec(Exec::bash(script).as_root().in_folder("/tmp").with_variable("CHECK", "secret"))
        .await
        .expect("it answers");
    let text = ran.output.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..4], ["0", "1000", "/tmp", "odd"], "{text}");
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
    assert!(!text.contains("-> /etc/shadow") && !text.contains(SECRET_FOLDER), "{text}");
    assert!(text.contains("Permission denied"), "{text}");
    let elsewhere = Exec::bash("as-agent pwd").as_root().in_folder(SECRET_FOLDER);
    let ran = sandbox.exec(elsewhere).await.expect("it answers");
    assert_eq!(ran.output.text().trim(), sandbox.spec().workspace);
}
