//! The conformance suite against Podman's Docker-compatible socket: an engine of its own, in a folder of its own.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use trajforge_sandbox::conformance::{Scope, check};
use trajforge_sandbox::{Docker, SandboxSpec};

use super::engine::{cache, spec};

/// A Podman that serves below a folder.
struct Podman<'a> {
    folder: &'a Path,
    service: Child,
}

impl<'a> Podman<'a> {
    async fn start(folder: &'a Path) -> Self {
        let address = format!("unix://{}", folder.join("socket").display());
        let service = command(folder)
            .args(["system", "service", "--time=0", &address])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let podman = Self { folder, service };
        for _ in 0..200 {
            if folder.join("socket").exists() {
                return podman;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("podman did not begin to serve");
    }

    /// Copies an image over from Docker; gives its name here.
    fn copy(&self, image: &str) -> String {
        let mut save = Command::new("docker").args(["save", image]).stdout(Stdio::piped()).spawn().unwrap();
        let load = command(self.folder)
            .arg("load")
            .stdin(save.stdout.take().unwrap())
            .stdout(Stdio::null())
            .status();
        assert!(load.unwrap().success() && save.wait().unwrap().success(), "{image} was not copied");
        format!("localhost/{image}")
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = command(self.folder).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        let _ = command(self.folder).args(["rmi", "--all", "--force"]).output();
        let _ = self.service.kill();
        let _ = self.service.wait();
        let _ = Command::new("umount").arg(self.folder.join("root/overlay")).output();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    command.arg("--root").arg(folder.join("root")).arg("--runroot").arg(folder.join("run"));
    command
}

fn is_here() -> bool {
    let found = Command::new("podman").arg("--version").stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success()) && rustix::process::geteuid().is_root()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_of_podman_behave() {
    if !is_here() {
        writeln!(std::io::stdout(), "skipped: podman is not installed, or this user is not root").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let podman = Podman::start(folder.path()).await;
    let spec = spec().await;
    let spec = SandboxSpec { image: podman.copy(&spec.image), ..spec };
    let address = format!("unix://{}", folder.path().join("socket").display());
    let docker = Docker::connect(Some(&address), &cache()).await.unwrap();
    check(&docker, &spec, Scope::Everything).await;
    assert_eq!(podman.said(&["ps", "--all", "--quiet"]), "");
}
