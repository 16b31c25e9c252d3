//! Files in and out of the sandbox, one by one or as a zip archive.

use std::io::{Cursor, Read as _};

use axum::extract::Multipart;
use serde_json::{Value, json};
use trajforge_sandbox::protocol::{ProblemKind, ReadRaw, Request, Response};
use trajforge_sandbox::{File, Identity, Owner, SandboxExt as _};
use zip::ZipArchive;

use super::Shared;
use super::problem::{Class, Problem};
use super::wire::{ReadFile, WriteFile};

/// Of files without a mode of their own.
const MODE: u32 = 0o644;

/// What came with an upload.
#[derive(Default)]
struct Upload {
    content: Option<Vec<u8>>,
    target: Option<String>,
    is_archive: bool,
}

impl Shared {
    /// The text of a file.
    pub(super) async fn read_file(&self, request: ReadFile) -> Result<Value, Problem> {
        let encoding = request.encoding.as_deref().unwrap_or("utf-8").to_lowercase();
        if !matches!(encoding.as_str(), "utf-8" | "utf8" | "utf_8" | "ascii") {
            return Err(Problem::new(Class::Swerex, format!("the encoding {encoding} is not known here")));
        }
        let path = request.path;
        let raw =
            ReadRaw { path: path.clone(), identity: Identity::Agent, max_bytes: self.sandbox.disk_bytes() };
        let bytes = match self.sandbox.call(Request::ReadRaw(raw), Vec::new()).await? {
            (Response::Raw { .. }, bytes) => bytes,
            (Response::Failed(problem), _) if problem.kind == ProblemKind::NoSuchFile => {
                return Err(Problem::new(Class::FileNotFound, problem.message));
            }
            (Response::Failed(problem), _) => return Err(Problem::new(Class::Os, problem.message)),
            (other, _) => {
                return Err(Problem::new(Class::Swerex, format!("{path} can't be read: {other:?}")));
            }
        };
        let content = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if request.errors.as_deref().unwrap_or("strict") == "strict" => {
                return Err(Problem::new(
                    Class::Swerex,
                    format!("{path} is not UTF-8: {}", error.utf8_error()),
                ));
            }
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Ok(json!({ "content": content }))
    }

    /// Writes a text, making the folders that it needs.
    pub(super) async fn write_file(&self, request: WriteFile) -> Result<Value, Problem> {
        let shown = self.sandbox.write("swerex", &request.path, &request.content).await?;
        if shown.is_error {
            return Err(Problem::new(Class::Os, shown.text));
        }
        Ok(json!({}))
    }

    /// Lays a file down, or all files of an archive; they are the agent's.
    pub(super) async fn upload(&self, form: Multipart) -> Result<Value, Problem> {
        let Upload { content: Some(content), target: Some(target), is_archive } = read_form(form).await?
        else {
            return Err(Problem::new(Class::Swerex, "an upload has a file and a target_path"));
        };
        let target = match target.strip_prefix('/') {
            Some(_) => target,
            None => format!("{}/{target}", self.sandbox.spec().workspace),
        };
        let (root, files) = if is_archive {
            let most = self.sandbox.disk_bytes();
            let unpacked = tokio::task::spawn_blocking(move || unzip(content, most)).await;
            (target.as_str(), unpacked.map_err(|error| Problem::new(Class::Swerex, error.to_string()))??)
        } else {
            let (folder, name) = target.rsplit_once('/').unwrap_or_default();
            (folder, vec![File { path: name.to_owned(), mode: MODE, content }])
        };
        let root = if root.is_empty() { "/" } else { root };
        self.sandbox.put(root, Owner::Agent, &files).await?;
        Ok(json!({}))
    }
}

async fn read_form(mut form: Multipart) -> Result<Upload, Problem> {
    let broken =
        |error: axum::extract::multipart::MultipartError| Problem::new(Class::Swerex, error.body_text());
    let mut upload = Upload::default();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "file" => upload.content = Some(field.bytes().await.map_err(broken)?.to_vec()),
            "target_path" => upload.target = Some(field.text().await.map_err(broken)?),
            "unzip" => {
                let word = field.text().await.map_err(broken)?.to_lowercase();
                upload.is_archive = matches!(word.as_str(), "true" | "1" | "on" | "yes");
            }
            _ => {}
        }
    }
    Ok(upload)
}

/// The files of an archive. One that leads out of its folder, or is larger than the sandbox may be, is refused.
fn unzip(content: Vec<u8>, most: u64) -> Result<Vec<File>, Problem> {
    let broken =
        |message: String| Problem::new(Class::Swerex, format!("the archive can't be used: {message}"));
    let mut archive = ZipArchive::new(Cursor::new(content)).map_err(|error| broken(error.to_string()))?;
    let (mut files, mut left) = (Vec::new(), most);
    for number in 0..archive.len() {
        let entry = archive.by_index(number).map_err(|error| broken(error.to_string()))?;
        if !entry.is_file() {
            continue;
        }
        let path = entry.enclosed_name().and_then(|path| path.to_str().map(str::to_owned));
        let path = path.ok_or_else(|| broken(format!("{:?} leads out of it", entry.name())))?;
        let mode = entry.unix_mode().map_or(MODE, |mode| mode & 0o777);
        let mut content = Vec::new();
        // The size that an archive tells is not to be trusted.
        let read =
            entry.take(left + 1).read_to_end(&mut content).map_err(|error| broken(error.to_string()))?;
        left = left
            .checked_sub(read as u64)
            .ok_or_else(|| broken(format!("it holds more than {most} bytes")))?;
        files.push(File { path, mode, content });
    }
    Ok(files)
}
