//! From a request to the endpoint that it is for, past the key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::callers::Caller;
use super::layers::unwritten;
use super::paths::{self, Endpoint};
use super::{App, rerank, setup};

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
        Ok(Endpoint::Rerank { model, .. }) => rerank::rerank(&app, caller, (signs, model), request).await,
        Ok(Endpoint::SetUp(question)) => {
            setup::answer(&app, &question).unwrap_or_else(|error| unwritten(error, dialect))
        }
        Err(error) => unwritten(error, dialect),
    }
}
