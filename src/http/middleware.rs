//! The layers around every request: its id, the check of its origin, the answers to errors, and its log line.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rerankd_core::error::{Error, ErrorKind};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use super::handler_error::HandlerError;
use super::request_log::{RequestLog, RerankFacts};
use super::{App, answer_headers, dispatch};

/// Header with the id of a request, in requests and in answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Length in bytes of the longest id that is taken over from a client.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Wraps the routes into the layers, outermost first.
pub(super) fn wrap(router: Router<Arc<App>>, app: Arc<App>) -> Router<Arc<App>> {
    let layers = ServiceBuilder::new()
        // Outermost, so that every answer has an id, every error is written, and web pages of other sites reach nothing
        // else.
        .layer(from_fn_with_state(app, identify_request))
        // A defect fails one request, not the server.
        .layer(CatchPanicLayer::custom(|_| {
            let error = Error::new(ErrorKind::Internal, "a defect in rerankd stopped this request");
            HandlerError::native(error).into_response()
        }));
    router.layer(layers)
}

/// The id of a request whose headers have passed [`identify_request`].
pub(super) fn request_id(headers: &HeaderMap) -> &str {
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default()
}

/// Gives the request an id, refuses it if its origin is forbidden, writes the answer to an error, and logs the request.
async fn identify_request(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let id = match request.headers().get(REQUEST_ID) {
        Some(id) if is_valid_id(id) => id.clone(),
        _ => new_id(),
    };
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let log = RequestLog::begin(&app, &id, &uri, &request);
    let is_from_page = request.headers().contains_key(header::ORIGIN);
    let mut response = match app.origins.check(request.method(), &uri, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => dispatch::refuse(&app, &request, error).into_response(),
    };
    if let Some(unwritten) = HandlerError::take_from(&mut response) {
        response = unwritten.write(id.to_str().unwrap_or_default(), uri.path());
        log.failed(response.status(), &unwritten);
    } else {
        let facts = response.extensions_mut().remove::<RerankFacts>();
        log.answered(response.status(), facts.as_ref());
    }
    if is_from_page {
        answer_headers::expose(response.headers_mut());
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Returns true if a client's id can be taken over: visible ASCII, which is safe in logs and headers.
fn is_valid_id(id: &HeaderValue) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// A fresh id: a UUID of version 7, which sorts by time.
fn new_id() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let id = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
