//! Acts of and against processes: stubborn ones, daemons, and attacks on the shim.

use std::time::Duration;

use trajforge_sandbox::{Exec, SandboxExt, User};

use super::ground::{goes_on, sh, survive, usual};

#[tokio::test]
async fn a_process_that_ignores_every_signal_is_killed() {
    survive("stubborn", usual, async |sandbox| {
        let stubborn = "python3 -c '\nimport signal, time\n\
                        for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)\n\
                        print(\"begun\", flush=True)\nwhile True: time.sleep(1)'";
        for _ in 0..2 {
            let ran = sandbox.shell("main", stubborn, Duration::from_secs(1)).await.unwrap();
            assert!(ran.timed_out && !ran.restarted && ran.output.text().starts_with("begun"), "{ran:?}");
            let ran = sandbox.exec(Exec::bash(stubborn).within(Duration::from_secs(1))).await.unwrap();
            assert!(ran.timed_out, "{ran:?}");
        }
        assert_eq!(sh(sandbox, "pgrep -c python3").await.output.text(), "0\n");
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn a_daemon_outlives_its_action_but_not_the_hand_over() {
    survive("daemon", usual, async |sandbox| {
        let daemon = "python3 -c '\nimport os, signal, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n\
                      for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n\
                      while True: open(\"/workspace/alive\", \"a\").write(\"x\"); time.sleep(0.01)'";
        let ran = sandbox.shell("main", daemon, Duration::from_secs(20)).await.unwrap();
        assert!(ran.succeeded(), "{ran:?}");
        // The action ends with the daemon's parent, which may be before the daemon's first byte.
        let begun = "until test -s alive; do sleep 0.02; done";
        assert!(sh(sandbox, begun).await.succeeded());
        let grows = "a=$(stat -c %s alive); sleep 0.3; test $(stat -c %s alive) -gt $a && echo grows || echo stands";
        assert_eq!(sh(sandbox, grows).await.output.text(), "grows\n");
        assert!(sandbox.kill_agent().await.unwrap() >= 2);
        assert_eq!(sh(sandbox, grows).await.output.text(), "stands\n");
        goes_on(sandbox).await;
    })
    .await;
}

/// Each line would end, stop, trace or take over the first process if it worked.
const AGAINST_THE_SHIM: &str = r#"
kill -9 1; kill -STOP 1; kill -TERM -1 2>/dev/null
echo x > /proc/1/mem
for fd in /proc/1/fd/*; do echo x > "$fd"; cat < "$fd"; done
ls /proc/1/fd /proc/1/map_files /proc/1/cwd/
cat /proc/1/environ /proc/1/maps
echo x > /trajforge/shim; mv /trajforge /trajforgotten; rm -rf /trajforge /run/trajforge
cp /bin/true /trajforge/shim; ln -sf /bin/false /run/trajforge/bin/as-agent
as-agent id; /trajforge/shim as-agent id; /trajforge/shim
exit 0
"#;

/// Tracing by the system calls themselves: attach, seize, and reading and writing another's memory.
const TRACE: &str = r"
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for request in (16, 0x4206):
    print(libc.ptrace(request, 1, 0, 0), end=' ')
class Piece(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(8)
mine, theirs = Piece(ctypes.addressof(buffer), 8), Piece(0x400000, 8)
for call in (310, 311):
    print(libc.syscall(call, 1, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0), end=' ')
pidfd = os.pidfd_open(1)
print([libc.syscall(438, pidfd, number, 0) for number in range(64)].count(-1))
";

#[tokio::test]
async fn the_shim_can_be_neither_ended_nor_traced_nor_written_to() {
    for user in [User::Agent, User::Root] {
        survive(
            "shim",
            |spec| spec.user = user,
            async |sandbox| {
                let status = "grep -E '^(State|TracerPid|SigQ)' /proc/1/status | head -2";
                let ask = async || sandbox.exec(Exec::bash(status).as_root()).await.unwrap().output.text();
                let before = ask().await;
                let ran =
                    sandbox.exec(Exec::bash(AGAINST_THE_SHIM).within(Duration::from_secs(20))).await.unwrap();
                assert!(!ran.timed_out, "{:?}", ran.output.text());
                let said = ran.output.text();
                assert!(!said.contains("uid="), "{said}");
                let ran = sandbox.exec(Exec::argv(["python3", "-c", TRACE])).await.unwrap();
                assert_eq!(ran.output.text(), "-1 -1 -1 -1 64\n");
                assert_eq!(
                    ask().await.replace("R (running)", "S (sleeping)"),
                    before.replace("R (running)", "S (sleeping)")
                );
                goes_on(sandbox).await;
            },
        )
        .await;
    }
}

#[tokio::test]
async fn the_shim_lends_its_own_view_of_proc_to_nobody() {
    for user in [User::Agent, User::Root] {
        survive(
            "proc",
            |spec| spec.user = user,
            async |sandbox| {
                sh(sandbox, "ln -s /proc/self/environ environ; ln -s /proc/self self").await;
                for path in [
                    "/proc/self/environ",
                    "environ",
                    "/proc/self/maps",
                    "self/status",
                    "/proc/thread-self/maps",
                    "/proc/1/environ",
                ] {
                    let read = sandbox.read("main", path, None, None).await.unwrap();
                    assert!(read.is_error, "{path}: {}", read.text);
                }
                for number in 0..32 {
                    let path = format!("/proc/self/fd/{number}");
                    assert!(sandbox.read("main", &path, None, None).await.unwrap().is_error, "{path}");
                    assert!(sandbox.write("main", &path, "x").await.unwrap().is_error, "{path}");
                }
                for path in [
                    "/proc/self/oom_score_adj",
                    "/proc/self/mem",
                    "/proc/thread-self/comm",
                    "self/timerslack_ns",
                ] {
                    let written = sandbox.write("main", path, "1000").await.unwrap();
                    assert!(written.is_error, "{path}: {}", written.text);
                }
                let found = sandbox.search("main", "PATH|State|heap", Some("/proc/self")).await.unwrap();
                assert!(!found.text.contains("heap]") && !found.text.contains("PATH="), "{}", found.text);
                let ran = sandbox.exec(Exec::argv(["cat", "/proc/1/oom_score_adj"]).as_root()).await.unwrap();
                assert_ne!(ran.output.text(), "1000\n");
                goes_on(sandbox).await;
            },
        )
        .await;
    }
}
