//! Forks: several sandboxes that go on from one.

use super::{end, sh};
use crate::exec::Exec;
use crate::fork::fork;
use crate::sandbox::{Sandbox, SandboxExt, Sandboxes};

const ACT: &str = r#"cd /workspace; mkdir -p a/b 'odd name'; echo one > a/b/file; echo é > $'odd name/\xff'; ln -s b a/link; chmod 700 a/b
echo home > ~/note; rm ~/.profile; mkdir /tmp/scratch; echo two > /tmp/scratch/file; chmod 1777 /tmp/scratch
export COLOUR="it's
red"; plain='$HOME "quoted"'; list=(1 'two words'); declare -A map=([k]=v); greet() { echo "hello $1"; }
alias shout='echo LOUD'; shopt -s nullglob; set -o pipefail; umask 027; cd a"#;

const LOOK: &str = r#"pwd; echo "$COLOUR"; echo "$plain"; echo "${list[1]} ${map[k]}"; greet you; shout; shopt nullglob; set -o | grep pipefail
umask; env | grep -c ^COLOUR; env | grep -c ^plain
cat b/file link/file $'../odd name/\xff' ~/note /tmp/scratch/file; ls ~/.profile 2>&1; stat -c '%n %a %U' b /tmp/scratch /etc/owned /tmp"#;

pub(super) async fn a_fork_goes_on_from_where_it_was(sandbox: &dyn Sandbox, sandboxes: &dyn Sandboxes) {
    sh(sandbox, ACT).await;
    let root = Exec::bash("echo 3 > /etc/owned; chmod 640 /etc/owned; rm /etc/skel/.bashrc").as_root();
    sandbox.exec(root).await.expect("it answers");
    let here = sh(sandbox, LOOK).await;
    assert!(
        here.contains("/etc/owned 640 root") && here.contains("two words v\nhello you\nLOUD\n"),
        "{here}"
    );
    let all = sandbox.manifest().await.expect("a manifest");

    let forks = (0..3).map(|_| fork(sandbox, sandboxes, &["main"]));
    for (number, fork) in futures_util::future::join_all(forks).await.into_iter().enumerate() {
        let fork = fork.expect("it is forked");
        assert_eq!(sh(&*fork, LOOK).await, here);
        assert_eq!(fork.manifest().await.expect("a manifest"), all);
        assert_eq!(sh(&*fork, "ls -A /etc/skel | grep -c bashrc").await, "0\n");
        // They don't see each other.
        let own = format!("COLOUR=blue; echo {number} >> b/file; cat b/file");
        assert_eq!(sh(&*fork, &own).await, format!("one\n{number}\n"));
        end(fork).await;
    }
    assert_eq!(sh(sandbox, LOOK).await, here);
}
