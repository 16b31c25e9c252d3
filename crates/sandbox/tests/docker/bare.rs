//! An image that holds a busybox and nothing else: no bash, no libc, no users, no `/tmp`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use trajforge_sandbox::{
    Error, Exec, File, Identity, Owner, Sandbox, SandboxExt, SandboxSpec, Sandboxes, User,
};

use super::engine::{docker, spec};

const IMAGE: &str = "trajforge/busybox:test";
const BUSYBOX: &str = "/bin/busybox";

/// Makes the image; false where Debian's busybox-static is not installed.
fn import() -> bool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    if std::fs::copy(BUSYBOX, folder.path().join("bin/busybox")).is_err() {
        return false;
    }
    for name in ["sh", "ls", "cat", "id", "sleep", "head", "yes", "true"] {
        std::os::unix::fs::symlink("busybox", folder.path().join("bin").join(name)).unwrap();
    }
    let tar = ["-C", &folder.path().display().to_string(), "-c", "."].map(str::to_owned);
    let mut packing = Command::new("tar").args(tar).stdout(Stdio::piped()).spawn().unwrap();
    let input = packing.stdout.take().unwrap();
    let importing =
        Command::new("docker").args(["import", "-", IMAGE]).stdin(input).stdout(Stdio::null()).status();
    importing.unwrap().success() && packing.wait().unwrap().success()
}

async fn what_works(sandbox: &dyn Sandbox) {
    let (uid, _) = sandbox.spec().user.ids();
    let ran = sandbox.exec(Exec::bash("id -u; echo $HOME; cat")).await.unwrap();
    assert_eq!(ran.output.text(), format!("{uid}\n{}\n", sandbox.spec().user.home()));
    let ran = sandbox.exec(Exec::bash("yes").within(Duration::from_millis(500))).await.unwrap();
    assert!(ran.timed_out && ran.output.cut_bytes > 0, "{ran:?}");
    let shell = sandbox.shell("main", "echo hi", Duration::from_secs(10)).await;
    assert!(matches!(&shell, Err(Error::Refused { reason }) if reason.contains("no bash")), "{shell:?}");

    assert!(!sandbox.write("main", "folder/file", "text\n").await.unwrap().is_error);
    assert_eq!(sandbox.read("main", "folder/file", None, None).await.unwrap().text, "     1\ttext\n");
    assert!(sandbox.search("main", "te.t", None).await.unwrap().text.contains("folder/file:1: text"));
    assert!(sandbox.list("main", None).await.unwrap().text.contains("folder/"));
    assert_eq!(sandbox.manifest().await.unwrap().0.keys().collect::<Vec<_>>(), ["folder", "folder/file"]);

    let secret = File { path: "check".to_owned(), mode: 0o700, content: b"#!/bin/sh\necho checked".to_vec() };
    sandbox.put("/verify", Owner::Secret, &[secret]).await.unwrap();
    assert!(sandbox.read("main", "/verify/check", None, None).await.unwrap().is_error);
    let check = Exec::bash("./check; as-agent id -u").as_root().in_folder("/verify");
    assert_eq!(sandbox.exec(check).await.unwrap().output.text(), format!("checked\n{uid}\n"));
    let raw = sandbox.read_raw("folder/file", Identity::Root, 100).await.unwrap();
    assert_eq!(raw, b"text\n");
    sandbox.kill_agent().await.unwrap();
}

#[tokio::test]
async fn without_bash_everything_works_but_sessions_which_say_so() {
    if !import() {
        writeln!(std::io::stdout(), "skipped: {BUSYBOX} is not installed (apt-get install busybox-static)")
            .unwrap();
        return;
    }
    let docker = docker().await;
    for user in [User::Agent, User::Root] {
        let spec = SandboxSpec { image: IMAGE.to_owned(), user, ..spec().await };
        let (from, to) = (docker.create(&spec).await.unwrap(), docker.create(&spec).await.unwrap());
        what_works(&*from).await;
        from.carry(&["/workspace".to_owned()], &*to).await.unwrap();
        assert_eq!(to.manifest().await.unwrap(), from.manifest().await.unwrap());
        from.stop().await.unwrap();
        to.stop().await.unwrap();
    }
    docker.drain().await;
    let removed = Command::new("docker").args(["rmi", IMAGE]).stdout(Stdio::null()).status().unwrap();
    assert!(removed.success());
}
