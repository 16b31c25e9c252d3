//! One HTTP exchange with an endpoint: bytes out, bytes in, with a limit of time for each part of it.

mod gzip;

use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::time::Instant;
use trajforge_schema::{Content, Dialect, ModelEntry};

use crate::cassette::{Cassette, Recorded};
use crate::error::Error;
use crate::pressure::retry_after;
use crate::secret::Secret;
use gzip::Gunzip;

/// The version of Anthropic's protocol that is spoken.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// A connection that takes longer to make is none.
const CONNECT: Duration = Duration::from_secs(15);
/// The slowest that a model is taken to write: a reply gets the time for all its tokens at this pace.
const TOKENS_A_SECOND: u64 = 10;

/// How long the parts of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Until the first byte of the reply.
    first_byte: Duration,
    /// Between two pieces of it.
    between: Duration,
    /// Altogether: grows with the tokens that the reply may have.
    total: Duration,
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Order {
    /// Where to, up to and without the dialect's path.
    pub(crate) base: String,
    /// The path, with what comes after it.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) pace: Pace,
    /// The key that no cassette may keep.
    pub(crate) key: Option<Secret>,
}

/// Sends orders.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    client: Client,
    cassette: Option<Arc<Cassette>>,
}

/// An endpoint's answer, whose body is still coming.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    source: Source,
    gunzip: Option<Gunzip>,
    pace: Pace,
    began: Instant,
    any: bool,
    recording: Option<Recording>,
}

enum Source {
    Live(Box<Response>),
    Recorded(Option<Bytes>),
}

/// An exchange on its way into a cassette.
struct Recording {
    cassette: Arc<Cassette>,
    recorded: Recorded,
    key: Option<Secret>,
}

/// Why an exchange did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No connection could be made: nothing was sent.
    Unconnected(String),
    /// The connection broke after the request had left.
    Cut(String),
    /// A part took too long.
    Late(String),
    /// The body is not what its headers say.
    Garbled(String),
    /// The cassette that is played holds no answer.
    Unrecorded(String),
}

impl Pace {
    /// The pace for a reply of at most so many tokens.
    pub(crate) fn of(entry: &ModelEntry, output_tokens: u64) -> Self {
        let wait = Duration::from_secs(entry.request_seconds);
        let writing = Duration::from_secs(output_tokens / TOKENS_A_SECOND);
        Self { first_byte: wait, between: wait, total: wait + writing }
    }
}

impl Order {
    /// The whole address.
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.base.trim_end_matches('/'), self.path)
    }
}

impl Wire {
    /// A wire whose connections are kept and used again.
    pub(crate) fn new(cassette: Option<Arc<Cassette>>) -> Result<Self, Error> {
        install_provider();
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("trajforge/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { client, cassette })
    }

    /// Sends an order and waits for the answer's head.
    pub(crate) async fn send(&self, order: Order) -> Result<Answer, Broken> {
        if let Some(cassette) = self.cassette.as_ref().filter(|cassette| cassette.is_replay()) {
            let recorded = cassette.play(&order.path, &order.body).map_err(Broken::Unrecorded)?;
            return Ok(Answer::recorded(&recorded, order.pace));
        }
        let url = order.url();
        let Order { path, headers, body, pace, key, .. } = order;
        let began = Instant::now();
        let request = self.client.post(&url).headers(headers).body(body.clone()).send();
        let response = match tokio::time::timeout(pace.first_byte, request).await {
            Err(_) => {
                return Err(Broken::Late(format!("sent nothing within {} s", seconds(pace.first_byte))));
            }
            Ok(Err(error)) => return Err(Broken::of(&error, false)),
            Ok(Ok(response)) => response,
        };
        let (status, mut headers) = (response.status(), response.headers().clone());
        let is_gzip = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
        if is_gzip {
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
        }
        let recording = self.cassette.clone().map(|cassette| {
            let recorded = Recorded::begun(&path, &body, status.as_u16(), &headers);
            Recording { cassette, recorded, key }
        });
        let (source, gunzip) = (Source::Live(Box::new(response)), is_gzip.then(Gunzip::default));
        Ok(Answer { status, headers, source, gunzip, pace, began, any: false, recording })
    }
}

impl Answer {
    fn recorded(recorded: &Recorded, pace: Pace) -> Self {
        let header = |(name, value): (&String, &String)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        };
        Self {
            status: StatusCode::from_u16(recorded.status).unwrap_or(StatusCode::BAD_GATEWAY),
            headers: recorded.headers.iter().filter_map(header).collect(),
            source: Source::Recorded(Some(Bytes::from(recorded.body.0.clone()))),
            gunzip: None,
            pace,
            began: Instant::now(),
            any: false,
            recording: None,
        }
    }

    /// Whether the body is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        self.header(&header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the provider asks to be left alone. Dates are not used by these endpoints.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let precise = self.headers.get("retry-after-ms").and_then(|value| value.to_str().ok());
        let milliseconds = precise.and_then(|text| text.trim().parse::<f64>().ok());
        let precise = milliseconds.and_then(|number| Duration::try_from_secs_f64(number / 1000.0).ok());
        let said = || retry_after(self.header(&header::RETRY_AFTER)?, self.header(&header::DATE));
        precise.or_else(said)
    }

    /// The next piece of the body, decompressed; nothing at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        let piece = self.decompressed().await?;
        match (&piece, &mut self.recording) {
            (Some(piece), Some(recording)) => recording.recorded.body.0.extend_from_slice(piece),
            (None, Some(_)) => self.keep(),
            (_, None) => {}
        }
        Ok(piece)
    }

    /// Says that the answer is whole as it is, whatever the connection still does: a cassette takes it.
    pub(crate) fn keep(&mut self) {
        if let Some(recording) = self.recording.take()
            && let Err(error) = recording.write()
        {
            tracing::warn!("an exchange could not be recorded: {error}");
        }
    }

    async fn decompressed(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let Some(raw) = self.raw().await? else {
                return match self.gunzip.take() {
                    None => Ok(None),
                    Some(gunzip) => gunzip.finish().map(|()| None).map_err(|error| garbled(&error)),
                };
            };
            let piece = match &mut self.gunzip {
                None => raw,
                Some(gunzip) => gunzip.feed(&raw).map_err(|error| garbled(&error))?,
            };
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    async fn raw(&mut self) -> Result<Option<Bytes>, Broken> {
        let response = match &mut self.source {
            Source::Live(response) => response,
            Source::Recorded(body) => return Ok(body.take()),
        };
        let whole = self.began + self.pace.total;
        let part =
            if self.any { Instant::now() + self.pace.between } else { self.began + self.pace.first_byte };
        match tokio::time::timeout_at(part.min(whole), response.chunk()).await {
            Ok(Ok(piece)) => {
                self.any |= piece.is_some();
                Ok(piece)
            }
            Ok(Err(error)) => Err(Broken::of(&error, true)),
            Err(_) if whole <= part => {
                let total = seconds(self.pace.total);
                Err(Broken::Late(format!("was not done after {total} s, the time for all its tokens")))
            }
            Err(_) if self.any => Err(Broken::Late(format!(
                "went silent for {} s within its reply",
                seconds(self.pace.between)
            ))),
            Err(_) => Err(Broken::Late(format!(
                "sent no byte of its reply within {} s",
                seconds(self.pace.first_byte)
            ))),
        }
    }
}

impl Recording {
    fn write(mut self) -> std::io::Result<()> {
        if let (Some(key), Some(text)) = (&self.key, self.recorded.body.as_text()) {
            self.recorded.body = Content::from(key.mask(text).as_str());
        }
        self.cassette.add(&self.recorded)
    }
}

impl Broken {
    fn of(error: &reqwest::Error, answered: bool) -> Self {
        let cause = innermost(error);
        if error.is_connect() {
            Self::Unconnected(format!("can't be reached: {cause}"))
        } else if error.is_builder() {
            Self::Unconnected(format!("is no address: {cause}"))
        } else if answered {
            Self::Cut(format!("closed the connection within its reply: {cause}"))
        } else {
            Self::Cut(format!("closed the connection without a reply: {cause}"))
        }
    }
}

/// The headers that a dialect wants, with the key.
pub(crate) fn headers(dialect: Dialect, key: Option<&Secret>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if dialect == Dialect::AnthropicMessages {
        headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    let Some(key) = key else { return headers };
    let (name, text) = match dialect {
        Dialect::AnthropicMessages => (HeaderName::from_static("x-api-key"), key.reveal().to_owned()),
        _ => (header::AUTHORIZATION, format!("Bearer {}", key.reveal())),
    };
    // A key with a line end in it can't be sent: the endpoint will say that there is none.
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}

fn garbled(error: &std::io::Error) -> Broken {
    Broken::Garbled(format!("sent a body that is no gzip: {error}"))
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// One cryptographic provider for the whole process.
fn install_provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another part of this process has installed a provider already");
        }
    });
}
