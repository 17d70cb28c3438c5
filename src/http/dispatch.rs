//! From a request to the endpoint that it is for, past the key.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;

use super::callers::Caller;
use super::layers::unwritten;
use super::paths::{self, Endpoint};
use super::{App, rerank, setup};
use crate::error::{Error, ErrorKind};

/// When to come back where nobody knows better.
const SOON: Duration = Duration::from_secs(1);

pub(super) async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    let endpoint = paths::endpoint(request.method(), path);
    let caller = app.callers.identify(headers);
    let bound = caller.as_ref().ok().and_then(|caller| caller.dialect);
    let signs = match &endpoint {
        Ok(Endpoint::Rerank { signs, .. }) => *signs,
        _ => paths::signs(path),
    };
    let dialect = signs.best_guess(headers, bound);
    let caller = match (caller, &endpoint) {
        (Ok(caller), _) => caller,
        (Err(_), Ok(Endpoint::SetUp(question))) if question.is_public() => Caller::ANYBODY,
        (Err(error), endpoint) => {
            if let Ok(Endpoint::Rerank { .. }) = endpoint {
                app.reranker.metrics.refused(dialect.name(), error.kind);
            }
            return unwritten(error, dialect);
        }
    };
    match endpoint {
        Ok(Endpoint::Rerank { model, .. }) => {
            // Before anything of the body is read: sending somebody away must cost next to nothing. A permit is taken when the body is here:
            // whoever keeps it back keeps nobody out.
            if app.room.available_permits() == 0 {
                app.reranker.metrics.refused(dialect.name(), ErrorKind::Overloaded);
                return unwritten(no_room(&app), dialect);
            }
            rerank::rerank(&app, caller, (signs, model), request).await
        }
        Ok(Endpoint::SetUp(question)) => {
            setup::answer(&app, &question).unwrap_or_else(|error| unwritten(error, dialect))
        }
        Err(error) => unwritten(error, dialect),
    }
}

/// Sends a request away, whatever it is for.
pub(super) fn refuse(app: &App, request: &Request, error: Error) -> Response {
    let path = request.uri().path();
    let dialect = paths::signs(path).best_guess(request.headers(), None);
    if let Ok(Endpoint::Rerank { .. }) = paths::endpoint(request.method(), path) {
        app.reranker.metrics.refused(dialect.name(), error.kind);
    }
    unwritten(error, dialect)
}

pub(super) fn no_room(app: &App) -> Error {
    let message = format!(
        "{} requests are under way, which is the limit (server.max_requests); come back a little later",
        app.server.max_requests
    );
    Error { retry_after: Some(SOON), ..Error::new(ErrorKind::Overloaded, message) }
}
