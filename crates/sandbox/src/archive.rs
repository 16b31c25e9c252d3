//! Archives on the host: streams of files between sandboxes, checked while they pass.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use trajforge_schema::TaskFile;
use trajforge_shim::archive::{ArchiveError, Entry, EntryKind, Event, Reader, header, padding, trailer};

use crate::error::{Error, Result};

/// Of every file that the host lays down: fixed, so that equal files give equal archives. 2024-01-01.
const MODIFIED: u64 = 1_704_067_200;

/// A file to be laid down in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative to the root that it is laid down at.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl From<&TaskFile> for File {
    fn from(file: &TaskFile) -> Self {
        Self { path: file.path.clone(), mode: file.mode, content: file.content.0.clone() }
    }
}

/// Files, folders and links under way, as a stream of pieces of a tar file.
pub struct Archive {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

impl Archive {
    /// An archive of a few files that are in memory.
    pub fn of(files: &[File]) -> Self {
        let mut wire = Vec::new();
        for file in files {
            let size = file.content.len() as u64;
            wire.extend(header(&Entry {
                path: file.path.clone().into_bytes(),
                kind: EntryKind::File { size },
                mode: file.mode,
                owner: (0, 0),
                modified: MODIFIED,
            }));
            wire.extend_from_slice(&file.content);
            wire.resize(wire.len() + padding(size), 0);
        }
        wire.extend(trailer());
        Self::from_bytes(wire)
    }

    /// An archive that is whole in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::from_stream(stream::once(async move { Ok(bytes) }))
    }

    /// An archive that arrives in pieces.
    pub fn from_stream(pieces: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self { pieces: Box::pin(pieces) }
    }

    /// The next piece.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        self.pieces.next().await
    }

    /// The whole archive, in memory.
    pub async fn into_bytes(mut self) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole)
    }

    /// The regular files of the archive, in memory.
    pub async fn into_files(mut self, max_bytes: u64) -> Result<Vec<File>> {
        let mut reader = Reader::new(max_bytes);
        let mut files: Vec<File> = Vec::new();
        let mut found = |event: Event<'_>| -> Result<()> {
            match event {
                Event::Entry(Entry { path, kind: EntryKind::File { .. }, mode, .. }) => files.push(File {
                    path: String::from_utf8_lossy(&path).into_owned(),
                    mode,
                    content: Vec::new(),
                }),
                Event::Entry(_) => {}
                Event::Data(bytes) => {
                    if let Some(file) = files.last_mut() {
                        file.content.extend_from_slice(bytes);
                    }
                }
            }
            Ok(())
        };
        while let Some(piece) = self.next().await {
            reader.feed(&piece?, &mut found)?;
        }
        reader.finish()?;
        Ok(files)
    }

    /// The same archive, which fails as soon as something is in it that must not be: a path that climbs, a device, a
    /// hard link, or more than `max_bytes`.
    #[must_use]
    pub fn checked(self, max_bytes: u64) -> Self {
        let state = (self, Some(Reader::new(max_bytes)));
        Self::from_stream(stream::unfold(state, |(mut archive, reader)| async move {
            let mut reader = reader?;
            let checked = match archive.next().await {
                Some(Ok(piece)) => match reader.feed::<ArchiveError>(&piece, &mut |_| Ok(())) {
                    Ok(()) => return Some((Ok(piece), (archive, Some(reader)))),
                    Err(error) => Err(error.into()),
                },
                Some(Err(error)) => Err(error),
                None => match reader.finish() {
                    Ok(()) => return None,
                    Err(error) => Err(error.into()),
                },
            };
            Some((checked, (archive, None)))
        }))
    }
}

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        let reason = error.to_string();
        match error {
            ArchiveError::TooLarge { .. } => Self::Limit { reason },
            ArchiveError::Path(_) | ArchiveError::Kind(_) => Self::Refused { reason },
            ArchiveError::Malformed(_) | ArchiveError::Torn => Self::Protocol { reason },
        }
    }
}
