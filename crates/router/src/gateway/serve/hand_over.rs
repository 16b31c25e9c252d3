//! What an endpoint said, on its way to the client.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use trajforge_schema::FailureCode;

use super::super::flight::Flight;
use super::super::relay::{self, Passage, Translation};
use super::super::usage_filter::UsageFilter;
use super::ask::{Answered, Asked};
use super::{MOST_BYTES, call, json_response};
use crate::dialect::{ErrorKind, NATIVE, protocol};
use crate::lost::{Charge, Lost};
use crate::model::endpoint::{body as whole_body, refusal};
use crate::wire::{Answer, Broken};

impl Asked<'_> {
    /// Gives the client what the endpoint said.
    pub(super) async fn hand_over(&self, mut flight: Flight, answered: Answered) -> Response {
        let Answered { sent, url, dialect, wants_stream, hides_usage } = answered;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(broken) => return self.lost(&mut flight, &Lost::broken(&url, &broken)),
        };
        let headers = call::returned(&answer.headers);
        let request_id = ["x-request-id", "request-id"]
            .into_iter()
            .find_map(|name| answer.header(&HeaderName::from_static(name)).map(str::to_owned));
        let is_stream = answer.is_stream();
        flight.answers(answer.status, request_id.as_deref(), is_stream);
        if !answer.status.is_success() {
            return self.refused(flight, answer, &url, headers).await;
        }
        let is_same = dialect == self.call.dialect;
        if is_stream && wants_stream {
            let passage = match (is_same, hides_usage) {
                (true, false) => Passage::Untouched,
                (true, true) => Passage::WithoutUsage(UsageFilter::default()),
                (false, _) => Passage::Translated(Box::new(Translation::new(dialect, self.call.dialect))),
            };
            let body = relay::body(Arc::clone(self.state), flight, answer, passage, url);
            return response(StatusCode::OK, headers, "text/event-stream", body);
        }
        let collected = self.collect(&mut flight, &mut answer, &url).await;
        let bytes = match collected {
            Ok(bytes) => bytes,
            Err(lost) => return self.lost(&mut flight, &lost),
        };
        if is_same {
            flight.ends();
            let kind = if is_stream { "text/event-stream" } else { "application/json" };
            return response(StatusCode::OK, headers, kind, Body::from(bytes));
        }
        self.translated(flight, &url, wants_stream, headers)
    }

    /// The whole body of an answer.
    async fn collect(&self, flight: &mut Flight, answer: &mut Answer, url: &str) -> Result<Bytes, Lost> {
        let mut bytes = Vec::new();
        loop {
            let piece = tokio::select! {
                biased;
                () = self.state.closing() => Err(Broken::Cut("was left: the session is closed".to_owned())),
                piece = answer.chunk() => piece,
            };
            match piece.map_err(|broken| Lost::broken(url, &broken))? {
                None => return Ok(Bytes::from(bytes)),
                Some(piece) => {
                    flight.receives(&piece);
                    if flight.received() > MOST_BYTES {
                        return Err(Lost::too_long(url, MOST_BYTES));
                    }
                    bytes.extend_from_slice(&piece);
                }
            }
        }
    }

    /// A whole reply in the client's dialect.
    fn translated(
        &self,
        mut flight: Flight,
        url: &str,
        wants_stream: bool,
        mut headers: HeaderMap,
    ) -> Response {
        headers.remove(header::CONTENT_TYPE);
        let Some(whole) = flight.whole() else {
            let lost = Lost::malformed(&format!("{url} sent no reply"), "", Charge::Unknown);
            return self.lost(&mut flight, &lost);
        };
        let mut chat = protocol(flight.exchange.dialect).chat_response(&whole);
        if let Some(message) = chat["choices"][0]["message"].as_object_mut() {
            message.shift_remove(NATIVE);
        }
        let own = protocol(self.call.dialect);
        let reply = own.response(&chat);
        let (kind, text) = if wants_stream {
            let events = own.events(&reply);
            ("text/event-stream", events.iter().map(crate::sse::SseEvent::encode).collect())
        } else {
            ("application/json", reply.to_string())
        };
        flight.gives(text.as_bytes());
        flight.ends();
        response(StatusCode::OK, headers, kind, Body::from(text))
    }

    /// What an endpoint says that does not do what it was asked: word for word where the client speaks its dialect.
    async fn refused(
        &self,
        mut flight: Flight,
        mut answer: Answer,
        url: &str,
        headers: HeaderMap,
    ) -> Response {
        let status = answer.status;
        if status.is_redirection() {
            return self.lost(&mut flight, &refusal(url, answer).await);
        }
        let body = whole_body(url, &mut answer).await.unwrap_or_default();
        flight.receives(&body);
        let said = String::from_utf8_lossy(&body).into_owned();
        let lost = Lost::refused(url, status, &said, answer.retry_after());
        let text = if flight.exchange.dialect == self.call.dialect {
            said
        } else {
            let kind = match status.as_u16() {
                401 | 403 => ErrorKind::Key,
                404 => ErrorKind::NotFound,
                400..=499 => ErrorKind::Invalid,
                _ => ErrorKind::Upstream,
            };
            let text = protocol(self.call.dialect).error(kind, &self.state.mask(&lost.message)).to_string();
            flight.gives(text.as_bytes());
            text
        };
        flight.fails(status.as_u16(), &lost);
        response(status, headers, "application/json", Body::from(self.state.mask(&text)))
    }

    /// Tells the client that the endpoint could not be asked.
    fn lost(&self, flight: &mut Flight, lost: &Lost) -> Response {
        let late = lost.code == FailureCode::ModelTimeout;
        let status = if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
        let body = protocol(self.call.dialect).error(ErrorKind::Upstream, &self.state.mask(&lost.message));
        let text = body.to_string();
        flight.gives(text.as_bytes());
        flight.fails(status.as_u16(), lost);
        json_response(status, text)
    }
}

fn response(status: StatusCode, headers: HeaderMap, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    response
}
