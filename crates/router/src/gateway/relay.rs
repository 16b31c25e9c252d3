//! A stream from an endpoint to a client, piece by piece: the client's pace is the endpoint's.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use trajforge_schema::Dialect;

use super::flight::Flight;
use super::serve::MOST_BYTES;
use super::session::State;
use super::usage_filter::UsageFilter;
use crate::dialect::{ReadChunks, WriteChunks, protocol};
use crate::lost::Lost;
use crate::sse::{SseDecoder, SseEvent};
use crate::wire::{Answer, Broken};

/// What is done to the bytes on their way.
pub(super) enum Passage {
    /// Nothing.
    Untouched,
    /// The usage that the client had not asked for is left out.
    WithoutUsage(UsageFilter),
    /// They are put into another dialect.
    Translated(Box<Translation>),
}

/// From one dialect to another.
pub(super) struct Translation {
    decoder: SseDecoder,
    reader: Box<dyn ReadChunks>,
    writer: Box<dyn WriteChunks>,
}

struct Relay {
    state: Arc<State>,
    flight: Flight,
    answer: Answer,
    passage: Passage,
    url: String,
    is_over: bool,
}

impl Translation {
    /// From what an endpoint speaks to what a client does.
    pub(super) fn new(from: Dialect, to: Dialect) -> Self {
        Self {
            decoder: SseDecoder::default(),
            reader: protocol(from).reader(),
            writer: protocol(to).writer(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let events = self.decoder.feed(bytes);
        let chunks: Vec<_> = events.iter().flat_map(|event| self.reader.read(event)).collect();
        encode(chunks.iter().flat_map(|chunk| self.writer.write(chunk)))
    }
}

/// The body that a client is given.
pub(super) fn body(state: Arc<State>, flight: Flight, answer: Answer, passage: Passage, url: String) -> Body {
    let relay = Relay { state, flight, answer, passage, url, is_over: false };
    Body::from_stream(stream::unfold(relay, |mut relay| async {
        let next = relay.next().await?;
        Some((next, relay))
    }))
}

impl Relay {
    /// The next bytes for the client; an error cuts its connection, as the endpoint's was cut.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        while !self.is_over {
            let state = Arc::clone(&self.state);
            let piece = tokio::select! {
                biased;
                () = state.closing() => return Some(Err(self.closed())),
                piece = self.answer.chunk() => piece,
            };
            match piece {
                Ok(Some(bytes)) => {
                    self.flight.receives(&bytes);
                    if self.flight.received() > MOST_BYTES {
                        self.is_over = true;
                        return Some(self.lost(&Lost::too_long(&self.url, MOST_BYTES)));
                    }
                    let given = self.pass(bytes);
                    if !given.is_empty() {
                        return Some(Ok(given));
                    }
                }
                Ok(None) => {
                    self.is_over = true;
                    return self.end();
                }
                Err(broken) => {
                    self.is_over = true;
                    return self.broken(&broken);
                }
            }
        }
        None
    }

    fn pass(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.passage {
            Passage::Untouched => bytes,
            Passage::WithoutUsage(filter) => Bytes::from(filter.feed(&bytes)),
            Passage::Translated(translation) => {
                let given = translation.feed(&bytes);
                self.flight.gives(&given);
                Bytes::from(given)
            }
        }
    }

    /// What is still due to the client at the end.
    fn end(&mut self) -> Option<io::Result<Bytes>> {
        let rest = match &mut self.passage {
            Passage::Untouched => Vec::new(),
            Passage::WithoutUsage(filter) => filter.finish(),
            Passage::Translated(translation) => {
                let rest = translation.feed(b"\n\n");
                self.flight.gives(&rest);
                rest
            }
        };
        if let Passage::Translated(translation) = &mut self.passage {
            if !self.flight.is_whole() {
                self.flight.ends();
                return Some(Err(io::Error::other("the endpoint ended its reply before it was whole")));
            }
            let last = encode(translation.writer.end());
            self.flight.gives(&last);
            self.flight.ends();
            return Some(Ok(Bytes::from([rest, last].concat())));
        }
        self.flight.ends();
        if rest.is_empty() { None } else { Some(Ok(Bytes::from(rest))) }
    }

    /// What broke after the last event that matters costs the client nothing.
    fn broken(&mut self, broken: &Broken) -> Option<io::Result<Bytes>> {
        if self.flight.is_whole() {
            return self.end();
        }
        Some(self.lost(&Lost::broken(&self.url, broken)))
    }

    fn lost(&mut self, lost: &Lost) -> io::Result<Bytes> {
        self.flight.fails(self.flight.exchange.status, lost);
        Err(io::Error::other(self.state.mask(&lost.message)))
    }

    fn closed(&mut self) -> io::Error {
        self.is_over = true;
        io::Error::other("the session is closed")
    }
}

fn encode(events: impl IntoIterator<Item = SseEvent>) -> Vec<u8> {
    events.into_iter().map(|event| event.encode()).collect::<String>().into_bytes()
}
