//! The roots of all images: small Debians, pulled where a registry has them, made with mmdebstrap where none does.

use std::process::Stdio;
use std::time::Duration;

use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::Images;
use crate::error::{Error, Result};

/// What most recipes start from.
pub const ROOT_IMAGE: &str = "trajforge/debian:bookworm-slim";

/// Something that recipes may start from.
#[derive(Debug, PartialEq, Eq)]
pub struct Root {
    /// Its tag.
    pub image: &'static str,
    /// Where it is pulled from.
    pub source: &'static str,
    /// The release of Debian.
    suite: &'static str,
    /// Raised when what is in it changes on purpose: it counts for every tag.
    version: u32,
}

/// What tasks run in.
pub const BOOKWORM: Root =
    Root { image: ROOT_IMAGE, source: "debian:bookworm-slim", suite: "bookworm", version: 1 };
/// What scaffolds are made of: its interpreters are recent enough for all of them.
pub const TRIXIE: Root =
    Root { image: "trajforge/debian:trixie-slim", source: "debian:trixie-slim", suite: "trixie", version: 1 };

impl Root {
    /// The root with that tag.
    pub(super) fn of(image: &str) -> Option<&'static Self> {
        [&BOOKWORM, &TRIXIE].into_iter().find(|root| root.image == image)
    }

    /// What counts for the tags of everything that is made of it.
    pub(super) fn identity(&self) -> String {
        format!("{}@{}", self.image, self.version)
    }
}

/// How long a registry may be silent.
const PATIENCE: Duration = Duration::from_secs(20);
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PROGRAM: &str = "mmdebstrap";
/// Bytes of a program's complaint that are shown.
const SHOWN: usize = 1500;

impl Images {
    /// Pulls an image and tags it as a root.
    pub async fn pull_root(&self, root: &Root, source: &str) -> Result<()> {
        let doing = format!("pull {source}");
        let (name, tag) = source.rsplit_once(':').unwrap_or((source, "latest"));
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
        let mut progress = self.engine.client.create_image(Some(options), None, None);
        loop {
            let step = tokio::time::timeout(PATIENCE, progress.next());
            match step.await {
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(self.engine.error(&doing, error)),
                Ok(None) => break,
                Err(_) => {
                    let reason = format!("the registry was silent for {} s", PATIENCE.as_secs());
                    return Err(Error::ImageBroken { image: source.to_owned(), reason });
                }
            }
        }
        let (repository, tag) = root.image.rsplit_once(':').unwrap_or((root.image, "latest"));
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.engine
            .client
            .tag_image(source, Some(options))
            .await
            .map_err(|error| self.engine.error(&format!("tag {source}"), error))
    }

    /// Makes a root from Debian's packages.
    pub async fn bootstrap_root(&self, root: &Root) -> Result<()> {
        if !is_installed().await && !install().await {
            return Err(Error::ProgramMissing {
                program: PROGRAM.to_owned(),
                purpose: format!("the image {} without a registry", root.image),
            });
        }
        let broken = |reason: String| Error::ImageBroken { image: root.image.to_owned(), reason };
        let mut making = Command::new(PROGRAM)
            .args(["--quiet", "--variant=minbase", "--format=tar"])
            .args(
                ["doc", "man", "locale", "info"]
                    .map(|kind| format!("--dpkgopt=path-exclude=/usr/share/{kind}/*")),
            )
            .arg("--dpkgopt=path-include=/usr/share/doc/*/copyright")
            .arg(r#"--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin"#)
            .args([root.suite, "-", "http://deb.debian.org/debian"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| broken(error.to_string()))?;
        let (out, complaints) = (making.stdout.take(), making.stderr.take());
        let (Some(out), Some(mut complaints)) = (out, complaints) else {
            return Err(broken("its output could not be read".to_owned()));
        };
        let complaining = tokio::spawn(async move {
            let mut words = Vec::new();
            let _ = complaints.read_to_end(&mut words).await;
            words
        });
        let imported = self.import(root, out).await;
        let status = making.wait().await.map_err(|error| broken(error.to_string()))?;
        if !status.success() {
            let words = complaining.await.unwrap_or_default();
            let words = String::from_utf8_lossy(&words[words.len().saturating_sub(SHOWN)..]).into_owned();
            // What was imported of a torn archive must not be taken for the image.
            self.remove(root.image).await?;
            return Err(broken(format!("{PROGRAM} ended with {status}: {}", words.trim())));
        }
        imported
    }

    async fn import(
        &self,
        root: &Root,
        archive: impl tokio::io::AsyncRead + Send + Unpin + 'static,
    ) -> Result<()> {
        let (repository, tag) = root.image.rsplit_once(':').unwrap_or((root.image, "latest"));
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(repository)
            .tag(tag)
            .changes(vec![r#"CMD ["bash"]"#.to_owned(), format!("ENV {PATH}")])
            .build();
        let pieces = stream::unfold(archive, |mut archive| async move {
            let mut piece = vec![0; 1 << 18];
            match archive.read(&mut piece).await {
                Ok(0) => None,
                Ok(count) => {
                    piece.truncate(count);
                    Some((Ok(Bytes::from(piece)), archive))
                }
                Err(error) => Some((Err(error), archive)),
            }
        });
        let body = bollard::body_try_stream(pieces);
        let mut progress = self.engine.client.create_image(Some(options), Some(body), None);
        while let Some(step) = progress.next().await {
            step.map_err(|error| self.engine.error(&format!("import {}", root.image), error))?;
        }
        Ok(())
    }
}

async fn is_installed() -> bool {
    runs(PROGRAM, &["--version"]).await
}

/// Installs mmdebstrap where this process may do so without being asked for anything.
async fn install() -> bool {
    let packages = ["install", "-y", "--no-install-recommends", PROGRAM, "debian-archive-keyring"];
    let mut attempts: Vec<(&str, Vec<&str>)> = vec![("apt-get", packages.to_vec())];
    attempts.push(("sudo", ["-n", "apt-get"].into_iter().chain(packages).collect()));
    for (program, arguments) in attempts {
        if runs(program, &arguments).await && is_installed().await {
            return true;
        }
    }
    false
}

async fn runs(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}
