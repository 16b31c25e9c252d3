//! File operations as an agent sees them, and the manifest of what they did.

use trajforge_schema::{Digest, EntryKind};
use trajforge_shim::protocol::{Edit, Identity, Owner};

use crate::error::Error;
use crate::sandbox::{Sandbox, SandboxExt};

pub(super) async fn a_file_is_written_and_read(sandbox: &dyn Sandbox) {
    let written = sandbox.write("main", "src/deep/a.txt", "one\ntwo\nthree\n").await.expect("it is written");
    assert!(!written.is_error, "{}", written.text);
    let whole = sandbox.read("main", "src/deep/a.txt", None, None).await.expect("it is read");
    assert_eq!(whole.text, "     1\tone\n     2\ttwo\n     3\tthree\n");
    let part = sandbox.read("main", "src/deep/a.txt", Some(2), Some(1)).await.expect("it is read");
    assert!(part.text.starts_with("     2\ttwo\n"), "{}", part.text);
    assert!(part.text.contains("offset 3"), "it does not say how to go on: {}", part.text);
    let beyond = sandbox.read("main", "src/deep/a.txt", Some(9), None).await.expect("it answers");
    assert!(beyond.is_error && beyond.text.contains("3 lines"), "{}", beyond.text);
}

pub(super) async fn an_edit_must_be_unique(sandbox: &dyn Sandbox) {
    sandbox.write("main", "edit.txt", "a = 1\nb = 1\nb = 2\n").await.expect("it is written");
    let edit = |old: &str, new: &str, all| Edit {
        session: "main".to_owned(),
        path: "edit.txt".to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
        all,
    };
    let twice = sandbox.edit(edit("b =", "c =", false)).await.expect("it answers");
    assert!(twice.is_error && twice.text.contains("2 times"), "{}", twice.text);
    let never = sandbox.edit(edit("q = 1 + 2", "x", false)).await.expect("it answers");
    assert!(never.is_error && never.text.contains("is not in"), "{}", never.text);
    let once = sandbox.edit(edit("a = 1", "a = 9", false)).await.expect("it answers");
    assert!(!once.is_error && !once.text.contains("fuzzy"), "{}", once.text);
    let nearly = sandbox.edit(edit("  a  = 9 ", "  a = 3", false)).await.expect("it answers");
    assert!(!nearly.is_error && nearly.text.contains("fuzzy match"), "{}", nearly.text);
    let all = sandbox.edit(edit("b =", "c =", true)).await.expect("it answers");
    assert!(!all.is_error, "{}", all.text);
    let content = sandbox.read_raw("edit.txt", Identity::Agent, 100).await.expect("it is there");
    assert_eq!(content, b"a = 3\nc = 1\nc = 2\n");
}

pub(super) async fn what_is_missing_is_told_to_the_agent(sandbox: &dyn Sandbox) {
    let missing = sandbox.read("main", "nowhere.txt", None, None).await.expect("it answers");
    assert!(missing.is_error && missing.text.contains("nowhere.txt"), "{}", missing.text);
    let folder = sandbox.read("main", "src", None, None).await.expect("it answers");
    assert!(folder.is_error && folder.text.contains("folder"), "{}", folder.text);
    let raw = sandbox.read_raw("nowhere.txt", Identity::Agent, 100).await;
    assert!(matches!(raw, Err(Error::Refused { .. })), "{raw:?}");
    let pattern = sandbox.search("main", "(", None).await.expect("it answers");
    assert!(pattern.is_error, "{}", pattern.text);
}

pub(super) async fn a_search_finds_lines(sandbox: &dyn Sandbox) {
    let found = sandbox.search("main", "^t[a-z]+$", Some("src")).await.expect("it answers");
    assert_eq!(found.text, "src/deep/a.txt:2: two\nsrc/deep/a.txt:3: three\n");
    let nothing = sandbox.search("main", "zebra", None).await.expect("it answers");
    assert!(nothing.text.contains("No line matches"), "{}", nothing.text);
}

pub(super) async fn a_listing_goes_two_levels_deep(sandbox: &dyn Sandbox) {
    let listed = sandbox.list("main", None).await.expect("it answers");
    for line in ["edit.txt  18 B", "src/", "  deep/"] {
        assert!(listed.text.lines().any(|other| other == line), "{line:?} is not in\n{}", listed.text);
    }
    assert!(!listed.text.contains("a.txt"), "it goes too deep:\n{}", listed.text);
}

pub(super) async fn a_delta_says_what_changed(sandbox: &dyn Sandbox) {
    let before = sandbox.manifest().await.expect("a manifest");
    let entry = before.0.get("edit.txt").expect("the file is in it");
    assert_eq!((entry.kind, entry.size), (EntryKind::File, 18));
    assert_eq!(entry.digest, Some(Digest::of(b"a = 3\nc = 1\nc = 2\n")));
    assert_eq!(before.0["src"].kind, EntryKind::Folder);

    assert!(sandbox.delta().await.expect("a delta").is_empty(), "something changed by itself");
    // Same length, at once: only the content tells.
    sandbox.write("main", "edit.txt", "a = 4\nc = 1\nc = 2\n").await.expect("it is written");
    sandbox.write("main", "fresh.txt", "new").await.expect("it is written");
    let delta = sandbox.delta().await.expect("a delta");
    let changed: Vec<&String> = delta.changed.keys().collect();
    assert_eq!(changed, ["edit.txt", "fresh.txt"]);

    let mut after = before;
    after.apply(&delta);
    assert_eq!(sandbox.manifest().await.expect("a manifest"), after);
}

pub(super) async fn raw_bytes_survive(sandbox: &dyn Sandbox) {
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let path = format!("{}/raw.bin", sandbox.spec().workspace);
    sandbox.write_raw(&path, bytes.clone(), 0o640, Owner::Agent).await.expect("it is written");
    assert_eq!(sandbox.read_raw(&path, Identity::Agent, 1 << 20).await.expect("it is read"), bytes);
    let short = sandbox.read_raw(&path, Identity::Agent, 1000).await;
    assert!(matches!(short, Err(Error::Limit { .. })), "{short:?}");
    let shown = sandbox.read("main", &path, None, None).await.expect("it answers");
    assert!(shown.is_error && shown.text.contains("binary"), "{}", shown.text);
    assert_eq!(sandbox.manifest().await.expect("a manifest").0["raw.bin"].mode, 0o640);
}
