//! Acts that fill the disk, each by a way that a count of the workspace alone would miss.

use trajforge_sandbox::{Error, Exec, Ran, Sandbox, SandboxExt, SandboxSpec, User};

use super::ground::{TIMEOUT, goes_on, sh, survive};

fn small(spec: &mut SandboxSpec) {
    spec.limits.disk_mb = 64;
}

fn is_too_much(ran: &Result<Ran, Error>) {
    assert!(
        matches!(&ran, Err(Error::Limit { reason }) if reason.contains("67108864 are allowed")),
        "{ran:?}"
    );
}

/// Takes away what was written, out of reach of the limit.
async fn tidy(sandbox: &dyn Sandbox) {
    let remove = "rm -rf /tmp/* /var/tmp/* /workspace/* /home/agent/*";
    sandbox.exec(Exec::bash(remove).as_root()).await.unwrap();
    settle(sandbox).await;
    goes_on(sandbox).await;
}

/// Waits until nothing more is told of a limit that was exceeded before.
pub(super) async fn settle(sandbox: &dyn Sandbox) {
    let mut calm = 0;
    for _ in 0..40 {
        let is_calm = sandbox.shell("main", "sleep 0.3", TIMEOUT).await.is_ok_and(|ran| ran.succeeded());
        calm = if is_calm { calm + 1 } else { 0 };
        if calm == 3 {
            return;
        }
    }
    panic!("it never came to rest");
}

#[tokio::test]
async fn one_large_file_ends_at_the_limit() {
    survive("large", small, async |sandbox| {
        let _ = sandbox.shell("main", "head -c 300M /dev/zero > big", TIMEOUT).await;
        let ran = sandbox.exec(Exec::bash("stat -c %s big").as_root()).await.unwrap();
        assert_eq!(ran.output.text(), "67108864\n");
        tidy(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn several_files_together_end_the_action() {
    survive("several", small, async |sandbox| {
        let several = "for number in 1 2 3; do head -c 40M /dev/zero > ~/file$number; done; sleep 600";
        is_too_much(&sandbox.shell("main", several, TIMEOUT).await);
        let ran = sandbox.exec(Exec::bash("pgrep -c -u agent sleep").as_root()).await.unwrap();
        assert_eq!(ran.output.text(), "0\n");
        tidy(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn a_million_empty_files_end_the_action() {
    survive("empty", small, async |sandbox| {
        let many = "python3 -c '\nimport os, time\nfor folder in range(100):\n  os.mkdir(f\"/tmp/f{folder}\")\n  \
                    for name in range(10000): os.close(os.open(f\"/tmp/f{folder}/{name}\", os.O_CREAT | os.O_WRONLY))'";
        is_too_much(&sandbox.exec(Exec::bash(many)).await);
        tidy(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn files_without_a_name_are_counted() {
    survive("nameless", small, async |sandbox| {
        let nameless = "python3 -c '\nimport os, time\nheld = []\nfor number in range(4):\n  \
                        file = open(f\"/tmp/{number}\", \"wb\"); os.unlink(file.name); file.write(bytes(30 << 20)); file.flush(); held.append(file)\n\
                        time.sleep(600)'";
        is_too_much(&sandbox.exec(Exec::bash(nameless)).await);
        tidy(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_fills_the_disk_is_told_to_the_next_action() {
    survive("filling", small, async |sandbox| {
        let daemon = "(for number in 1 2 3 4; do head -c 30M /dev/zero > /var/tmp/$number; sleep 0.2; done; sleep 600) & disown";
        let _ = sandbox.shell("main", daemon, TIMEOUT).await;
        is_too_much(&sandbox.shell("main", "sleep 60", TIMEOUT).await);
        tidy(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn the_shim_is_not_left_on_offer_when_memory_runs_out() {
    survive(
        "offer",
        |spec| spec.user = User::Root,
        async |sandbox| {
            sh(sandbox, "echo 1000 > /proc/1/oom_score_adj").await;
            let wait = "until grep -qx 0 /proc/1/oom_score_adj; do sleep 0.1; done; echo restored";
            assert_eq!(sh(sandbox, wait).await.output.text(), "restored\n");
        },
    )
    .await;
}
