//! A fork of a sandbox with 50 MB changed, beside the engine's own way: commit an image, start a container of it.

use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;
use trajforge_sandbox::{SandboxExt as _, Sandboxes as _, fork};

use super::super::bed::Bed;
use super::super::figures::{median, milliseconds};

const ROUNDS: usize = 5;
/// Fifty files of a megabyte that no disk can make smaller, outside of the workspace as well as in it.
const CHANGE: &str = "for n in $(seq 25); do head -c 1048576 /dev/urandom > /workspace/big$n; head -c 1048576 /dev/urandom > /tmp/big$n; done";

/// What was measured; milliseconds until the fork runs.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    rounds: usize,
    fork_p50_ms: f64,
    commit_and_run_p50_ms: f64,
    /// The second by the first.
    ratio: f64,
}

/// Both in turn.
pub(super) async fn measure(bed: &Bed) -> anyhow::Result<Figures> {
    let sandbox = bed.docker.create(&bed.spec).await?;
    let changed = sandbox.shell("main", CHANGE, std::time::Duration::from_mins(1)).await?;
    ensure!(changed.succeeded(), "{}", changed.output.text());
    let bare = bed.docker.bare(&bed.spec).await?;
    ensure!(bare.exec(&["bash", "-c", CHANGE]).await? == 0, "the container could not be changed");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let forked = fork(&*sandbox, &bed.docker, &["main"]).await?;
        ours.push(milliseconds(began));
        forked.stop().await?;
        let began = Instant::now();
        let (copy, image) = bare.commit_and_run(&bed.spec).await?;
        theirs.push(milliseconds(began));
        copy.remove().await?;
        bare.discard(image).await?;
    }
    bare.remove().await?;
    sandbox.stop().await?;
    let (fork_p50_ms, commit_and_run_p50_ms) = (median(&ours), median(&theirs));
    Ok(Figures {
        rounds: ROUNDS,
        fork_p50_ms,
        commit_and_run_p50_ms,
        ratio: commit_and_run_p50_ms / fork_p50_ms,
    })
}

impl Figures {
    pub(super) fn text(&self) -> String {
        let Self { rounds, fork_p50_ms, commit_and_run_p50_ms, ratio } = self;
        format!(
            "A fork of a sandbox with 50 MB changed, its shell's memory included: {fork_p50_ms:.0} ms; `docker commit` and \
             `docker run`, without it: {commit_and_run_p50_ms:.0} ms\n({ratio:.1} times as long; medians of {rounds}).\n"
        )
    }
}
