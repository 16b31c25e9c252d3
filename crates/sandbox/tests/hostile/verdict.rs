//! Acts against the verdict: what the agent leaves behind for root's checks to trip over.

use std::time::Duration;

use trajforge_sandbox::{Exec, File, Owner, SandboxExt};

use super::ground::{goes_on, sh, survive, usual};

/// Everything by which a command of the verifier's could be replaced by one that lies.
const SHADOWS: &str = r#"
mkdir -p bin ~/bin ~/.local/bin ~/.config
for name in cat ls python3 test grep true; do printf '#!/bin/sh\necho FORGED\nexit 0\n' | tee bin/$name ~/bin/$name ~/.local/bin/$name > $name; done
chmod +x bin/* ~/bin/* ~/.local/bin/* cat ls python3 test grep true
export PATH="$PWD/bin:$HOME/bin:$PATH" BASH_ENV="$PWD/rc" ENV="$PWD/rc" LD_PRELOAD="$PWD/evil.so" PYTHONPATH="$PWD" PYTHONSTARTUP="$PWD/rc.py"
export CDPATH=$PWD IFS=x PS4='$(echo FORGED)' SHELLOPTS BASHOPTS PYTHONHOME=$PWD GIT_DIR=$PWD/git
printf 'cat() { echo FORGED; }\nalias ls="echo FORGED"\ntrap "echo FORGED; exit 0" EXIT\n' > rc
cp rc ~/.bashrc; cp rc ~/.profile; cp rc ~/.bash_profile; cp rc ~/.bash_login
cat() { echo FORGED; }; exit() { echo FORGED; }; test() { echo FORGED; }
export -f cat exit test
echo 'print("FORGED"); import os; os._exit(0)' | tee sitecustomize.py usercustomize.py json.py os.py checks.py conftest.py rc.py > evil.pth
site=$(/usr/bin/python3 -c 'import site; print(site.getusersitepackages())' 2>/dev/null)
"#;

#[tokio::test]
async fn nothing_in_the_workspace_shadows_what_the_verifier_runs() {
    survive("shadows", usual, async |sandbox| {
        let _ = sh(sandbox, SHADOWS).await;
        let _ = sh(sandbox, "d=/home/agent/.local/lib/python3.11/site-packages; mkdir -p $d; echo 'import os; print(\"FORGED\"); os._exit(0)' > $d/evil.pth").await;
        let checks = File { path: "checks.py".to_owned(), mode: 0o644, content: b"import json, os, sys; print(json.dumps('honest')); sys.exit(7)".to_vec() };
        sandbox.put("/verify", Owner::Secret, &[checks]).await.unwrap();
        for folder in ["/verify", "/workspace"] {
            let check = Exec::bash("cat /verify/checks.py >/dev/null; ls / >/dev/null; python3 /verify/checks.py")
                .as_root()
                .in_folder(folder);
            let ran = sandbox.exec(check).await.unwrap();
            assert_eq!((ran.output.text().as_str(), ran.exit_code), ("\"honest\"\n", 7), "in {folder}");
            let ran = sandbox.exec(Exec::argv(["python3", "/verify/checks.py"]).as_root().in_folder(folder)).await.unwrap();
            assert_eq!((ran.output.text().as_str(), ran.exit_code), ("\"honest\"\n", 7), "in {folder}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_agents_code_can_not_end_the_check_that_runs_it() {
    survive(
        "check",
        |spec| spec.limits.pids = 64,
        async |sandbox| {
            let program = "#!/usr/bin/python3\nimport os, signal, sys\n\
                       for target in (os.getppid(), 1, -1):\n  \
                       try: os.kill(target, signal.SIGKILL)\n  except OSError: pass\n\
                       while True:\n  try:\n    if os.fork() == 0: os.setsid()\n  except OSError: pass\n";
            sandbox.write("main", "program", program).await.unwrap();
            sh(sandbox, "chmod +x program").await;
            let check = "as-agent timeout -s KILL 2 ./program; code=$?; echo code $code; exit 9";
            let ran = sandbox
                .exec(Exec::bash(check).as_root().in_folder("/workspace").within(Duration::from_secs(10)))
                .await
                .unwrap();
            assert_ne!(ran.exit_code, 0, "{:?}", ran.output.text());
            sandbox.usage().await.unwrap();
            sandbox.kill_agent().await.unwrap();
            // What the next check finds is a machine to itself.
            let next = sandbox.exec(Exec::bash("pgrep -c -f program; echo verdict").as_root()).await.unwrap();
            assert_eq!(next.output.text(), "0\nverdict\n");
            goes_on(sandbox).await;
        },
    )
    .await;
}
