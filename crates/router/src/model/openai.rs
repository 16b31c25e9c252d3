//! OpenAI's chat completions, as OpenAI and many others serve them: lossless over JSON.

use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use trajforge_schema::{FailureCode, ModelEntry, Tokens, Usage};

use crate::error::Error;
use crate::model::{ChatRequest, Model, Reply};
use crate::secret::Secret;

/// Requests for one reply at most.
const MOST_REQUESTS: u32 = 5;
/// The first wait between two requests; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest that a provider's Retry-After is waited for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Bytes of a reply that are read at most.
const MOST_BYTES: usize = 32 << 20;
/// Characters of an error's body that reach a message.
const SHOWN: usize = 300;

/// An endpoint that speaks chat completions.
#[derive(Debug)]
pub struct OpenaiChat {
    entry: ModelEntry,
    key: Option<Secret>,
    client: Client,
    first_wait: Duration,
}

/// One request that gave no reply.
struct Lost {
    code: FailureCode,
    message: String,
    retry: bool,
    wait: Option<Duration>,
}

impl OpenaiChat {
    /// A client for an entry; the key comes from whoever may read the environment.
    pub fn new(entry: ModelEntry, key: Option<Secret>) -> Result<Self, Error> {
        install_provider();
        let client = Client::builder()
            .timeout(Duration::from_secs(entry.request_seconds))
            .connect_timeout(Duration::from_secs(15))
            .user_agent(concat!("trajforge/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { entry, key, client, first_wait: FIRST_WAIT })
    }

    /// The same with another first wait between requests: for tests.
    #[must_use]
    pub fn with_first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    fn body(&self, request: &ChatRequest) -> Value {
        let mut body = Map::new();
        body.insert("model".to_owned(), Value::from(self.entry.model.as_str()));
        body.insert("messages".to_owned(), Value::from(request.messages.clone()));
        if !request.tools.is_empty() {
            body.insert("tools".to_owned(), Value::from(request.tools.clone()));
        }
        body.insert("max_tokens".to_owned(), json!(self.entry.output_tokens));
        for (name, value) in &self.entry.parameters {
            if value.is_null() {
                body.remove(name);
            } else {
                body.insert(name.clone(), value.clone());
            }
        }
        Value::Object(body)
    }

    async fn once(&self, body: &Value) -> Result<Value, Lost> {
        let url = format!("{}/chat/completions", self.entry.base_url.trim_end_matches('/'));
        let mut request = self.client.post(&url).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.reveal());
        }
        let response = request.send().await.map_err(|error| self.unsent(&url, &error))?;
        let status = response.status();
        let wait = retry_after(&response);
        let text = self.text(response, &url).await?;
        if !status.is_success() {
            return Err(self.refused(&url, status, &text, wait));
        }
        serde_json::from_str(&text)
            .map_err(|error| self.malformed(&format!("{url} sent no JSON ({error})"), &text))
    }

    async fn text(&self, mut response: Response, url: &str) -> Result<String, Lost> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unsent(url, &error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_BYTES {
                return Err(self.malformed(&format!("{url} sent more than {MOST_BYTES} bytes"), ""));
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn unsent(&self, url: &str, error: &reqwest::Error) -> Lost {
        let timed_out = error.is_timeout() && !error.is_connect();
        let (code, what) = if timed_out {
            (FailureCode::ModelTimeout, format!("did not answer within {} s", self.entry.request_seconds))
        } else {
            (FailureCode::ModelUnreachable, format!("can't be reached: {}", innermost(error)))
        };
        Lost { code, message: format!("{url} {what}"), retry: true, wait: None }
    }

    fn refused(&self, url: &str, status: StatusCode, body: &str, wait: Option<Duration>) -> Lost {
        let (code, retry) = match status.as_u16() {
            408 => (FailureCode::ModelTimeout, true),
            429 | 500..=599 => (FailureCode::ModelOverloaded, true),
            400 | 413 if is_overflow(body) => (FailureCode::ContextOverflow, false),
            _ => (FailureCode::ModelRefused, false),
        };
        let message = format!("{url} answered {status}: {}", self.shown(body));
        Lost { code, message, retry, wait }
    }

    fn malformed(&self, what: &str, body: &str) -> Lost {
        let message = if body.is_empty() { what.to_owned() } else { format!("{what}: {}", self.shown(body)) };
        Lost { code: FailureCode::ModelMalformed, message, retry: true, wait: None }
    }

    fn shown(&self, body: &str) -> String {
        let start: String = body.trim().chars().take(SHOWN).collect();
        self.key.as_ref().map_or(start.clone(), |key| key.mask(&start))
    }

    fn reply(&self, response: &Value) -> Result<Reply, Lost> {
        let choice = &response["choices"][0];
        let message = choice["message"].clone();
        if !message.is_object() {
            let what = "the endpoint's reply has no choices[0].message";
            return Err(self.malformed(what, &response.to_string()));
        }
        let usage = usage(&response["usage"]);
        Ok(Reply {
            message,
            response_id: response["id"].as_str().map(str::to_owned),
            finish_reason: choice["finish_reason"].as_str().map(str::to_owned),
            usage,
            cost: self.entry.price.map(|price| price.cost(&usage)),
            requests: 1,
            seconds: 0.0,
        })
    }
}

#[async_trait]
impl Model for OpenaiChat {
    fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    async fn complete(&self, request: &ChatRequest) -> Result<Reply, Error> {
        let body = self.body(request);
        let started = Instant::now();
        let mut wait = self.first_wait;
        let mut requests = 0;
        loop {
            requests += 1;
            let lost = match self.once(&body).await.and_then(|response| self.reply(&response)) {
                Ok(reply) => {
                    return Ok(Reply { requests, seconds: started.elapsed().as_secs_f64(), ..reply });
                }
                Err(lost) => lost,
            };
            if !lost.retry || requests == MOST_REQUESTS {
                return Err(Error::Request { code: lost.code, message: lost.message, requests });
            }
            tracing::debug!(requests, "asking again: {}", lost.message);
            tokio::time::sleep(lost.wait.unwrap_or(wait).min(LONGEST_WAIT)).await;
            wait *= 2;
        }
    }
}

/// Usage as OpenAI counts it: `prompt_tokens` includes cached ones; missing numbers are 0.
fn usage(usage: &Value) -> Usage {
    let count = |value: &Value| Tokens(value.as_u64().unwrap_or(0));
    Usage {
        input: count(&usage["prompt_tokens"]),
        cached_input: count(&usage["prompt_tokens_details"]["cached_tokens"]),
        cache_write: Tokens(0),
        output: count(&usage["completion_tokens"]),
        reasoning: count(&usage["completion_tokens_details"]["reasoning_tokens"]),
        estimated: false,
    }
}

/// Seconds of a Retry-After header; dates are not used by these endpoints.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse::<f64>().ok().filter(|seconds| *seconds >= 0.0).map(Duration::from_secs_f64)
}

fn is_overflow(body: &str) -> bool {
    let body = body.to_lowercase();
    ["context_length", "context length", "maximum context", "too many tokens", "prompt is too long"]
        .iter()
        .any(|sign| body.contains(sign))
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
