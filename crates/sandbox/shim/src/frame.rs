//! Frames: how requests, replies and streams share one pair of pipes.
//!
//! A frame is, in little endian: `length: u32` (of everything after it), `kind: u8`, `id: u32`, `header: u32` (its
//! length), the header (JSON) and the payload (raw bytes). An id names a call from its `Call` to its `Reply`, and a
//! stream from there to its `End`.

use std::fmt;

/// Bytes of one frame, at most; a longer one means that the two sides no longer understand each other.
pub const MAX_FRAME: usize = 64 << 20;

/// Bytes of stream data that may be under way in one direction before the receiver has granted more.
pub const WINDOW: u32 = 1 << 20;

/// Payload bytes of one `Data` frame, at most.
pub const CHUNK: usize = 64 << 10;

const PREFIX: usize = 4;
const FIXED: usize = 9;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Host to shim: a request.
    Call,
    /// Shim to host: the response.
    Reply,
    /// Either way: a piece of a stream.
    Data,
    /// Either way: the stream is complete.
    End,
    /// Either way: the receiver of a stream has room for more; the payload is a `u32`.
    Credit,
    /// Either way: the stream or call will not be completed; the payload says why.
    Cancel,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Call, Self::Reply, Self::Data, Self::End, Self::Credit, Self::Cancel];

    fn from_wire(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Which call or stream it belongs to.
    pub id: u32,
    /// JSON, or nothing.
    pub header: Vec<u8>,
    /// Raw bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame without a header.
    pub fn bare(kind: Kind, id: u32, payload: Vec<u8>) -> Self {
        Self { kind, id, header: Vec::new(), payload }
    }

    /// A grant of `bytes` more.
    pub fn credit(id: u32, bytes: u32) -> Self {
        Self::bare(Kind::Credit, id, bytes.to_le_bytes().to_vec())
    }

    /// How many bytes a `Credit` grants.
    pub fn granted(&self) -> u32 {
        self.payload.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// The frame as it goes over the wire.
    ///
    /// # Errors
    /// When it is longer than [`MAX_FRAME`].
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let body = FIXED + self.header.len() + self.payload.len();
        let length = u32::try_from(body)
            .ok()
            .filter(|_| body <= MAX_FRAME)
            .ok_or(FrameError::TooLong { bytes: body })?;
        let header = u32::try_from(self.header.len()).unwrap_or(u32::MAX);
        let mut wire = Vec::with_capacity(PREFIX + body);
        wire.extend_from_slice(&length.to_le_bytes());
        wire.push(self.kind as u8);
        wire.extend_from_slice(&self.id.to_le_bytes());
        wire.extend_from_slice(&header.to_le_bytes());
        wire.extend_from_slice(&self.header);
        wire.extend_from_slice(&self.payload);
        Ok(wire)
    }
}

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME`].
    TooLong {
        /// The length it claims.
        bytes: usize,
    },
    /// Lengths that contradict each other, or an unknown kind.
    Malformed,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "a frame of {bytes} bytes is longer than {MAX_FRAME}"),
            Self::Malformed => f.write_str("the bytes are no frame"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Turns a stream of bytes, cut anywhere, back into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Takes in the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 && (self.start == self.buffer.len() || self.start > CHUNK) {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes are no frame; nothing after that can be trusted.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let waiting = self.buffer.get(self.start..).unwrap_or_default();
        let Some((prefix, rest)) = waiting.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length > MAX_FRAME {
            return Err(FrameError::TooLong { bytes: length });
        }
        if length < FIXED {
            return Err(FrameError::Malformed);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = decode(body).ok_or(FrameError::Malformed)?;
        self.start += PREFIX + length;
        Ok(Some(frame))
    }
}

fn decode(body: &[u8]) -> Option<Frame> {
    let (&kind, rest) = body.split_first()?;
    let (id, rest) = rest.split_first_chunk::<4>()?;
    let (header, rest) = rest.split_first_chunk::<4>()?;
    let (header, payload) = rest.split_at_checked(u32::from_le_bytes(*header) as usize)?;
    Some(Frame {
        kind: Kind::from_wire(kind)?,
        id: u32::from_le_bytes(*id),
        header: header.to_vec(),
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let one = (
            0..6u8,
            any::<u32>(),
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(any::<u8>(), 0..300),
        )
            .prop_map(|(kind, id, header, payload)| Frame {
                kind: Kind::from_wire(kind).unwrap(),
                id,
                header,
                payload,
            });
        prop::collection::vec(one, 0..8)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(frames in frames(), step in 1..200usize) {
            let wire: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().unwrap()).collect();
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for piece in wire.chunks(step) {
                decoder.feed(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame);
                }
            }
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_buffered() {
        let mut decoder = Decoder::default();
        decoder.feed(&u32::MAX.to_le_bytes());
        assert!(matches!(decoder.next_frame(), Err(FrameError::TooLong { .. })));
    }
}
