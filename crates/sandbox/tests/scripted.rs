//! The conformance suite against the scripted fake, as far as that goes.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

use trajforge_sandbox::conformance::{Scope, check};
use trajforge_sandbox::{Network, Reply, SandboxExt, SandboxSpec, Sandboxes, Scripted, User};

fn spec() -> SandboxSpec {
    SandboxSpec {
        image: "none".to_owned(),
        run: "scripted".parse().unwrap(),
        rollout: "scripted-1".parse().unwrap(),
        user: User::Agent,
        workspace: "/workspace".to_owned(),
        limits: trajforge_schema::Limits::default(),
        variables: std::collections::BTreeMap::new(),
        network: Network::None,
        output_bytes: SandboxSpec::OUTPUT_BYTES,
        layers: Vec::new(),
    }
}

#[tokio::test]
async fn the_fake_behaves_as_far_as_files_go() {
    check(&Scripted::default(), &spec(), Scope::Files).await;
}

#[tokio::test]
async fn a_command_is_answered_from_the_table() {
    let build = Reply {
        output: "done\n".to_owned(),
        exit_code: 0,
        writes: [("/workspace/out.bin".to_owned(), "x".to_owned())].into(),
    };
    let sandboxes = Scripted::new([("make".to_owned(), build)]);
    let sandbox = sandboxes.create(&spec()).await.unwrap();
    let timeout = std::time::Duration::from_secs(1);
    let ran = sandbox.shell("main", "make", timeout).await.unwrap();
    assert!(ran.succeeded() && ran.output.text() == "done\n" && ran.cwd == "/workspace");
    assert!(sandbox.delta().await.unwrap().changed.contains_key("out.bin"));
    let unknown = sandbox.shell("main", "rm -rf /", timeout).await.unwrap();
    assert_eq!(unknown.exit_code, 127);
}
