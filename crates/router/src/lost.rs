//! A request that gave no reply: what it was, whether to ask again, and whether it may have been billed.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use trajforge_schema::{FailureCode, Usage};

use crate::wire::Broken;

/// Characters of an error's body that reach a message.
const SHOWN: usize = 300;

/// One request that gave no reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// What it was.
    pub code: FailureCode,
    /// With the endpoint and what it said; no secrets.
    pub message: String,
    /// The status that the endpoint answered with, where it is what went wrong.
    pub status: Option<u16>,
    /// Whether asking again can help.
    pub retry: bool,
    /// How long the provider asks to be left alone.
    pub wait: Option<Duration>,
    /// What the provider may bill for it.
    pub charge: Charge,
}

/// What a provider may bill for a request that gave no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Nothing: it was refused, or never arrived.
    Nothing,
    /// Nobody knows: the model may have worked on it.
    Unknown,
    /// This, as the provider says.
    Known(Usage),
}

/// A code, and whether asking again can help.
type Kind = (FailureCode, bool);

impl Lost {
    /// An exchange that broke off.
    pub(crate) fn broken(url: &str, broken: &Broken) -> Self {
        let (code, what, charge) = match broken {
            Broken::Unconnected(what) => (FailureCode::ModelUnreachable, what, Charge::Nothing),
            Broken::Cut(what) => (FailureCode::ModelUnreachable, what, Charge::Unknown),
            Broken::Late(what) => (FailureCode::ModelTimeout, what, Charge::Unknown),
            Broken::Garbled(what) => (FailureCode::ModelMalformed, what, Charge::Unknown),
            Broken::Unrecorded(what) => {
                let (code, charge) = (FailureCode::ModelRefused, Charge::Nothing);
                return Self { code, message: what.clone(), status: None, retry: false, wait: None, charge };
            }
        };
        Self { code, message: format!("{url} {what}"), status: None, retry: true, wait: None, charge }
    }

    /// A status that is no success.
    pub(crate) fn refused(url: &str, status: StatusCode, body: &str, wait: Option<Duration>) -> Self {
        let (code, retry) = of_status(status.as_u16(), body);
        // Whoever stands between may have given up on a model that went on.
        let charge = if code == FailureCode::ModelTimeout { Charge::Unknown } else { Charge::Nothing };
        let message = format!("{url} answered {status}: {}", shown(body));
        Self { code, message, status: Some(status.as_u16()), retry, wait, charge }
    }

    /// A redirect, which could carry the key to somebody else.
    pub(crate) fn redirected(url: &str, status: StatusCode, location: &str) -> Self {
        let message = format!(
            "{url} answered {status} and points to {location:?}: redirects are not followed; put the address that is meant into base_url"
        );
        let code = FailureCode::ModelRefused;
        Self {
            code,
            message,
            status: Some(status.as_u16()),
            retry: false,
            wait: None,
            charge: Charge::Nothing,
        }
    }

    /// An error that came where a reply was due: in a stream, or with a status of success.
    pub(crate) fn told(url: &str, error: &Value) -> Self {
        let said = error.to_string();
        let status = [&error["code"], &error["status"]].into_iter().find_map(Value::as_u64);
        let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
        let (code, retry) = of_words(&said).unwrap_or_else(|| of_status(status, &said));
        let message = format!("{url} broke off with an error: {}", shown(&said));
        let status = (status > 0).then_some(status);
        Self { code, message, status, retry, wait: None, charge: Charge::Unknown }
    }

    /// Something that is not the protocol.
    pub(crate) fn malformed(what: &str, body: &str, charge: Charge) -> Self {
        let message = if body.is_empty() { what.to_owned() } else { format!("{what}: {}", shown(body)) };
        Self { code: FailureCode::ModelMalformed, message, status: None, retry: true, wait: None, charge }
    }

    /// A reply that is longer than any can be.
    pub(crate) fn too_long(url: &str, most: usize) -> Self {
        Self::malformed(&format!("{url} sent more than {most} bytes"), "", Charge::Unknown)
    }

    /// A reply that the provider's policy kept back.
    pub(crate) fn withheld(url: &str, charge: Charge) -> Self {
        let message = format!("{url} kept its reply back: the content policy refused it");
        Self { code: FailureCode::ContentRefused, message, status: None, retry: false, wait: None, charge }
    }
}

fn of_status(status: u16, body: &str) -> Kind {
    match status {
        402 => (FailureCode::ModelUnpaid, false),
        408 | 504 | 524 => (FailureCode::ModelTimeout, true),
        400 | 403 | 413 | 422 => of_words(body).unwrap_or((FailureCode::ModelRefused, false)),
        429 => match of_words(body) {
            Some(unpaid @ (FailureCode::ModelUnpaid, _)) => unpaid,
            _ => (FailureCode::ModelOverloaded, true),
        },
        409 | 425 | 500..=599 | 0 => (FailureCode::ModelOverloaded, true),
        _ => (FailureCode::ModelRefused, false),
    }
}

/// What the words of an error say, where they say more than its status.
fn of_words(body: &str) -> Option<Kind> {
    const OVERFLOW: [&str; 8] = [
        "context_length",
        "context length",
        "context window",
        "maximum context",
        "too many tokens",
        "prompt is too long",
        "exceeds the available context",
        "input is too long",
    ];
    const UNPAID: [&str; 5] = [
        "insufficient_quota",
        "credit balance",
        "insufficient balance",
        "billing_error",
        "billing hard limit",
    ];
    const POLICY: [&str; 6] = [
        "content_filter",
        "content_policy",
        "content management policy",
        "content filtering policy",
        "moderation",
        "safety system",
    ];
    const BUSY: [&str; 3] = ["overloaded", "rate_limit", "server_is_overloaded"];
    let body = body.to_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| body.contains(sign));
    if says(&OVERFLOW) {
        Some((FailureCode::ContextOverflow, false))
    } else if says(&UNPAID) {
        Some((FailureCode::ModelUnpaid, false))
    } else if says(&POLICY) {
        Some((FailureCode::ContentRefused, false))
    } else if says(&BUSY) {
        Some((FailureCode::ModelOverloaded, true))
    } else {
        None
    }
}

fn shown(body: &str) -> String {
    body.trim().chars().take(SHOWN).collect()
}
