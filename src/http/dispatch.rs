//! The fallback handler: checks the caller's key, then hands a request to the endpoint that its path names.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;

use super::callers::Caller;
use super::middleware::unwritten;
use super::paths::{self, Endpoint};
use super::{App, rerank, setup};
use crate::error::{Error, ErrorKind};

/// `Retry-After` of a request that was refused because of `server.max_requests`.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path();
    let headers = request.headers();
    let endpoint = paths::endpoint(request.method(), path);
    let identified = app.callers.identify(headers);
    let key_dialect = match &identified {
        Ok(caller) => caller.dialect,
        Err(_) => None,
    };
    let signs = match &endpoint {
        Ok(Endpoint::Rerank { signs, .. }) => *signs,
        _ => paths::signs(path),
    };
    let dialect = signs.best_guess(headers, key_dialect);
    let caller = match (identified, &endpoint) {
        (Ok(caller), _) => caller,
        (Err(_), Ok(Endpoint::SetUp(set_up))) if set_up.is_public() => Caller::ANYBODY,
        (Err(error), endpoint) => {
            if let Ok(Endpoint::Rerank { .. }) = endpoint {
                app.reranker.metrics.refused(dialect.name(), error.kind);
            }
            return unwritten(error, dialect);
        }
    };
    match endpoint {
        Ok(Endpoint::Rerank { model, .. }) => {
            // A refusal must cost next to nothing, so it comes before anything of the body is read. The permit itself
            // is taken once the body has arrived: a client that withholds its body keeps nobody out.
            if app.in_flight_limit.available_permits() == 0 {
                app.reranker.metrics.refused(dialect.name(), ErrorKind::Overloaded);
                return unwritten(overloaded(&app), dialect);
            }
            rerank::rerank(&app, caller, (signs, model), request).await
        }
        Ok(Endpoint::SetUp(set_up)) => match setup::answer(&app, &set_up) {
            Ok(response) => response,
            Err(error) => unwritten(error, dialect),
        },
        Err(error) => unwritten(error, dialect),
    }
}

/// Refuses a request with `error`, in the dialect that its path and headers suggest. Counts it if it was to rerank.
pub(super) fn refuse(app: &App, request: &Request, error: Error) -> Response {
    let path = request.uri().path();
    let dialect = paths::signs(path).best_guess(request.headers(), None);
    if let Ok(Endpoint::Rerank { .. }) = paths::endpoint(request.method(), path) {
        app.reranker.metrics.refused(dialect.name(), error.kind);
    }
    unwritten(error, dialect)
}

/// The error of a request beyond `server.max_requests`.
pub(super) fn overloaded(app: &App) -> Error {
    let message = format!(
        "{} requests are under way, which is the limit (server.max_requests); retry shortly",
        app.server.max_requests
    );
    Error { retry_after: Some(OVERLOAD_RETRY_AFTER), ..Error::new(ErrorKind::Overloaded, message) }
}
