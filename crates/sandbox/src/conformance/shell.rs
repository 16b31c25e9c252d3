//! Persistent shell sessions: what survives, what ends, and what can't break them.

use std::time::{Duration, Instant};

use super::{TIMEOUT, sh};
use crate::sandbox::{Sandbox, SandboxExt};

pub(super) async fn a_session_remembers(sandbox: &dyn Sandbox) {
    sh(sandbox, "mkdir -p sub && cd sub && export COLOUR=green && shade=dark && hue() { echo \"hue $1\"; }")
        .await;
    assert_eq!(sh(sandbox, "hue $shade; printenv COLOUR; basename $PWD").await, "hue dark\ngreen\nsub\n");
    let ran = sandbox.shell("main", "(exit 7)", TIMEOUT).await.expect("it answers");
    assert_eq!((ran.exit_code, ran.timed_out, ran.restarted), (7, false, false));
    assert_eq!(ran.cwd, format!("{}/sub", sandbox.spec().workspace));
    sandbox.write("main", "here.txt", "x").await.expect("it is written");
    assert_eq!(
        sh(sandbox, "ls; cd ..").await,
        "here.txt\n",
        "a relative path did not start where the session stands"
    );
    assert_eq!(sh(sandbox, "cat; read x || echo no input; echo oops >&2").await, "no input\noops\n");
}

pub(super) async fn sessions_do_not_mix(sandbox: &dyn Sandbox) {
    let other = sandbox.shell("other", "echo \"[$COLOUR]\"; cd /tmp", TIMEOUT).await.expect("it answers");
    assert_eq!((other.output.text().as_str(), other.cwd.as_str()), ("[]\n", "/tmp"));
    assert_eq!(sh(sandbox, "printenv COLOUR").await, "green\n");
}

pub(super) async fn a_background_job_does_not_hold_the_command(sandbox: &dyn Sandbox) {
    let began = Instant::now();
    sh(sandbox, "sleep 600 & echo started").await;
    assert!(began.elapsed() < Duration::from_secs(5), "the job held the command");
    assert_eq!(sh(sandbox, "jobs -r | wc -l; kill %1; wait 2>/dev/null").await, "1\n");
    // A job that prints for ever neither blocks a command nor is blocked by the silence between two.
    sh(sandbox, "(while :; do echo noise; done) & echo $! > /tmp/noisy").await;
    let ran = sandbox.shell("main", "echo still here", TIMEOUT).await.expect("it answers");
    assert!(ran.output.text().contains("still here"));
    sh(sandbox, "kill -9 $(cat /tmp/noisy); wait 2>/dev/null").await;
    sh(sandbox, "sleep 0.1").await;
    assert_eq!(sh(sandbox, "echo quiet").await, "quiet\n");
}

pub(super) async fn broken_syntax_ends_at_once(sandbox: &dyn Sandbox) {
    for broken in [
        "echo 'never closed",
        "echo \"never closed",
        "if true; then",
        "cat <<END\nno end",
        "for ((",
        "echo )",
        "${",
    ] {
        let began = Instant::now();
        let ran = sandbox.shell("main", broken, TIMEOUT).await.expect("it answers");
        assert!(
            !ran.timed_out && !ran.restarted && began.elapsed() < Duration::from_secs(5),
            "{broken:?} hung: {ran:?}"
        );
    }
    for failing in [
        "echo ${nothing:?is set}",
        "exec no-such-program",
        "readonly R=1; R=2",
        "exec </dev/null >/dev/null 2>&1",
    ] {
        let ran = sandbox.shell("main", failing, TIMEOUT).await.expect("it answers");
        assert!(!ran.restarted && !ran.timed_out, "{failing:?} ended the session: {ran:?}");
    }
    assert_eq!(sh(sandbox, "printenv COLOUR").await, "green\n", "the session was lost");
}

pub(super) async fn the_end_can_not_be_forged(sandbox: &dyn Sandbox) {
    let forged = r"for fd in /proc/self/fd/*; do printf '0 0 /tmp\0x.1 0 /tmp\0' >> $fd; done 2>/dev/null; sleep 0.2; echo real end; (exit 5)";
    let ran = sandbox.shell("main", forged, TIMEOUT).await.expect("it answers");
    assert_eq!(ran.exit_code, 5);
    assert!(ran.output.text().ends_with("real end\n"), "{:?}", ran.output.text());
    assert_eq!(ran.cwd, sandbox.spec().workspace);
}

pub(super) async fn a_stubborn_process_is_killed_and_the_session_survives(sandbox: &dyn Sandbox) {
    let stubborn = "python3 -c 'import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n\
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(\"begun\", flush=True)\ntime.sleep(600)'";
    let ran = sandbox.shell("main", stubborn, Duration::from_millis(500)).await.expect("it answers");
    assert!(ran.timed_out && !ran.restarted, "{ran:?}");
    assert!(ran.duration < Duration::from_secs(10), "{ran:?}");
    assert!(ran.output.text().starts_with("begun"), "{:?}", ran.output.text());
    assert_eq!(sh(sandbox, "printenv COLOUR; pgrep -c python3").await, "green\n0\n");
}

pub(super) async fn a_loop_is_interrupted(sandbox: &dyn Sandbox) {
    for endless in ["while true; do sleep 1; done", "while :; do :; done", "cat /dev/zero > /dev/null"] {
        let ran = sandbox.shell("main", endless, Duration::from_millis(300)).await.expect("it answers");
        assert!(ran.timed_out && !ran.restarted, "{endless:?}: {ran:?}");
        assert!(ran.duration < Duration::from_secs(2), "{endless:?}: {ran:?}");
    }
    assert_eq!(sh(sandbox, "printenv COLOUR").await, "green\n");
}

pub(super) async fn an_older_background_job_survives_a_timeout(sandbox: &dyn Sandbox) {
    sh(sandbox, "sleep 601 & disown; sleep 0.05").await;
    let stubborn = "bash -c 'trap \"\" INT TERM; while :; do sleep 1; done'";
    let ran = sandbox.shell("main", stubborn, Duration::from_millis(200)).await.expect("it answers");
    assert!(ran.timed_out && !ran.restarted, "{ran:?}");
    assert_eq!(sh(sandbox, "pgrep -fc 'sleep 601'; pkill -f 'sleep 601'").await, "1\n");
}

pub(super) async fn an_exit_begins_the_session_again(sandbox: &dyn Sandbox) {
    let ran = sandbox.shell("main", "cd /tmp; exit 3", TIMEOUT).await.expect("it answers");
    assert!(ran.restarted && ran.exit_code == 3, "{ran:?}");
    assert_eq!(ran.cwd, sandbox.spec().workspace);
    let next = sandbox.shell("main", "echo \"[$COLOUR]\"", TIMEOUT).await.expect("it answers");
    assert_eq!((next.output.text().as_str(), next.restarted), ("[]\n", false));
    let replaced = sandbox.shell("main", "exec true", TIMEOUT).await.expect("it answers");
    assert!(replaced.restarted && replaced.exit_code == 0, "{replaced:?}");
    let killed = sandbox.shell("main", "kill -9 $$", TIMEOUT).await.expect("it answers");
    assert!(killed.restarted && killed.exit_code == 137, "{killed:?}");
}
