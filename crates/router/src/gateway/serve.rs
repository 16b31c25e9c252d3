//! What the gateway does with a request.

mod ask;
mod call;
mod hand_over;

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shares};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use trajforge_schema::Dialect;

use super::Shared;
use super::flight::{Arrival, Flight};
use super::session::State;
use crate::dialect::{ErrorKind, protocol};
use crate::lost::Lost;
use crate::model::endpoint::body as whole_body;
use crate::wire::{self, Order, Pace};
use ask::Asked;
use call::{Call, Place};

/// Bytes of a request, and of a reply, that are taken at most.
pub(super) const MOST_BYTES: usize = 64 << 20;

/// Answers a request.
pub(super) async fn handle(Shares(shared): Shares<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let call = Call::of(&parts);
    if call.place == Place::Root {
        return StatusCode::OK.into_response();
    }
    let state = match find(&shared, &call) {
        Ok(state) => state,
        Err(message) => return error(call.dialect, StatusCode::UNAUTHORIZED, ErrorKind::Key, &message),
    };
    if call.place == Place::Models {
        return Json(models(&state)).into_response();
    }
    if call.place == Place::Unknown {
        let message = format!("the gateway does not serve {} {}", parts.method, call.path);
        return error(call.dialect, StatusCode::NOT_FOUND, ErrorKind::NotFound, &message);
    }
    let Ok(bytes) = to_bytes(body, MOST_BYTES).await else {
        let message = format!("the body did not come whole, or has more than {MOST_BYTES} bytes");
        return error(call.dialect, StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::Invalid, &message);
    };
    if call.place == Place::CountTokens {
        return count_tokens(&shared, &state, &call, &bytes).await;
    }
    let dialect = call.dialect;
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let arrival = Arrival {
        dialect,
        path: call.path.clone(),
        repeated: header("x-stainless-retry-count").and_then(|count| count.parse().ok()).unwrap_or(0),
        user_agent: header("user-agent").map(str::to_owned),
        request: bytes.clone(),
    };
    let mut flight = Flight::begin(Arc::clone(&state), &shared.spec.budget, arrival);
    let asked = Asked { shared: &shared, state: &state, headers: &parts.headers, call: &call, bytes };
    match asked.ask(&mut flight).await {
        Ok(answered) => asked.hand_over(flight, answered).await,
        Err(refusal) => {
            let body = protocol(dialect).error(refusal.kind, &refusal.message).to_string();
            flight.refused(refusal.status, body.as_bytes(), refusal.failure);
            json_response(refusal.status, body)
        }
    }
}

/// The session of a request: by its URL, by its key, and by both where there are both.
fn find(shared: &Shared, call: &Call) -> Result<Arc<State>, String> {
    let sessions = shared.sessions.read().unwrap_or_else(PoisonError::into_inner);
    let by_token = call.token.as_deref().map(|token| sessions.by_token.get(token));
    match (by_token, call.key.as_deref()) {
        (Some(None), _) => Err("this URL belongs to no open session".to_owned()),
        (Some(Some(state)), Some(key)) if !state.has_key(key) => {
            Err("the key is not that of this URL's session".to_owned())
        }
        (Some(Some(state)), _) => Ok(Arc::clone(state)),
        (None, Some(key)) => {
            let unknown = || "the key belongs to no open session".to_owned();
            sessions.by_key.get(key).cloned().ok_or_else(unknown)
        }
        (None, None) => Err("there is no key, and the URL is no session's".to_owned()),
    }
}

/// The models of a session, in a form that clients of all dialects read.
fn models(state: &State) -> Value {
    let names: Vec<&str> = state.spec.models.iter().map(|served| served.entry.name.as_str()).collect();
    let model = |name: &&str| {
        json!({
            "id": name, "object": "model", "created": 0, "owned_by": "trajforge",
            "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z",
        })
    };
    let data: Vec<Value> = names.iter().map(model).collect();
    json!({
        "object": "list", "data": data, "has_more": false, "first_id": names.first(), "last_id": names.last(),
    })
}

/// Anthropic's count of a request's tokens: the endpoint's where it has one, else a quarter of the bytes.
async fn count_tokens(shared: &Shared, state: &State, call: &Call, bytes: &Bytes) -> Response {
    let mut body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let served = body["model"].as_str().and_then(|model| state.served(model));
    let Some(served) = served.filter(|served| served.entry.dialect == Dialect::AnthropicMessages) else {
        return Json(json!({ "input_tokens": (bytes.len() / 4).max(1) })).into_response();
    };
    body["model"] = json!(served.entry.model);
    let order = Order {
        base: served.entry.base_url.clone(),
        path: format!("{}/count_tokens", Dialect::AnthropicMessages.path()),
        headers: wire::headers(served.entry.dialect, served.key.as_ref()),
        body: Bytes::from(body.to_string()),
        pace: Pace::of(&served.entry, 0),
        key: served.key.clone(),
    };
    let url = order.url();
    let counted = match shared.wire.send(order).await {
        Ok(mut answer) => whole_body(&url, &mut answer).await.map(|body| (answer.status, body)),
        Err(broken) => Err(Lost::broken(&url, &broken)),
    };
    match counted {
        Ok((status, body)) => json_response(status, String::from_utf8_lossy(&body).into_owned()),
        Err(lost) => {
            error(call.dialect, StatusCode::BAD_GATEWAY, ErrorKind::Upstream, &state.mask(&lost.message))
        }
    }
}

fn error(dialect: Dialect, status: StatusCode, kind: ErrorKind, message: &str) -> Response {
    json_response(status, protocol(dialect).error(kind, message).to_string())
}

fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
