//! Acts on files: what is needed taken away, links that lead elsewhere, names that nobody expects.

use std::time::Duration;

use trajforge_sandbox::{Error, Exec, File, Owner, SandboxExt, SandboxSpec, User};

use super::ground::{goes_on, sh, survive, usual};

#[tokio::test]
async fn the_workspace_can_be_gone_or_be_something_else() {
    survive(
        "gone",
        |spec| spec.workspace = "/home/agent/project".to_owned(),
        async |sandbox| {
            let workspace = sandbox.spec().workspace.clone();
            sh(sandbox, "echo x > file; cd /; rm -rf /home/agent/project /home/agent/.??* /tmp/* /var/tmp/*")
                .await;
            for replace in [
                "true",
                "ln -s /etc /home/agent/project",
                "rm project; echo file > project",
                "rm project; mkfifo project",
            ] {
                sh(sandbox, &format!("cd /home/agent; {replace}")).await;
                let manifest = sandbox.manifest().await;
                assert!(matches!(manifest, Err(Error::Refused { .. })), "{replace}: {manifest:?}");
                let put = File { path: "planted".to_owned(), mode: 0o644, content: b"x".to_vec() };
                let _ = sandbox.put(&workspace, Owner::Agent, &[put]).await;
                let ran = sandbox
                    .exec(Exec::bash("test ! -e /etc/planted && echo clean").as_root().in_folder("/"))
                    .await
                    .unwrap();
                assert_eq!(ran.output.text(), "clean\n");
                let _ = sandbox.exec(Exec::bash("true")).await;
                sh(sandbox, "cd /home/agent; rm -rf project/planted").await;
                sh(sandbox, "test -d project && rmdir project; true").await;
            }
            let again = sandbox.shell("second", "pwd", super::ground::TIMEOUT).await.unwrap();
            assert_eq!(again.output.text(), "/\n");
            sh(sandbox, "rm -f /home/agent/project; mkdir /home/agent/project; cd /home/agent/project").await;
            goes_on(sandbox).await;
        },
    )
    .await;
}

#[tokio::test]
async fn an_agent_who_is_root_can_ruin_only_its_own_container() {
    survive("ruin", |spec| spec.user = User::Root, async |sandbox| {
        let ruin = "cd /; rm -rf /workspace /tmp /home /root /usr/lib/python3 /bin/bash /usr/bin/bash /bin/sh /usr/bin/sh /usr/bin/dash; \
                    chmod 000 /etc /usr/lib; echo done";
        let ran = sh(sandbox, ruin).await;
        assert!(ran.output.text().ends_with("done\n"), "{:?}", ran.output.text());
        // The session that runs is in memory; whatever has to be started is not, and says so.
        let ran = sandbox.shell("main", "exit 0", super::ground::TIMEOUT).await;
        assert!(ran.is_err() || ran.is_ok_and(|ran| ran.restarted), "a shell came from nowhere");
        let next = sandbox.shell("main", "echo hi", super::ground::TIMEOUT).await;
        assert!(matches!(next, Err(Error::Refused { .. })), "{next:?}");
        let script = sandbox.exec(Exec::bash("true").in_folder("/")).await.unwrap();
        assert_eq!(script.exit_code, 127);
        sandbox.usage().await.unwrap();
        sandbox.kill_agent().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn files_that_nobody_may_read_are_still_looked_at_and_carried() {
    survive("modes", usual, async |sandbox| {
        sh(
            sandbox,
            "mkdir -p a/b; echo x > a/b/c; echo y > d; chmod 000 a/b/c a/b a d .; chmod 000 ~ 2>/dev/null",
        )
        .await;
        let manifest = sandbox.manifest().await.unwrap();
        assert_eq!(manifest.0.keys().collect::<Vec<_>>(), ["a", "a/b", "a/b/c", "d"]);
        assert!(manifest.0["d"].mode == 0 && manifest.0["d"].digest.is_some());
        let read = sandbox.read("main", "/workspace/d", None, None).await.unwrap();
        assert!(read.is_error && read.text.contains("ermission"), "{}", read.text);
        let workspace = sandbox.spec().workspace.clone();
        let docker = crate::engine::docker().await;
        let fresh = trajforge_sandbox::Sandboxes::create(&docker, sandbox.spec()).await.unwrap();
        sandbox.carry(&[workspace], &*fresh).await.unwrap();
        assert_eq!(fresh.manifest().await.unwrap(), manifest);
        fresh.stop().await.unwrap();
        trajforge_sandbox::Sandboxes::drain(&docker).await;
        let ran = sandbox.shell("fresh", "pwd", super::ground::TIMEOUT).await;
        assert!(ran.is_ok(), "a session can't begin in a folder that is closed to its owner: {ran:?}");
    })
    .await;
}

#[tokio::test]
async fn a_hard_link_or_a_link_lends_no_rights() {
    survive("links", usual, async |sandbox| {
        let links = "ln /etc/shadow hard; ln /trajforge/shim hardshim; ln -s /run/trajforge/agent.json s1; ln -s /verify/answer s2; \
                     ln -s /proc/1/root/run/trajforge s3; ln -s . loop; ln -s ../../../../../../etc/shadow up";
        sh(sandbox, links).await;
        let secret = File { path: "answer".to_owned(), mode: 0o600, content: b"42".to_vec() };
        sandbox.put("/verify", Owner::Secret, &[secret]).await.unwrap();
        for path in ["hard", "s1", "s2", "s3/agent.json", "up", "loop/loop/loop/up"] {
            let read = sandbox.read("main", path, None, None).await.unwrap();
            assert!(read.is_error, "{path}: {}", read.text);
            let written = sandbox.write("main", path, "x").await.unwrap();
            assert!(written.is_error || path == "hard", "{path}: {}", written.text);
        }
        let ran = sandbox.exec(Exec::bash("cat /verify/answer; ls -l /etc/shadow | cut -c1-10").as_root()).await.unwrap();
        assert_eq!(ran.output.text(), "42-rw-r-----\n");
        // The parent of a path swapped for a link while files are laid out or packed.
        let swap = "mkdir -p real; (while :; do mv -T real away 2>/dev/null; ln -sfn /etc real; rm -f real; mv -T away real 2>/dev/null; done) & echo $!";
        sh(sandbox, swap).await;
        for number in 0..60 {
            let file = File { path: format!("real/swapped-{number}"), mode: 0o644, content: b"x".to_vec() };
            let _ = sandbox.put("/workspace", Owner::Agent, &[file]).await;
        }
        let ran = sandbox.exec(Exec::bash("ls /etc | grep -c swapped").as_root()).await.unwrap();
        assert_eq!(ran.output.text(), "0\n");
        sandbox.kill_agent().await.unwrap();
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn names_of_any_bytes_and_lengths_are_kept_apart() {
    survive("names", usual, async |sandbox| {
        let names = "python3 -c '\nimport os\nfor name in (b\"new\\nline\", b\"\\xff\\xfe\", b\"tab\\t\", b\" \", b\"-rf\", b\"..x\", b\"\\x1b[2J\", b\"a\" * 255):\n  \
                     open(name, \"w\").write(\"x\")\nfor _ in range(16):\n  os.mkdir(b\"b\" * 250)\n  os.chdir(b\"b\" * 250)\nopen(\"deep\", \"w\").write(\"x\")'";
        let ran = sh(sandbox, names).await;
        assert!(ran.succeeded(), "{:?}", ran.output.text());
        let manifest = sandbox.manifest().await.unwrap();
        assert_eq!(manifest.0.len(), 8 + 16 + 1);
        assert!(manifest.0.keys().any(|path| path.len() > 4000 && path.ends_with("/deep")));
        let docker = crate::engine::docker().await;
        let fresh = trajforge_sandbox::Sandboxes::create(&docker, sandbox.spec()).await.unwrap();
        sandbox.carry(&[sandbox.spec().workspace.clone()], &*fresh).await.unwrap();
        assert_eq!(fresh.manifest().await.unwrap(), manifest);
        fresh.stop().await.unwrap();
        trajforge_sandbox::Sandboxes::drain(&docker).await;
        for path in ["new\nline", "-rf", " ", "tab\t"] {
            assert!(!sandbox.read("main", path, None, None).await.unwrap().is_error, "{path:?}");
        }
        let listed = sandbox.list("main", None).await.unwrap();
        assert!(!listed.is_error && !listed.text.lines().any(|line| line.starts_with("line")), "{}", listed.text);
        let long = "n".repeat(4000);
        assert!(sandbox.write("main", &long, "x").await.unwrap().is_error);
        assert!(sandbox.read("main", &"x/".repeat(4000), None, None).await.unwrap().is_error);
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn folders_too_deep_to_be_looked_into_are_told_and_not_left_out() {
    survive("deep", usual, async |sandbox| {
        sandbox.manifest().await.unwrap();
        let deep = "python3 -c '\nimport os\nfor _ in range(2000):\n  os.mkdir(\"d\")\n  os.chdir(\"d\")\nopen(\"hidden\", \"w\").write(\"x\")'";
        // The watcher of the disk may see it before the command is over, and tells of it once.
        let _ = sandbox.exec(Exec::bash(deep)).await;
        let delta = sandbox.delta().await;
        assert!(matches!(&delta, Err(Error::Limit { reason }) if reason.contains("200")), "{delta:?}");
        let docker = crate::engine::docker().await;
        let fresh = trajforge_sandbox::Sandboxes::create(&docker, sandbox.spec()).await.unwrap();
        let carried = sandbox.carry(&[sandbox.spec().workspace.clone()], &*fresh).await;
        assert!(matches!(carried, Err(Error::Limit { .. })), "{carried:?}");
        fresh.stop().await.unwrap();
        trajforge_sandbox::Sandboxes::drain(&docker).await;
        let listed = sandbox.list("main", None).await.unwrap();
        assert!(sandbox.manifest().await.is_err());
        let searched = sandbox.search("main", "x", None).await.unwrap();
        assert!(!listed.is_error && !searched.is_error, "{} {}", listed.text, searched.text);
        sandbox.exec(Exec::bash("rm -rf d").as_root()).await.unwrap();
        super::disk::settle(sandbox).await;
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "makes 210,000 files: for make test-long"]
async fn more_files_than_a_manifest_holds_are_a_limit_and_not_a_hole() {
    let roomy = |spec: &mut SandboxSpec| spec.limits.disk_mb = 4096;
    survive("many", roomy, async |sandbox| {
        let many = "python3 -c '\nimport os\nfor folder in range(210):\n  os.mkdir(f\"f{folder}\")\n  \
                    for name in range(1000): os.close(os.open(f\"f{folder}/{name}\", os.O_CREAT | os.O_WRONLY))'";
        let ran = sandbox.exec(Exec::bash(many).within(Duration::from_mins(5))).await.unwrap();
        assert!(ran.succeeded(), "{:?}", ran.output.text());
        let manifest = sandbox.manifest().await;
        assert!(matches!(&manifest, Err(Error::Limit { reason }) if reason.contains("200000")), "{manifest:?}");
        let docker = crate::engine::docker().await;
        let fresh = trajforge_sandbox::Sandboxes::create(&docker, sandbox.spec()).await.unwrap();
        let carried = sandbox.carry(&[sandbox.spec().workspace.clone()], &*fresh).await;
        assert!(carried.is_ok() || matches!(carried, Err(Error::Limit { .. })), "{carried:?}");
        fresh.stop().await.unwrap();
        trajforge_sandbox::Sandboxes::drain(&docker).await;
        sandbox.exec(Exec::bash("rm -rf /workspace/*").as_root().within(Duration::from_mins(5))).await.unwrap();
        super::disk::settle(sandbox).await;
        goes_on(sandbox).await;
    })
    .await;
}
