//! Archives survive any cut, and nothing hostile passes.

use super::*;
use proptest::prelude::*;

fn pack(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (entry, content) in entries {
        wire.extend(header(entry));
        wire.extend(content);
        wire.resize(wire.len() + padding(content.len() as u64), 0);
    }
    wire.extend(trailer());
    wire
}

fn unpack(wire: &[u8], step: usize, max_bytes: u64) -> Result<Vec<(Entry, Vec<u8>)>, ArchiveError> {
    let mut reader = Reader::new(max_bytes);
    let mut seen: Vec<(Entry, Vec<u8>)> = Vec::new();
    for piece in wire.chunks(step) {
        reader.feed::<ArchiveError>(piece, &mut |event| {
            match event {
                Event::Entry(entry) => seen.push((entry, Vec::new())),
                Event::Data(bytes) => seen.last_mut().unwrap().1.extend_from_slice(bytes),
            }
            Ok(())
        })?;
    }
    reader.finish()?;
    Ok(seen)
}

fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    let kind = EntryKind::File { size: content.len() as u64 };
    (Entry { path: path.into(), kind, mode: 0o644, owner: (0, 0), modified: 1 }, content.to_vec())
}

prop_compose! {
    fn name()(parts in prop::collection::vec(prop::collection::vec(1..=255u8, 1..60), 1..6)) -> Vec<u8> {
        let clean = |part: Vec<u8>| -> Vec<u8> {
            part.into_iter().map(|byte| if matches!(byte, b'/' | b'.') { b'x' } else { byte }).collect()
        };
        parts.into_iter().map(clean).collect::<Vec<_>>().join(&b'/')
    }
}

proptest! {
    #[test]
    fn every_entry_survives(
        files in prop::collection::vec((name(), prop::collection::vec(any::<u8>(), 0..1500), 0..0o1000u32), 0..6),
        links in prop::collection::vec((name(), name()), 0..3),
        step in 1..2000usize,
    ) {
        let mut entries: Vec<(Entry, Vec<u8>)> = files.into_iter().map(|(path, content, mode)| {
            let kind = EntryKind::File { size: content.len() as u64 };
            (Entry { path, kind, mode, owner: (1000, 77), modified: 1_700_000_000 }, content)
        }).collect();
        entries.extend(links.into_iter().map(|(path, target)| {
            (Entry { path, kind: EntryKind::Link { target }, mode: 0o777, owner: (0, 1), modified: 0 }, Vec::new())
        }));
        prop_assert_eq!(unpack(&pack(&entries), step, u64::MAX).unwrap(), entries);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), step in 1..700usize) {
        let _ = unpack(&bytes, step, 1000);
    }
}

#[test]
fn paths_that_climb_are_refused() {
    for bad in ["../x", "a/../../x", "/etc/passwd", "", ".", "a/.."] {
        let wire = pack(&[file(bad, b"x")]);
        assert!(matches!(unpack(&wire, 512, 99), Err(ArchiveError::Path(_))), "{bad:?} was taken");
    }
}

#[test]
fn devices_and_hard_links_are_refused() {
    for flag in *b"13467gx" {
        let mut block = block(b"x", flag, 0, 0o644);
        seal(&mut block);
        let wire = [block.as_slice(), &trailer()].concat();
        assert!(
            matches!(unpack(&wire, 512, 99), Err(ArchiveError::Kind(_))),
            "{} was taken",
            char::from(flag)
        );
    }
}

#[test]
fn set_user_bits_are_cleared() {
    let mut block = block(b"x", b'0', 0, 0o6755);
    seal(&mut block);
    let wire = [block.as_slice(), &trailer()].concat();
    assert_eq!(unpack(&wire, 512, 99).unwrap()[0].0.mode, 0o755);
}

#[test]
fn the_cap_counts_all_files_before_their_bytes_arrive() {
    let wire = pack(&[file("a", &[0; 60]), file("b", &[0; 60])]);
    assert_eq!(unpack(&wire[..1536], 512, 100), Err(ArchiveError::TooLarge { max_bytes: 100 }));
}

#[test]
fn a_torn_archive_is_noticed() {
    let wire = pack(&[file("a", &[7; 600])]);
    assert_eq!(unpack(&wire[..900], 100, 1000), Err(ArchiveError::Torn));
}
