//! Acts that use something up: output, memory, processes, names, descriptors.

use std::time::Duration;

use trajforge_sandbox::{Error, Exec, SandboxExt};

use super::ground::{TIMEOUT, goes_on, sh, survive, usual};

#[tokio::test]
async fn ten_gigabytes_of_output_are_counted_and_cut() {
    survive("output", usual, async |sandbox| {
        let ran = sh(sandbox, "head -c 10G /dev/zero").await;
        assert!(ran.succeeded(), "{}", ran.exit_code);
        let kept = (ran.output.head.len() + ran.output.tail.len()) as u64;
        assert_eq!(kept, sandbox.spec().output_bytes);
        assert_eq!(kept + ran.output.cut_bytes, 10 << 30);
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn an_endless_line_is_cut_and_ends_with_its_time() {
    survive("line", usual, async |sandbox| {
        let endless = "yes | tr -d '\\n'";
        let ran = sandbox.shell("main", endless, Duration::from_secs(2)).await.unwrap();
        assert!(ran.timed_out && ran.output.cut_bytes > 0, "{} {}", ran.exit_code, ran.output.cut_bytes);
        assert!(ran.output.head.iter().all(|byte| *byte == b'y'));
        let asked = sandbox.exec(Exec::bash(endless).within(Duration::from_secs(2))).await.unwrap();
        assert!(asked.timed_out && asked.output.cut_bytes > 0, "{}", asked.exit_code);
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn binary_garbage_is_neither_a_frame_nor_an_end() {
    survive("garbage", usual, async |sandbox| {
        // Noise onto everything that is open, the session's own pipes included.
        let noise =
            "for fd in /proc/self/fd/* /proc/$$/fd/*; do head -c 300000 /dev/urandom > $fd; done 2>/dev/null";
        let ran = sandbox.shell("main", noise, Duration::from_secs(20)).await.unwrap();
        assert!(ran.output.head.len() as u64 <= sandbox.spec().output_bytes);
        let ran = sandbox.exec(Exec::bash("head -c 2000000 /dev/urandom")).await.unwrap();
        let kept = (ran.output.head.len() + ran.output.tail.len()) as u64;
        assert_eq!(kept + ran.output.cut_bytes, 2_000_000);
        // Text that looks like control sequences, half a character, and NUL.
        let ran = sh(sandbox, r"printf '\x1b[2J\xf0\x9f\x00\xc3'").await;
        assert_eq!(ran.output.head, b"\x1b[2J\xf0\x9f\x00\xc3");
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn all_descriptors_taken_by_the_agent_are_its_own() {
    survive("descriptors", usual, async |sandbox| {
        let greedy = "python3 -c 'import os, time\nheld = []\ntry:\n  while True: held.append(os.open(\"/dev/null\", 0))\n\
                      except OSError as error: print(len(held) > 1000, error.errno, flush=True)\ntime.sleep(600)' & sleep 1";
        assert!(sh(sandbox, greedy).await.output.text().ends_with("True 24\n"));
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn sessions_without_end_are_a_limit_and_the_first_goes_on() {
    survive(
        "sessions",
        |spec| spec.limits.pids = 32,
        async |sandbox| {
            sh(sandbox, "true").await;
            let mut refused = 0;
            for number in 0..60 {
                match sandbox.shell(&format!("session-{number}"), "true", TIMEOUT).await {
                    Ok(_) => {}
                    Err(Error::Limit { .. }) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!(refused > 0, "no limit was met");
            assert!(!sandbox.list("main", None).await.unwrap().is_error);
            sandbox.kill_agent().await.unwrap();
            goes_on(sandbox).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_memory_bomb_of_many_takes_itself_away_and_not_the_shim() {
    survive("memory", |spec| spec.limits.memory_mb = 192, async |sandbox| {
        let bomb = "for i in 1 2 3 4 5 6 7 8; do python3 -c 'x = bytearray(150 << 20); import time; time.sleep(3)' & done; wait";
        let ran = sandbox.shell("main", bomb, Duration::from_secs(30)).await.unwrap();
        assert!(!ran.timed_out, "{:?}", ran.output.text());
        // Pages of a file system in memory belong to the sandbox too.
        let ran = sh(sandbox, "dd if=/dev/zero of=/dev/shm/big bs=1M count=512; rm -f /dev/shm/big").await;
        assert!(!ran.timed_out);
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn a_fork_bomb_that_leaves_its_session_is_swept_away() {
    survive("forks", |spec| spec.limits.pids = 64, async |sandbox| {
        sh(sandbox, "true").await;
        let bomb = "python3 -c '\nimport os\nwhile True:\n  try:\n    if os.fork() == 0: os.setsid()\n  except OSError: pass' &\nsleep 1";
        let _ = sandbox.shell("main", bomb, Duration::from_secs(3)).await;
        sandbox.usage().await.unwrap();
        sandbox.kill_agent().await.unwrap();
        let ran = sandbox.exec(Exec::bash("pgrep -c -u agent python3").as_root()).await.unwrap();
        assert_eq!(ran.output.text(), "0\n");
        goes_on(sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn forty_thousand_files_are_looked_at_and_told_in_part() {
    survive("many", usual, async |sandbox| {
        let many = "python3 -c '\nimport os\nfor folder in range(5):\n  os.mkdir(f\"f{folder}\")\n  \
                    for name in range(8000): os.close(os.open(f\"f{folder}/{name}\", os.O_CREAT | os.O_WRONLY))'";
        sh(sandbox, many).await;
        assert_eq!(sandbox.delta().await.unwrap().changed.len(), 40_005);
        let listed = sandbox.list("main", Some("f0")).await.unwrap();
        assert!(!listed.is_error && listed.text.len() < 100_000, "{}", listed.text.len());
        let searched = sandbox.search("main", "nothing", None).await.unwrap();
        assert!(!searched.is_error, "{}", searched.text);
        assert_eq!(sh(sandbox, "rm -rf f*; ls -A").await.output.text(), "");
        goes_on(sandbox).await;
    })
    .await;
}
