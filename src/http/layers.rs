//! What happens to every request, whatever its path.

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

/// Carries a request's id in and out.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a client.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// An error that carries no body yet.
#[derive(Clone)]
struct Unwritten {
    error: Error,
    dialect: &'static dyn Dialect,
}

/// Puts the layers around the routes, outermost first.
pub(super) fn wrap(router: Router<Arc<App>>, app: Arc<App>) -> Router<Arc<App>> {
    let layers = ServiceBuilder::new()
        // Outermost: every answer carries an id, errors that carry no body yet get one, and web pages of others get no further.
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

/// An answer that [`identify_request`] will write the body of.
pub(super) fn unwritten(error: Error, dialect: &'static dyn Dialect) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = error.kind.status();
    response.extensions_mut().insert(Unwritten { error, dialect });
    response
}

/// An error outside any dialect.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        unwritten(self, &native::BARE)
    }
}

async fn identify_request(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let id = request.headers().get(REQUEST_ID).filter(|id| is_sane(id)).cloned().unwrap_or_else(new_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = match app.origins.check(request.method(), &uri, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => dispatch::refuse(&app, &request, error),
    };
    let bare = match response.status() {
        // The documentation's own routes answer these without a body.
        StatusCode::NOT_FOUND if !response.headers().contains_key(header::CONTENT_TYPE) => {
            Some(paths::not_found(uri.path()))
        }
        StatusCode::METHOD_NOT_ALLOWED if !response.headers().contains_key(header::CONTENT_TYPE) => {
            Some(Error::new(ErrorKind::MethodNotAllowed, "this method does not work here; use GET"))
        }
        _ => None,
    };
    let bare = bare.map(|error| Unwritten { error, dialect: &native::BARE });
    if let Some(Unwritten { error, dialect }) = response.extensions_mut().remove().or(bare) {
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

/// Requests without a key end here, too: they do not fill the log, and a defect is always told.
fn log_refusal(app: &App, id: &HeaderValue, error: &Error) {
    let code = error.kind.code();
    let due = app.refusals.due(code, Instant::now());
    if due.is_some() || error.kind == ErrorKind::Internal {
        let left_out = due.filter(|count| *count > 0);
        tracing::info!(request.id = ?id, code, left_out, "{}", error.message);
    } else {
        tracing::debug!(request.id = ?id, code, "{}", error.message);
    }
}

/// An error as the answer that a dialect's clients understand.
pub(super) fn write_error(dialect: &dyn Dialect, request_id: &str, error: &Error) -> Response {
    let answer = dialect.encode_error(request_id, error);
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(header::CONTENT_TYPE, answer.content_type);
    let is_limit = answer.status == StatusCode::TOO_MANY_REQUESTS;
    if let Some(retry_after) = error.retry_after.or(is_limit.then_some(Duration::ZERO)) {
        // Whole seconds, rounded up: asking a moment too late is better than a moment too early.
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn is_sane(id: &HeaderValue) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn new_id() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let id = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
