//! A digest that stands for a `.git` folder: where HEAD and all references point, and what is staged.
//!
//! Objects are left out: they are named by their content already, and what nothing points to is noise. So are the
//! timestamps in the index, which differ whenever the same files are checked out again.

use std::fs::File;
use std::io::Read;

use rustix::fs::FileType;

use crate::folder::{self, Item, Next};

const MAX_FILE: u64 = 32 << 20;

/// The digest; nothing if the folder can't be read.
pub(crate) fn digest(repository: &Item<'_>) -> Option<[u8; 32]> {
    let folder = repository_folder(repository)?;
    let mut hasher = blake3::Hasher::new();
    folder::walk::<()>(&folder, &mut Vec::new(), 0, &mut |item| {
        let path = item.path;
        let matters =
            matches!(path, b"HEAD" | b"packed-refs" | b"index" | b"refs") || path.starts_with(b"refs/");
        if matters && item.kind() == FileType::RegularFile {
            let content = read(item).unwrap_or_default();
            let content = if path == b"index" { staged(&content).unwrap_or(content) } else { content };
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            hasher.update(&(content.len() as u64).to_le_bytes());
            hasher.update(&content);
        }
        Ok(if matters { Next::Enter } else { Next::Pass })
    })
    .ok()?;
    Some(*hasher.finalize().as_bytes())
}

fn repository_folder(item: &Item<'_>) -> Option<std::os::fd::OwnedFd> {
    item.open().ok()
}

fn read(item: &Item<'_>) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    File::from(item.open().ok()?).take(MAX_FILE).read_to_end(&mut content).ok()?;
    Some(content)
}

/// Mode, object, flags and path of each entry of an index of version 2 or 3; nothing for other versions.
fn staged(index: &[u8]) -> Option<Vec<u8>> {
    let be32 = |at: usize| index.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    if index.get(..4)? != b"DIRC" || !matches!(be32(4)?, 2 | 3) {
        return None;
    }
    let mut kept = Vec::new();
    let mut at = 12;
    for _ in 0..be32(8)? {
        let entry = index.get(at..)?;
        let flags = u16::from_be_bytes(entry.get(60..62)?.try_into().ok()?);
        let fixed = if flags & 0x4000 == 0 { 62 } else { 64 };
        let length = entry.get(fixed..)?.iter().position(|byte| *byte == 0)?;
        kept.extend_from_slice(entry.get(24..28)?);
        kept.extend_from_slice(entry.get(40..fixed + length)?);
        kept.push(0);
        at += (fixed + length + 8) & !7;
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(seconds: u8, name: &str) -> Vec<u8> {
        let mut wire = b"DIRC\0\0\0\x02\0\0\0\x01".to_vec();
        let start = wire.len();
        wire.extend([seconds; 24]);
        wire.extend([0, 0, 0x81, 0xa4]);
        wire.extend([seconds; 12]);
        wire.extend([7; 20]);
        wire.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        wire.extend(name.as_bytes());
        let length = (wire.len() - start + 8) & !7;
        wire.resize(start + length, 0);
        wire.extend([9; 20]);
        wire
    }

    #[test]
    fn the_index_counts_without_its_timestamps() {
        assert_eq!(staged(&index(1, "a.txt")), staged(&index(2, "a.txt")));
        assert_ne!(staged(&index(1, "a.txt")), staged(&index(1, "b.txt")));
        assert!(staged(&index(1, "a.txt")).is_some());
        assert_eq!(staged(b"DIRC\0\0\0\x04\0\0\0\x01"), None);
    }
}
