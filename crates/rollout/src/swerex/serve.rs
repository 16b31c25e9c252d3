//! The routes, who may use them, and answers that are given again.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use trajforge_sandbox::SandboxExt as _;

use super::Shared;
use super::problem::Problem;
use super::wire::{Action, CloseSession, CreateSession, Execute, ReadFile, WriteFile};

/// Bytes that an upload may have; whole repositories are not uploaded.
const UPLOAD: usize = 256 << 20;

type Given = State<Arc<Shared>>;

/// A route: its path, what it reads, and the method of [`Shared`] that does it.
macro_rules! does {
    ($what:ty, $method:ident) => {
        post(async |State(shared): Given, Json(request): Json<$what>| shared.$method(request).await.map(Json))
    };
}

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let limit = DefaultBodyLimit::max(UPLOAD);
    let upload = post(async |State(shared): Given, form: Multipart| shared.upload(form).await.map(Json));
    Router::new()
        .route("/", get(async || Json(json!({ "message": "trajforge serves SWE-ReX here" }))))
        .route("/is_alive", get(is_alive))
        .route("/create_session", does!(CreateSession, create))
        .route("/run_in_session", does!(Action, run))
        .route("/close_session", does!(CloseSession, close))
        .route("/execute", does!(Execute, execute))
        .route("/read_file", does!(ReadFile, read_file))
        .route("/write_file", does!(WriteFile, write_file))
        .route("/upload", upload)
        .route("/close", post(close))
        .layer(limit)
        .layer(from_fn_with_state(Arc::clone(&shared), answer_once))
        .layer(from_fn_with_state(Arc::clone(&shared), authenticate))
        .with_state(shared)
}

async fn is_alive(State(shared): Given) -> Response {
    let (is_alive, message) = match shared.sandbox.usage().await {
        Ok(_) => (true, String::new()),
        Err(error) => (false, error.to_string()),
    };
    Json(json!({ "is_alive": is_alive, "message": message })).into_response()
}

/// Forgets all sessions; the sandbox is ended by whoever made it.
async fn close(State(shared): Given) -> Result<Response, Problem> {
    shared.sessions.lock().await.open.clear();
    Ok(Json(json!({})).into_response())
}

async fn authenticate(State(shared): Given, request: Request, next: Next) -> Response {
    let key = request.headers().get("x-api-key");
    if key.is_none_or(|key| key.as_bytes() != shared.key.as_bytes()) {
        let told = json!({ "detail": "Invalid API Key" });
        return (StatusCode::UNAUTHORIZED, Json(told)).into_response();
    }
    next.run(request).await
}

/// A request whose answer was lost on the way is asked again under the same id: it is not done a second time.
async fn answer_once(State(shared): Given, request: Request, next: Next) -> Response {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let Some(id) = id else { return next.run(request).await };
    if let Some((known, status, body)) = &*shared.last.lock().await
        && *known == id
    {
        return whole(*status, body.clone());
    }
    let response = next.run(request).await;
    let status = response.status();
    let Ok(body) = to_bytes(response.into_body(), usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    *shared.last.lock().await = Some((id, status, body.clone()));
    whole(status, body)
}

fn whole(status: StatusCode, body: axum::body::Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
