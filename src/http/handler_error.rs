//! Errors on their way to the client.
//!
//! A handler returns a [`HandlerError`]. The outermost layer, which has given the request its id, calls
//! [`HandlerError::write`]; no other code writes an error.
//!
//! ```text
//! handler ─▶ HandlerError ─▶ response without a body, with the error as an extension ─▶ layers ─▶ write
//! ```

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use rerankd_core::error::{Error, ErrorKind};

use super::paths;
use crate::dialect::choose::DIALECT_HEADER;
use crate::dialect::{Dialect, native};

/// The error of a handler, with the dialect to write it in.
#[derive(Clone, Debug)]
pub(super) struct HandlerError {
    pub(super) error: Error,
    pub(super) dialect: &'static dyn Dialect,
    /// The label of the model, if the handler for reranking had begun with the request: its answers name their
    /// dialect, and its faults may be the operator's to mend.
    pub(super) model: Option<String>,
}

impl HandlerError {
    /// An error of any handler but the one for reranking.
    pub(super) fn new(error: Error, dialect: &'static dyn Dialect) -> Self {
        Self { error, dialect, model: None }
    }

    /// An error of a route that has no dialects.
    pub(super) fn native(error: Error) -> Self {
        Self::new(error, &native::BARE)
    }

    /// The error in a response, if a handler returned one.
    pub(super) fn take_from(response: &mut Response) -> Option<Self> {
        response.extensions_mut().remove()
    }

    /// The answer to a request with this id and this path.
    pub(super) fn write(&self, request_id: &str, path: &str) -> Response {
        let Self { error, dialect, model } = self;
        let answer = dialect.encode_error(request_id, error);
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, answer.content_type);
        // A 429 has the header even if nothing better than "soon" is known: many clients wait only as told.
        let is_limit = answer.status == StatusCode::TOO_MANY_REQUESTS;
        if let Some(retry_after) = error.retry_after.or(is_limit.then_some(Duration::ZERO)) {
            // Whole seconds, rounded up: a retry that comes early is refused again.
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if answer.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if error.kind == ErrorKind::MethodNotAllowed {
            // RFC 9110, section 15.5.6.
            headers.insert(header::ALLOW, HeaderValue::from_static(paths::allowed(path)));
        }
        if model.is_some() {
            headers.insert(DIALECT_HEADER, HeaderValue::from_static(dialect.name()));
        }
        response
    }
}

/// A response without a body, which carries the error to the layer that writes it.
impl IntoResponse for HandlerError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        // Never sent: `write` sets the dialect's status. Set so that layers in between see no 200.
        *response.status_mut() = self.error.kind.status();
        response.extensions_mut().insert(self);
        response
    }
}
