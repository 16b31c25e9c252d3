//! Bounded output: the beginning and the end are kept, what is cut between them is counted.

use std::collections::VecDeque;

/// Takes in any amount of output in fixed memory.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_room: usize,
    tail_room: usize,
    total: u64,
}

/// What was kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// Beginning and end, one after the other.
    pub(crate) bytes: Vec<u8>,
    /// How many of them are the beginning.
    pub(crate) head_bytes: u64,
    /// How many were cut.
    pub(crate) cut_bytes: u64,
}

impl Capture {
    /// Keeps `limit` bytes: half from the beginning, half from the end.
    pub(crate) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit.min(32 << 20)).unwrap_or(0);
        Self::split(limit - limit / 2, limit / 2)
    }

    /// Keeps only the end.
    pub(crate) fn tail(limit: usize) -> Self {
        Self::split(0, limit)
    }

    fn split(head_room: usize, tail_room: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), head_room, tail_room, total: 0 }
    }

    /// Takes in more.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.head_room - self.head.len();
        let (head, rest) = bytes.split_at(bytes.len().min(room));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(self.tail_room)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.tail_room);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// Whether nothing was taken in.
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// What was kept so far; begins anew.
    pub(crate) fn take(&mut self) -> Captured {
        let mut bytes = std::mem::take(&mut self.head);
        let head_bytes = bytes.len() as u64;
        let (front, back) = self.tail.as_slices();
        bytes.extend_from_slice(front);
        bytes.extend_from_slice(back);
        self.tail.clear();
        let cut_bytes = std::mem::take(&mut self.total) - bytes.len() as u64;
        Captured { bytes, head_bytes, cut_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn head_and_tail_are_exact(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
            limit in 0..200u64,
        ) {
            let mut capture = Capture::new(limit);
            for piece in &pieces {
                capture.push(piece);
            }
            let whole = pieces.concat();
            let kept = capture.take();
            let head = usize::try_from(kept.head_bytes).unwrap();
            prop_assert_eq!(kept.bytes.len() as u64 + kept.cut_bytes, whole.len() as u64);
            prop_assert_eq!(kept.bytes.len() as u64, limit.min(whole.len() as u64));
            prop_assert_eq!(&kept.bytes[..head], &whole[..head]);
            prop_assert_eq!(&kept.bytes[head..], &whole[whole.len() - (kept.bytes.len() - head)..]);
        }
    }
}
