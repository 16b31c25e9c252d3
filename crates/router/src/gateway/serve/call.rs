//! What a client wants, by its path and headers.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use trajforge_schema::Dialect;

/// Headers that belong to one connection or one party, and go no further.
const OWN: [HeaderName; 14] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
];
/// The other names under which keys travel, and what only says how long a connection stays.
const OWN_TOO: [&str; 5] = ["x-api-key", "api-key", "x-goog-api-key", "keep-alive", "proxy-connection"];

/// A request's head, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) place: Place,
    /// The dialect in which to answer.
    pub(super) dialect: Dialect,
    /// The path without the session.
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// What stands in the session's URL.
    pub(super) token: Option<String>,
    pub(super) key: Option<String>,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A reply.
    Ask,
    /// A count of tokens.
    CountTokens,
    /// The models there are.
    Models,
    /// To know whether anybody is there.
    Root,
    /// Something else.
    Unknown,
}

impl Call {
    pub(super) fn of(parts: &Parts) -> Self {
        let (token, path) = split(parts.uri.path());
        let end = path.strip_prefix("/v1").unwrap_or(path);
        let end = if end.len() > 1 { end.trim_end_matches('/') } else { end };
        let asks = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];
        let dialect = asks.into_iter().find(|dialect| dialect.path() == end);
        let is_post = parts.method == Method::POST;
        let is_look = parts.method == Method::GET || parts.method == Method::HEAD;
        let place = match end {
            "/messages/count_tokens" if is_post => Place::CountTokens,
            "/models" if is_look => Place::Models,
            "" | "/" if is_look => Place::Root,
            _ if dialect.is_some() && is_post => Place::Ask,
            _ => Place::Unknown,
        };
        let speaks_anthropic = parts.headers.contains_key("anthropic-version") || place == Place::CountTokens;
        let guess = if speaks_anthropic { Dialect::AnthropicMessages } else { Dialect::OpenaiChat };
        Self {
            place,
            dialect: dialect.unwrap_or(guess),
            path: path.to_owned(),
            query: parts.uri.query().map(str::to_owned),
            token,
            key: key(&parts.headers),
        }
    }
}

/// `/s/TOKEN/v1/messages` is a session's token and the rest.
fn split(path: &str) -> (Option<String>, &str) {
    let Some(rest) = path.strip_prefix("/s/") else { return (None, path) };
    match rest.find('/') {
        Some(end) => (Some(rest[..end].to_owned()), &rest[end..]),
        None => (Some(rest.to_owned()), "/"),
    }
}

fn key(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let key = text("x-api-key").or_else(|| text("api-key")).or(bearer)?;
    Some(key.trim().to_owned())
}

/// What of a client's headers goes on to an endpoint of its own dialect.
pub(super) fn forwarded(headers: &HeaderMap) -> HeaderMap {
    kept(headers)
}

/// What of an endpoint's headers goes back to the client.
pub(super) fn returned(headers: &HeaderMap) -> HeaderMap {
    let mut kept = kept(headers);
    kept.remove(header::LOCATION);
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        kept.insert(header::CONTENT_TYPE, kind.clone());
    }
    kept
}

fn kept(headers: &HeaderMap) -> HeaderMap {
    let is_own = |name: &HeaderName| OWN.contains(name) || OWN_TOO.contains(&name.as_str());
    let kept = headers.iter().filter(|(name, _)| !is_own(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn call(method: Method, uri: &str, headers: &[(&str, &str)]) -> Call {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Call::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn paths_with_and_without_a_session_are_understood() {
        let bearer = [("authorization", "Bearer k")];
        let chat = call(Method::POST, "/s/abc/v1/chat/completions?x=1", &bearer);
        assert_eq!((chat.place, chat.dialect), (Place::Ask, Dialect::OpenaiChat));
        assert_eq!((chat.token.as_deref(), chat.key.as_deref()), (Some("abc"), Some("k")));
        assert_eq!((chat.path.as_str(), chat.query.as_deref()), ("/v1/chat/completions", Some("x=1")));
        let messages = call(Method::POST, "/v1/messages", &[("x-api-key", "k")]);
        assert_eq!((messages.place, messages.dialect), (Place::Ask, Dialect::AnthropicMessages));
        assert_eq!(call(Method::POST, "/responses", &[]).dialect, Dialect::OpenaiResponses);
        assert_eq!(call(Method::HEAD, "/s/abc", &[]).place, Place::Root);
        assert_eq!(call(Method::GET, "/s/abc/v1/models", &[]).place, Place::Models);
        assert_eq!(call(Method::POST, "/v1/messages/count_tokens", &[]).place, Place::CountTokens);
        assert_eq!(call(Method::GET, "/v1/chat/completions", &[]).place, Place::Unknown);
        let unknown = call(Method::POST, "/v1/files", &[("anthropic-version", "2023-06-01")]);
        assert_eq!((unknown.place, unknown.dialect), (Place::Unknown, Dialect::AnthropicMessages));
    }
}
