//! An endpoint of any dialect, asked as a stream so that a long reply meets no limit made for a short one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use trajforge_schema::{Dialect, FailureCode, ModelEntry, Usage};

use crate::cassette::Cassette;
use crate::dialect::{self, Streamed, protocol};
use crate::error::Error;
use crate::lost::{Charge, Lost};
use crate::model::{ChatRequest, Reply};
use crate::secret::Secret;
use crate::sse::SseDecoder;
use crate::wire::{self, Answer, Broken, Order, Pace, Wire};

/// Bytes of a reply that are read at most.
const MOST_BYTES: usize = 32 << 20;
/// How long the connection may stay open after a stream's last event: some servers tell the usage after it.
const AFTER_LAST: Duration = Duration::from_secs(1);

/// An endpoint.
#[derive(Debug)]
pub struct Endpoint {
    entry: ModelEntry,
    key: Option<Secret>,
    wire: Wire,
}

impl Endpoint {
    /// A client for an entry; the key comes from whoever may read the environment.
    pub fn new(entry: ModelEntry, key: Option<Secret>) -> Result<Self, Error> {
        Ok(Self { entry, key, wire: Wire::new(None)? })
    }

    /// The same with a cassette that every exchange goes into, or comes from.
    pub fn with_cassette(self, cassette: Arc<Cassette>) -> Result<Self, Error> {
        Ok(Self { wire: Wire::new(Some(cassette))?, ..self })
    }

    /// Its entry.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// Its key.
    pub fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// The body of a request, in the endpoint's dialect, with the entry's own parameters.
    pub fn body(&self, request: &ChatRequest) -> Value {
        let mut chat = Map::new();
        chat.insert("model".to_owned(), json!(self.entry.model));
        chat.insert("messages".to_owned(), json!(request.messages));
        if !request.tools.is_empty() {
            chat.insert("tools".to_owned(), json!(request.tools));
        }
        chat.insert("max_tokens".to_owned(), json!(self.entry.output_tokens));
        chat.insert("stream".to_owned(), json!(true));
        if self.entry.dialect == Dialect::OpenaiChat {
            chat.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        let mut body = protocol(self.entry.dialect).request(&Value::Object(chat));
        if let Value::Object(fields) = &mut body {
            for (name, value) in &self.entry.parameters {
                if value.is_null() {
                    fields.shift_remove(name);
                } else {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
        body
    }

    /// Makes one request, and tells of its reply or of how it was lost.
    pub async fn ask(&self, request: &ChatRequest) -> Result<Reply, Lost> {
        self.send(self.body(request).to_string().into()).await
    }

    /// Sends a request's [`body`](Self::body), as text.
    pub(crate) async fn send(&self, body: Bytes) -> Result<Reply, Lost> {
        let began = Instant::now();
        let reply = self.exchange(body).await.map_err(|lost| self.masked(lost))?;
        Ok(Reply { seconds: began.elapsed().as_secs_f64(), ..reply })
    }

    async fn exchange(&self, body: Bytes) -> Result<Reply, Lost> {
        let (base, path) = (self.entry.base_url.clone(), self.entry.dialect.path().to_owned());
        let mut headers = wire::headers(self.entry.dialect, self.key.as_ref());
        headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("gzip"));
        let pace = Pace::of(&self.entry, self.entry.output_tokens);
        let order = Order { base, path, headers, body, pace, key: self.key.clone() };
        let url = order.url();
        let answer = self.wire.send(order).await.map_err(|broken| Lost::broken(&url, &broken))?;
        let response = if !answer.status.is_success() {
            return Err(refusal(&url, answer).await);
        } else if answer.is_stream() {
            self.streamed(&url, answer).await?
        } else {
            whole(&url, answer).await?
        };
        read(&self.entry, &url, response)
    }

    async fn streamed(&self, url: &str, mut answer: Answer) -> Result<Value, Lost> {
        let protocol = protocol(self.entry.dialect);
        let (mut decoder, mut accumulator) = (SseDecoder::default(), protocol.accumulator());
        let (mut bytes, mut last) = (0, None);
        let broken = loop {
            let next = match last {
                None => answer.chunk().await,
                Some(at) => match tokio::time::timeout_at(at + AFTER_LAST, answer.chunk()).await {
                    Ok(next) => next,
                    Err(_) => break None,
                },
            };
            let piece = match next {
                Ok(Some(piece)) => piece,
                Ok(None) => break None,
                Err(broken) => break Some(broken),
            };
            bytes += piece.len();
            if bytes > MOST_BYTES {
                return Err(Lost::too_long(url, MOST_BYTES));
            }
            for event in decoder.feed(&piece) {
                accumulator.take(&event);
                if protocol.is_last(&event) {
                    last.get_or_insert_with(Instant::now);
                }
            }
        };
        if let Some(event) = decoder.finish() {
            accumulator.take(&event);
        }
        let streamed = accumulator.finish();
        if streamed.complete {
            answer.keep();
            return Ok(streamed.response);
        }
        Err(self.unfinished(url, &streamed, broken.as_ref(), bytes))
    }

    /// What it means that a stream ended before its reply was whole.
    fn unfinished(&self, url: &str, streamed: &Streamed, broken: Option<&Broken>, bytes: usize) -> Lost {
        if let Some(error) = &streamed.error {
            return Lost::told(url, error);
        }
        let usage = protocol(self.entry.dialect).usage(&streamed.response);
        let charge = usage.map_or(Charge::Unknown, Charge::Known);
        match broken {
            Some(broken) => Lost::broken(url, broken),
            None if bytes == 0 => Lost::malformed(&format!("{url} sent an empty stream"), "", charge),
            None => {
                let message = format!("{url} ended its stream before the reply was whole");
                let code = FailureCode::ModelUnreachable;
                Lost { code, message, status: None, retry: true, wait: None, charge }
            }
        }
    }

    /// An endpoint may echo the key.
    fn masked(&self, lost: Lost) -> Lost {
        match &self.key {
            Some(key) => Lost { message: key.mask(&lost.message), ..lost },
            None => lost,
        }
    }
}

/// What a status that is no success says.
pub(crate) async fn refusal(url: &str, mut answer: Answer) -> Lost {
    let (status, wait) = (answer.status, answer.retry_after());
    if status.is_redirection() {
        return Lost::redirected(url, status, answer.header(&header::LOCATION).unwrap_or_default());
    }
    // The status stands even where the body that explains it breaks off.
    let body = body(url, &mut answer).await.unwrap_or_default();
    Lost::refused(url, status, &String::from_utf8_lossy(&body), wait)
}

/// All of a body.
pub(crate) async fn body(url: &str, answer: &mut Answer) -> Result<Vec<u8>, Lost> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|broken| Lost::broken(url, &broken))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MOST_BYTES {
            return Err(Lost::too_long(url, MOST_BYTES));
        }
    }
    Ok(bytes)
}

async fn whole(url: &str, mut answer: Answer) -> Result<Value, Lost> {
    let bytes = body(url, &mut answer).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&bytes);
        Lost::malformed(&format!("{url} sent no JSON ({error})"), &text, Charge::Unknown)
    })
}

/// Reads a whole response into a reply.
fn read(entry: &ModelEntry, url: &str, response: Value) -> Result<Reply, Lost> {
    let protocol = protocol(entry.dialect);
    let usage = protocol.usage(&response);
    let charge = usage.map_or(Charge::Unknown, Charge::Known);
    if !response["error"].is_null() {
        return Err(Lost { charge, ..Lost::told(url, &response["error"]) });
    }
    if !protocol.is_response(&response) {
        let what = format!("{url} sent no reply that {} has", entry.dialect.as_str());
        return Err(Lost::malformed(&what, &response.to_string(), charge));
    }
    let chat = protocol.chat_response(&response);
    let choice = &chat["choices"][0];
    let mut message = choice["message"].clone();
    let says_nothing = dialect::says_nothing(&message);
    if choice["finish_reason"] == "content_filter" && says_nothing {
        return Err(Lost::withheld(url, charge));
    }
    dialect::name_calls(&mut message);
    let usage = usage.unwrap_or(Usage { estimated: true, ..Usage::default() });
    Ok(Reply {
        message,
        response_id: chat["id"].as_str().map(str::to_owned),
        finish_reason: choice["finish_reason"].as_str().map(str::to_owned),
        usage,
        cost: entry.price.map(|price| price.cost(&usage)),
        requests: 1,
        seconds: 0.0,
        parked_seconds: 0.0,
        response,
    })
}
