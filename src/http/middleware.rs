//! The layers around every request: its id, the check of its origin, and the bodies of errors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use super::{App, dispatch, paths};
use crate::dialect::{Dialect, native};
use crate::error::{Error, ErrorKind};

/// Header with the id of a request, in requests and in answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Length of the longest id that is taken over from a client.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// An error whose answer has no body yet, as an extension of the response.
#[derive(Clone)]
struct Unwritten {
    error: Error,
    dialect: &'static dyn Dialect,
}

/// Wraps the routes into the layers, outermost first.
pub(super) fn wrap(router: Router<Arc<App>>, app: Arc<App>) -> Router<Arc<App>> {
    let layers = ServiceBuilder::new()
        // Outermost, so that every answer has an id, errors of inner layers get their bodies, and web pages of other
        // sites reach nothing else.
        .layer(from_fn_with_state(app, identify_request))
        // A defect fails one request, not the server.
        .layer(CatchPanicLayer::custom(|_| {
            Error::new(ErrorKind::Internal, "a defect in rerankd stopped this request").into_response()
        }));
    router.layer(layers)
}

/// The id of a request whose headers have passed [`identify_request`].
pub(super) fn request_id(headers: &HeaderMap) -> &str {
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default()
}

/// An answer to which [`identify_request`] adds the body.
pub(super) fn unwritten(error: Error, dialect: &'static dyn Dialect) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = error.kind.status();
    response.extensions_mut().insert(Unwritten { error, dialect });
    response
}

/// The answer of an error in the native dialect.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        unwritten(self, &native::BARE)
    }
}

/// Gives the request an id, refuses it if its origin is forbidden, and writes the body of an error without one.
async fn identify_request(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let id = match request.headers().get(REQUEST_ID) {
        Some(id) if is_valid_id(id) => id.clone(),
        _ => new_id(),
    };
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = match app.origins.check(request.method(), &uri, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => dispatch::refuse(&app, &request, error),
    };
    let unwritten = match response.extensions_mut().remove() {
        Some(unwritten) => Some(unwritten),
        None => error_without_body(&response, uri.path()),
    };
    if let Some(Unwritten { error, dialect }) = unwritten {
        log_refusal(&app, &id, &error);
        response = write_error(dialect, id.to_str().unwrap_or_default(), &error);
        if error.kind == ErrorKind::MethodNotAllowed {
            // RFC 9110, section 15.5.6.
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(paths::allowed(uri.path())));
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The error behind an answer of the documentation's own routes, which say 404 and 405 without a body.
fn error_without_body(response: &Response, path: &str) -> Option<Unwritten> {
    if response.headers().contains_key(header::CONTENT_TYPE) {
        return None;
    }
    let error = match response.status() {
        StatusCode::NOT_FOUND => paths::not_found(path),
        StatusCode::METHOD_NOT_ALLOWED => {
            Error::new(ErrorKind::MethodNotAllowed, "this method does not work here; use GET")
        }
        _ => return None,
    };
    Some(Unwritten { error, dialect: &native::BARE })
}

/// Logs a refusal. Defects and one refusal of each code per second are logged as information, the others at debug.
fn log_refusal(app: &App, id: &HeaderValue, error: &Error) {
    let code = error.kind.code();
    // Anybody can cause refusals, even without a key, and must not fill the log.
    let due = app.refusals.due(code, Instant::now());
    if due.is_some() || error.kind == ErrorKind::Internal {
        let left_out = due.filter(|count| *count > 0);
        tracing::info!(request.id = ?id, code, left_out, "{}", error.message);
    } else {
        tracing::debug!(request.id = ?id, code, "{}", error.message);
    }
}

/// The answer to an error in the shape of a dialect.
pub(super) fn write_error(dialect: &dyn Dialect, request_id: &str, error: &Error) -> Response {
    let answer = dialect.encode_error(request_id, error);
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(header::CONTENT_TYPE, answer.content_type);
    // A 429 has the header even if nothing better than "soon" is known: many clients wait only as told.
    let is_limit = answer.status == StatusCode::TOO_MANY_REQUESTS;
    if let Some(retry_after) = error.retry_after.or(is_limit.then_some(Duration::ZERO)) {
        // Whole seconds, rounded up: a retry that comes early is refused again.
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
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
