//! Files on their way between sandboxes, and manifests of hostile folders.

use trajforge_schema::EntryKind;
use trajforge_shim::protocol::{Identity, Owner, Pack};

use super::sh;
use crate::archive::File;
use crate::error::Error;
use crate::exec::Exec;
use crate::sandbox::{Sandbox, SandboxExt};

fn file(path: &str, mode: u32, content: &[u8]) -> File {
    File { path: path.to_owned(), mode, content: content.to_vec() }
}

pub(super) async fn files_are_carried_over(from: &dyn Sandbox, to: &dyn Sandbox) {
    let workspace = from.spec().workspace.clone();
    let big = vec![b'z'; 3 << 20];
    let files = [file("carry/a.sh", 0o755, b"echo a"), file("carry/deep/er/b.bin", 0o600, &big)];
    let laid = from.put(&workspace, Owner::Agent, &files).await.expect("they are laid down");
    assert_eq!((laid.entries, laid.bytes), (2, 6 + (3 << 20)));
    to.put(&workspace, Owner::Agent, &[file("stale.txt", 0o644, b"old")]).await.expect("it is laid down");

    from.carry(std::slice::from_ref(&workspace), to).await.expect("they are carried");
    assert_eq!(from.manifest().await.expect("a manifest"), to.manifest().await.expect("a manifest"));
    let carried = to.read_raw("carry/deep/er/b.bin", Identity::Agent, 4 << 20).await.expect("it is there");
    assert_eq!(carried, big);

    let pack = Pack::of(vec![format!("{workspace}/carry"), "/no/such/path".to_owned()], 1 << 30);
    let (packed, archive) = from.pack(pack).await.expect("it is packed");
    let files = archive.into_files(1 << 30).await.expect("it is whole");
    assert_eq!((files.len(), packed.bytes), (2, 6 + (3 << 20)));
    let climbing = from.put(&workspace, Owner::Agent, &[file("../escaped", 0o644, b"x")]).await;
    assert!(matches!(climbing, Err(Error::Refused { .. })), "{climbing:?}");
}

pub(super) async fn only_harmless_things_are_carried(from: &dyn Sandbox, to: &dyn Sandbox) {
    let workspace = from.spec().workspace.clone();
    let prepare = "cd \"$HOME/../../workspace\" 2>/dev/null || cd /workspace; mkdir -p odd closed && cd odd && echo plain > file && \
                   ln file hard && ln -s /etc/passwd out && ln -s file in && mkfifo pipe && cp /bin/true suid && chmod 6755 suid && \
                   python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")' && \
                   touch $'new\\nline' $'\\xff\\xfe' && mkdir sticky && chmod 1777 sticky && echo x > ../closed/x && chmod 000 ../closed; cd ..";
    sh(from, prepare).await;
    let packed = from.carry(std::slice::from_ref(&workspace), to).await.expect("it is carried");
    assert_eq!(packed.skipped, 2, "the pipe and the socket are left out");
    let seen = to
        .exec(Exec::bash("cd odd; stat -c '%n %F %a %h %U' *; readlink out; cat hard in").as_root())
        .await
        .expect("it answers")
        .output
        .text();
    for line in [
        "file regular file 644 1 agent",
        "hard regular file 644 1 agent",
        "suid regular file 755 1 agent",
        "sticky directory 777 2 agent",
        "/etc/passwd",
    ] {
        assert!(seen.lines().any(|other| other == line), "{line:?} is not in\n{seen}");
    }
    assert!(seen.ends_with("plain\nplain\n"), "{seen}");

    // A link on the way must not be followed, neither when packing nor when laying out.
    sh(from, "chmod 700 closed; rm -rf odd closed; ln -s /etc way").await;
    let pack = Pack::of(vec![format!("{workspace}/way/passwd")], 1 << 20);
    let followed = from.pack(pack).await;
    assert!(matches!(followed, Err(Error::Refused { .. })), "{followed:?}");
    let through = from.put(&workspace, Owner::Agent, &[file("way/owned", 0o644, b"x")]).await;
    assert!(through.is_err(), "an archive was laid out through a link");
    let made = from.exec(Exec::bash("test -e /etc/owned").as_root()).await.expect("it answers");
    assert_ne!(made.exit_code, 0);
    sh(from, "rm way").await;
}

pub(super) async fn too_much_is_refused(from: &dyn Sandbox, to: &dyn Sandbox) {
    let workspace = from.spec().workspace.clone();
    sh(from, "for number in $(seq 20); do truncate -s 100M huge$number; done").await;
    let packed = from.carry(std::slice::from_ref(&workspace), to).await;
    assert!(matches!(packed, Err(Error::Limit { .. })), "{packed:?}");
    let delta = from.delta().await;
    assert!(matches!(delta, Err(Error::Limit { .. })), "{delta:?}");
    sh(from, "rm huge*").await;
    from.delta().await.expect("it fits again");
}

pub(super) async fn two_sandboxes_do_not_mix(one: &dyn Sandbox, other: &dyn Sandbox) {
    let (a, b) = tokio::join!(
        sh(one, "echo one > /tmp/who; sleep 0.2; cat /tmp/who"),
        sh(other, "echo other > /tmp/who; sleep 0.2; cat /tmp/who"),
    );
    assert_eq!((a.as_str(), b.as_str()), ("one\n", "other\n"));
}

pub(super) async fn a_manifest_sees_everything(sandbox: &dyn Sandbox) {
    let prepare = "mkdir -p m/closed && cd m && echo a > a && ln -s a link && mkfifo pipe && echo b > closed/b && chmod 000 closed && \
                   touch $'\\xff' 'back\\slash' && git init -q repo && cd repo && echo c > c && git add c && git commit -qm c; cd ../..";
    sh(sandbox, prepare).await;
    let manifest = sandbox.manifest().await.expect("a manifest").0;
    assert_eq!(manifest["m/link"].kind, EntryKind::Link);
    assert_eq!(manifest["m/pipe"].kind, EntryKind::Other);
    assert_eq!((manifest["m/closed"].mode, manifest["m/closed/b"].size), (0, 2));
    for path in [r"m/\xff", r"m/back\\slash", "m/repo/c"] {
        assert!(manifest.contains_key(path), "{path} is missing from {:?}", manifest.keys());
    }
    assert!(manifest["m/repo/.git"].digest.is_some());
    assert!(!manifest.keys().any(|path| path.contains(".git/")), "what is in .git is listed");

    sh(sandbox, "cd m/repo && git status >/dev/null && git gc -q && cd ../..").await;
    assert!(!sandbox.delta().await.expect("a delta").changed.contains_key("m/repo/c"));
    sh(sandbox, "cd m/repo && git commit -qm d --allow-empty && cd ../.. && rm m/a").await;
    let delta = sandbox.delta().await.expect("a delta");
    assert_eq!(delta.changed.keys().filter(|path| *path != "m").collect::<Vec<_>>(), ["m/repo/.git"]);
    assert_eq!(delta.removed, ["m/a"]);
    sh(sandbox, "chmod 700 m/closed; rm -rf m").await;
}
