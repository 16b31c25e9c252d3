//! A fake: files in memory, commands answered from a table. Nothing runs; what it yields must be labelled as such.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use trajforge_schema::{Delta, Digest, EntryKind, Manifest, ManifestEntry};
use trajforge_shim::protocol::{
    self, Command, Counted, Pack, Packed, Request, Response, Unpack, Unpacked, Usage,
};
use trajforge_shim::text::{Before, Line, LineKind, Matches, Told, edited, listed, numbered, written};

use crate::archive::{Archive, File};
use crate::error::{Error, Result};
use crate::sandbox::{Sandbox, Sandboxes};
use crate::spec::SandboxSpec;

/// What the fake answers to one command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// What it prints.
    pub output: String,
    /// What it ends with.
    pub exit_code: i32,
    /// Files that it writes: absolute paths with their content.
    pub writes: BTreeMap<String, String>,
}

/// Makes sandboxes in which nothing is real.
#[derive(Debug, Clone, Default)]
pub struct Scripted {
    replies: Arc<BTreeMap<String, Reply>>,
}

impl Scripted {
    /// Sandboxes that answer these commands, and every other one with 127.
    pub fn new(replies: impl IntoIterator<Item = (String, Reply)>) -> Self {
        Self { replies: Arc::new(replies.into_iter().collect()) }
    }
}

#[async_trait]
impl Sandboxes for Scripted {
    async fn create(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>> {
        Ok(Box::new(Fake { spec: spec.clone(), replies: Arc::clone(&self.replies), state: Mutex::default() }))
    }

    async fn drain(&self) {}
}

struct Fake {
    spec: SandboxSpec,
    replies: Arc<BTreeMap<String, Reply>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_stopped: bool,
    /// Absolute path, without the leading slash, to mode and content.
    files: BTreeMap<String, (u32, Vec<u8>)>,
    known: Manifest,
}

type Answer = (Response, Vec<u8>);

#[async_trait]
impl Sandbox for Fake {
    fn spec(&self) -> &SandboxSpec {
        &self.spec
    }

    async fn call(&self, request: Request, payload: Vec<u8>) -> Result<Answer> {
        let mut state = self.state()?;
        match request {
            Request::Shell(shell) => Ok(self.run(&mut state, &shell.command)),
            Request::Exec(exec) => match exec.command {
                Command::Bash(script) => Ok(self.run(&mut state, &script)),
                Command::Argv(argv) => Ok(self.run(&mut state, &argv.join(" "))),
            },
            Request::Read(read) => Ok(tell(self.read(&state, &read))),
            Request::ReadRaw(read) => self.read_raw(&state, &read),
            Request::Write(write) => Ok(tell(Ok(self.write(&mut state, &write, payload)))),
            Request::Edit(edit) => Ok(tell(self.edit(&mut state, &edit))),
            Request::Search(search) => Ok(tell(self.search(&state, &search))),
            Request::List(list) => Ok(tell(self.list(&state, &list))),
            Request::Manifest(_) => {
                let (manifest, counted) = self.manifest(&state);
                let json = to_json(&manifest)?;
                state.known = manifest;
                Ok((Response::Manifest(counted), json))
            }
            Request::Delta(_) => {
                let (manifest, counted) = self.manifest(&state);
                let json = to_json(&Delta::between(&state.known, &manifest))?;
                state.known = manifest;
                Ok((Response::Delta(counted), json))
            }
            Request::Kill(_) => Ok((Response::Killed { processes: 0 }, Vec::new())),
            Request::StopServices => Ok((Response::Services { stopped: Vec::new() }, Vec::new())),
            Request::Usage => Ok((Response::Usage(Usage::default()), Vec::new())),
            other @ (Request::Hello(_)
            | Request::StartService(_)
            | Request::Tunnel(_)
            | Request::Pack(_)
            | Request::Unpack(_)) => {
                Err(Error::Refused { reason: format!("a scripted sandbox does not answer {other:?}") })
            }
        }
    }

    async fn pack(&self, pack: Pack) -> Result<(Packed, Archive)> {
        let state = self.state()?;
        let mut files = Vec::new();
        for path in &pack.paths {
            for (path, (mode, content)) in below(&state.files, path.trim_matches('/')) {
                files.push(File { path: path.clone(), mode: *mode, content: content.clone() });
            }
        }
        let bytes = files.iter().map(|file| file.content.len() as u64).sum();
        if bytes > pack.max_bytes {
            return Err(Error::Limit { reason: format!("more than {} bytes", pack.max_bytes) });
        }
        let packed = Packed { entries: files.len() as u64, bytes, skipped: 0 };
        Ok((packed, Archive::of(&files)))
    }

    async fn unpack(&self, unpack: Unpack, archive: Archive) -> Result<Unpacked> {
        let files = archive.into_files(unpack.max_bytes).await?;
        let mut state = self.state()?;
        for path in &unpack.clear {
            let gone: Vec<String> =
                below(&state.files, path.trim_matches('/')).map(|(path, _)| path.clone()).collect();
            for path in gone {
                state.files.remove(&path);
            }
        }
        let unpacked = Unpacked {
            entries: files.len() as u64,
            bytes: files.iter().map(|file| file.content.len() as u64).sum(),
        };
        for file in files {
            let path = normal(&unpack.root, &file.path);
            state.files.insert(path, (file.mode & 0o777, file.content));
        }
        Ok(unpacked)
    }

    async fn stop(&self) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_stopped = true;
        Ok(())
    }
}

impl Fake {
    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_stopped {
            return Err(Error::Lost {
                sandbox: self.spec.rollout.to_string(),
                reason: "it was stopped".to_owned(),
            });
        }
        Ok(state)
    }

    fn run(&self, state: &mut State, command: &str) -> Answer {
        let unknown = Reply {
            output: format!("bash: {command}: not in this sandbox's script\n"),
            exit_code: 127,
            writes: BTreeMap::new(),
        };
        let reply = self.replies.get(command).unwrap_or(&unknown);
        for (path, content) in &reply.writes {
            state.files.insert(normal("/", path), (0o644, content.clone().into_bytes()));
        }
        let output = reply.output.clone().into_bytes();
        let ran = protocol::Ran {
            exit_code: reply.exit_code,
            head_bytes: output.len() as u64,
            cwd: Some(self.spec.workspace.clone()),
            ..protocol::Ran::default()
        };
        (Response::Ran(ran), output)
    }

    /// Without the leading slash.
    fn place(&self, path: &str) -> String {
        normal(&self.spec.workspace, path)
    }

    fn load<'a>(&self, state: &'a State, path: &str) -> Result<&'a Vec<u8>, Told> {
        let place = self.place(path);
        match state.files.get(&place) {
            Some((_, content)) => Ok(content),
            None if below(&state.files, &place).next().is_some() => {
                Err(Told::wrong(format!("/{place} is a folder; list it instead.\n")))
            }
            None => Err(Told::wrong(format!("There is no /{place}.\n"))),
        }
    }

    fn read(&self, state: &State, read: &protocol::Read) -> Result<Told, Told> {
        let content = self.load(state, &read.path)?;
        let name = format!("/{}", self.place(&read.path));
        Ok(numbered(&name, content, read.offset, read.limit))
    }

    fn read_raw(&self, state: &State, read: &protocol::ReadRaw) -> Result<Answer> {
        let place = self.place(&read.path);
        let Some((mode, content)) = state.files.get(&place) else {
            return Err(Error::Refused { reason: format!("there is no /{place}") });
        };
        if content.len() as u64 > read.max_bytes {
            return Err(Error::Limit { reason: format!("/{place} is longer than {} bytes", read.max_bytes) });
        }
        Ok((Response::Raw { mode: *mode }, content.clone()))
    }

    fn write(&self, state: &mut State, write: &protocol::Write, content: Vec<u8>) -> Told {
        let place = self.place(&write.path);
        let old = state.files.get(&place).map(|(mode, _)| *mode);
        let before = if old.is_some() { Before::File } else { Before::Nothing };
        let told = written(&format!("/{place}"), &content, before);
        state.files.insert(place, (old.unwrap_or(0o644), content));
        told
    }

    fn edit(&self, state: &mut State, edit: &protocol::Edit) -> Result<Told, Told> {
        let place = self.place(&edit.path);
        let (changed, told) = edited(&format!("/{place}"), self.load(state, &edit.path)?, edit)?;
        if let Some((_, content)) = state.files.get_mut(&place) {
            *content = changed.into_bytes();
        }
        Ok(told)
    }

    fn search(&self, state: &State, search: &protocol::Search) -> Result<Told, Told> {
        let mut matches = Matches::of(&search.pattern)?;
        let start = self.place(search.path.as_deref().unwrap_or_default());
        let base = format!("{}/", self.place(""));
        for (path, (_, content)) in below(&state.files, &start) {
            let absolute = format!("/{path}");
            let name = path.strip_prefix(&base).unwrap_or(&absolute);
            if !matches.look_into(name, content) {
                break;
            }
        }
        Ok(matches.report())
    }

    fn list(&self, state: &State, list: &protocol::List) -> Result<Told, Told> {
        let place = self.place(list.path.as_deref().unwrap_or_default());
        let lines = inside(&state.files, &place);
        if lines.is_empty() && place != self.place("") {
            return Err(Told::wrong(format!("There is no folder /{place}.\n")));
        }
        Ok(listed(&format!("/{place}"), lines, |inner| Ok(inside(&state.files, &format!("{place}/{inner}")))))
    }

    fn manifest(&self, state: &State) -> (Manifest, Counted) {
        let root = self.place("");
        let mut manifest = Manifest::default();
        let mut bytes = 0;
        for (path, (mode, content)) in below(&state.files, &root) {
            let relative = path[root.len()..].trim_start_matches('/');
            for (at, _) in relative.match_indices('/') {
                let folder = ManifestEntry { kind: EntryKind::Folder, mode: 0o755, size: 0, digest: None };
                manifest.0.insert(relative[..at].to_owned(), folder);
            }
            bytes += content.len() as u64;
            let file = ManifestEntry {
                kind: EntryKind::File,
                mode: *mode,
                size: content.len() as u64,
                digest: Some(Digest::of(content)),
            };
            manifest.0.insert(relative.to_owned(), file);
        }
        let entries = manifest.0.len() as u64;
        (manifest, Counted { entries, bytes })
    }
}

type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// The path itself and all that is below it.
fn below<'a>(files: &'a Files, place: &'a str) -> impl Iterator<Item = (&'a String, &'a (u32, Vec<u8>))> {
    files.iter().filter(move |(path, _)| {
        let rest = path.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || place.is_empty() || rest.starts_with('/'))
    })
}

fn inside(files: &Files, place: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut folders = BTreeSet::new();
    for (path, (_, content)) in below(files, place) {
        let relative = path[place.len()..].trim_start_matches('/');
        match relative.split_once('/') {
            Some((folder, _)) => drop(folders.insert(folder.to_owned())),
            None => {
                lines.push(Line { name: relative.to_owned(), kind: LineKind::File(content.len() as u64) });
            }
        }
    }
    lines.extend(folders.into_iter().map(|name| Line { name, kind: LineKind::Folder }));
    lines
}

/// An absolute path without its leading slash, `.` and `..` resolved.
fn normal(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn tell(told: Result<Told, Told>) -> Answer {
    let told = told.unwrap_or_else(|told| told);
    let shown = protocol::Shown { is_error: told.is_error, cut_bytes: told.cut_bytes };
    (Response::Shown(shown), told.text.into_bytes())
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Protocol { reason: error.to_string() })
}
