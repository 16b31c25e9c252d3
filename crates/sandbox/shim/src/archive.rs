//! The archives that carry files in and out: a strict subset of GNU tar, written and read without ever trusting it.
//!
//! Only regular files, folders and symbolic links exist; paths are relative and never climb; set-user and set-group
//! bits are dropped; the sizes together are capped. [`Reader`] enforces this wherever an archive passes: in the shim
//! that lays it out, and on the host between two sandboxes.

use std::fmt;

const BLOCK: usize = 512;
const NAME: std::ops::Range<usize> = 0..100;
const TARGET: std::ops::Range<usize> = 157..257;
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// Longest path or link target: what Linux takes is 4,096.
const MAX_NAME: u64 = 16 << 10;
/// Entries of one archive, at most.
pub const MAX_ENTRIES: u64 = 2_000_000;

/// One path of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative; bytes, since not every name is UTF-8.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// User and group, as numbers.
    pub owner: (u32, u32),
    /// Of the last change, in seconds since 1970.
    pub modified: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file; its bytes follow.
    File {
        /// How many.
        size: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link {
        /// Where it points; never followed.
        target: Vec<u8>,
    },
}

/// Why an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveError {
    /// It is no archive of ours.
    Malformed(&'static str),
    /// A path that is empty, absolute, climbs, or can't exist.
    Path(String),
    /// An entry that is neither file, folder nor link.
    Kind(char),
    /// More bytes or entries than allowed.
    TooLarge {
        /// How many bytes are allowed.
        max_bytes: u64,
    },
    /// It ends in the middle.
    Torn,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the archive is malformed: {what}"),
            Self::Path(path) => write!(f, "the archive holds the path {path:?}, which could leave its root"),
            Self::Kind(kind) => write!(
                f,
                "the archive holds an entry of type {kind:?}; only files, folders and links are carried"
            ),
            Self::TooLarge { max_bytes } => write!(f, "the archive holds more than {max_bytes} bytes"),
            Self::Torn => f.write_str("the archive ends in the middle"),
        }
    }
}

impl std::error::Error for ArchiveError {}

/// The bytes that open an entry; a file's content and [`padding`] follow.
pub fn header(entry: &Entry) -> Vec<u8> {
    let mut wire = Vec::with_capacity(BLOCK);
    let (flag, size, target): (u8, u64, &[u8]) = match &entry.kind {
        EntryKind::File { size } => (b'0', *size, &[]),
        EntryKind::Folder => (b'5', 0, &[]),
        EntryKind::Link { target } => (b'2', 0, target),
    };
    if target.len() > TARGET.len() {
        long_name(&mut wire, b'K', target);
    }
    if entry.path.len() > NAME.len() {
        long_name(&mut wire, b'L', &entry.path);
    }
    let mut block = block(&entry.path, flag, size, entry.mode & 0o1777);
    block[TARGET][..target.len().min(TARGET.len())]
        .copy_from_slice(&target[..target.len().min(TARGET.len())]);
    number(&mut block[108..116], u64::from(entry.owner.0));
    number(&mut block[116..124], u64::from(entry.owner.1));
    number(&mut block[136..148], entry.modified);
    seal(&mut block);
    wire.extend_from_slice(&block);
    wire
}

/// How many zero bytes follow a file's content.
pub fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

/// The bytes that close an archive.
pub fn trailer() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

fn long_name(wire: &mut Vec<u8>, flag: u8, name: &[u8]) {
    let mut block = block(b"././@LongLink", flag, name.len() as u64, 0);
    seal(&mut block);
    wire.extend_from_slice(&block);
    wire.extend_from_slice(name);
    wire.resize(wire.len() + padding(name.len() as u64), 0);
}

fn block(name: &[u8], flag: u8, size: u64, mode: u32) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let short = name.len().min(NAME.len());
    block[..short].copy_from_slice(&name[..short]);
    number(&mut block[100..108], u64::from(mode));
    number(&mut block[108..116], 0);
    number(&mut block[116..124], 0);
    number(&mut block[124..136], size);
    number(&mut block[136..148], 0);
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar  \0");
    block
}

fn seal(block: &mut [u8; BLOCK]) {
    let digits = format!("{:06o}\0 ", checksum(block));
    block[CHECKSUM].copy_from_slice(digits.as_bytes());
}

fn checksum(block: &[u8; BLOCK]) -> u32 {
    block
        .iter()
        .enumerate()
        .map(|(at, byte)| if CHECKSUM.contains(&at) { 32 } else { u32::from(*byte) })
        .sum()
}

fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    if text.len() <= digits {
        field[..digits].copy_from_slice(text.as_bytes());
    } else {
        let start = field.len() - 8;
        field[start..].copy_from_slice(&value.to_be_bytes());
        field[0] |= 0x80;
    }
}

/// What a [`Reader`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next entry begins.
    Entry(Entry),
    /// The next bytes of the file that began last.
    Data(&'a [u8]),
}

/// Reads an archive that arrives in pieces, and refuses what must not be in one.
#[derive(Debug)]
pub struct Reader {
    max_bytes: u64,
    bytes: u64,
    entries: u64,
    block: Vec<u8>,
    part: Part,
    long_path: Option<Vec<u8>>,
    long_target: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Part {
    Header,
    Content { left: u64, padding: usize },
    Name { flag: u8, name: Vec<u8>, left: u64, padding: usize },
    Padding { left: usize },
    Finished,
}

impl Reader {
    /// A reader that refuses more than `max_bytes` of file content.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            entries: 0,
            block: Vec::with_capacity(BLOCK),
            part: Part::Header,
            long_path: None,
            long_target: None,
        }
    }

    /// How many entries have begun.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many bytes of content the entries have together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes in the next bytes and tells `found` what is in them.
    ///
    /// # Errors
    /// When the archive is refused, or when `found` fails.
    pub fn feed<E: From<ArchiveError>>(
        &mut self,
        mut bytes: &[u8],
        found: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Finished => return Ok(()),
                Part::Header => {
                    let take = bytes.len().min(BLOCK - self.block.len());
                    let (now, later) = bytes.split_at(take);
                    self.block.extend_from_slice(now);
                    bytes = later;
                    if self.block.len() == BLOCK
                        && let Some(entry) = self.header()?
                    {
                        found(Event::Entry(entry))?;
                    }
                }
                Part::Content { left, padding } => {
                    let (now, later) = split(bytes, *left);
                    *left -= now.len() as u64;
                    bytes = later;
                    if *left == 0 {
                        self.part = after(*padding);
                    }
                    found(Event::Data(now))?;
                }
                Part::Name { flag, name, left, padding } => {
                    let (now, later) = split(bytes, *left);
                    *left -= now.len() as u64;
                    name.extend_from_slice(now);
                    bytes = later;
                    if *left == 0 {
                        let name = std::mem::take(name);
                        let name = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
                        if *flag == b'L' {
                            self.long_path = Some(name);
                        } else {
                            self.long_target = Some(name);
                        }
                        self.part = after(*padding);
                    }
                }
                Part::Padding { left } => {
                    let take = bytes.len().min(*left);
                    *left -= take;
                    bytes = &bytes[take..];
                    if *left == 0 {
                        self.part = Part::Header;
                    }
                }
            }
        }
        Ok(())
    }

    /// Says whether the archive was whole.
    ///
    /// # Errors
    /// When its end is missing.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        match self.part {
            Part::Finished => Ok(()),
            _ => Err(ArchiveError::Torn),
        }
    }

    fn header(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let block: [u8; BLOCK] = std::mem::take(&mut self.block)
            .try_into()
            .map_err(|_| ArchiveError::Malformed("a header is too short"))?;
        if block.iter().all(|byte| *byte == 0) {
            self.part = Part::Finished;
            return Ok(None);
        }
        if parse(&block[CHECKSUM]) != Some(u64::from(checksum(&block))) {
            return Err(ArchiveError::Malformed("a header's checksum is wrong"));
        }
        let size = parse(&block[124..136]).ok_or(ArchiveError::Malformed("a size is no number"))?;
        let flag = block[156];
        if matches!(flag, b'L' | b'K') {
            if size == 0 || size > MAX_NAME {
                return Err(ArchiveError::Malformed("a name is too long"));
            }
            self.part = Part::Name { flag, name: Vec::new(), left: size, padding: padding(size) };
            return Ok(None);
        }
        let kind = match flag {
            b'0' | 0 => EntryKind::File { size },
            b'5' => EntryKind::Folder,
            b'2' => {
                EntryKind::Link { target: self.long_target.take().unwrap_or_else(|| text(&block[TARGET])) }
            }
            other => return Err(ArchiveError::Kind(char::from(other))),
        };
        let path = self.long_path.take().unwrap_or_else(|| text(&block[NAME]));
        let path =
            safe_path(&path).ok_or_else(|| ArchiveError::Path(String::from_utf8_lossy(&path).into()))?;
        let content = if matches!(kind, EntryKind::File { .. }) { size } else { 0 };
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(content);
        if self.bytes > self.max_bytes || self.entries > MAX_ENTRIES {
            return Err(ArchiveError::TooLarge { max_bytes: self.max_bytes });
        }
        self.part = match content {
            0 => Part::Header,
            left => Part::Content { left, padding: padding(left) },
        };
        let mode = mode(&block, &kind);
        Ok(Some(Entry {
            path,
            kind,
            mode,
            owner: (id(&block[108..116]), id(&block[116..124])),
            modified: parse(&block[136..148]).unwrap_or(0),
        }))
    }
}

/// Permission bits, and the sticky one of a folder.
fn mode(block: &[u8], kind: &EntryKind) -> u32 {
    let mode = u32::try_from(parse(&block[100..108]).unwrap_or(0o644)).unwrap_or(0o644);
    mode & if *kind == EntryKind::Folder { 0o1777 } else { 0o777 }
}

/// A user or group; nobody, where it makes no sense.
fn id(field: &[u8]) -> u32 {
    parse(field).and_then(|id| u32::try_from(id).ok()).unwrap_or(65_534)
}

fn split(bytes: &[u8], left: u64) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)))
}

fn after(padding: usize) -> Part {
    match padding {
        0 => Part::Header,
        left => Part::Padding { left },
    }
}

fn text(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn parse(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        let tail = field.last_chunk::<8>()?;
        return Some(u64::from_be_bytes(*tail));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

/// The path with `.` and doubled slashes taken out; nothing if it is empty, absolute or climbs.
pub fn safe_path(path: &[u8]) -> Option<Vec<u8>> {
    if path.starts_with(b"/") || path.contains(&0) {
        return None;
    }
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.is_empty() || parts.contains(&b"..".as_slice()) || parts.iter().any(|part| part.len() > 255) {
        return None;
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests;
