//! A compressed body, decompressed piece by piece.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::GzDecoder;

/// What has come of a body.
pub(super) struct Gunzip {
    decoder: GzDecoder<Vec<u8>>,
}

impl Default for Gunzip {
    fn default() -> Self {
        Self { decoder: GzDecoder::new(Vec::new()) }
    }
}

impl Gunzip {
    /// What these bytes add.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        self.decoder.write_all(bytes)?;
        // What the decoder holds back of a stream that is still being written would be late otherwise.
        self.decoder.flush()?;
        Ok(Bytes::from(std::mem::take(self.decoder.get_mut())))
    }

    /// Checks that the body is whole.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.decoder.try_finish()
    }
}
