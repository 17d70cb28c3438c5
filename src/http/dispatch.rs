//! The fallback handler: checks the caller's key, then hands a request to the endpoint that its path names.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::text::counted;

use super::callers::Caller;
use super::handler_error::HandlerError;
use super::paths::{self, Endpoint, ReadPath};
use super::rerank::RerankHead;
use super::{App, rerank, setup};
use crate::dialect::choose::DialectChoice;

/// `Retry-After` of a request that was refused because of `server.max_requests`.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The facts about a request that its path and headers tell. They are read once, before anything is answered.
struct RequestHead {
    endpoint: Result<Endpoint, Error>,
    caller: Result<Caller, Error>,
    dialect: DialectChoice,
}

impl RequestHead {
    fn read(app: &App, request: &Request) -> Self {
        let ReadPath { endpoint, dialects } = paths::read(request.method(), request.uri().path());
        let caller = app.callers.identify(request.headers());
        let bound = match &caller {
            Ok(caller) => caller.dialect,
            Err(_) => None,
        };
        let dialect = DialectChoice::before_body(dialects, request.headers(), bound);
        Self { endpoint, caller, dialect }
    }
}

/// Answers a request to any path but those of probes and documentation.
///
/// # Errors
/// Those of the path, of the key, and of the endpoint.
pub(super) async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Result<Response, HandlerError> {
    let RequestHead { endpoint, caller, dialect } = RequestHead::read(&app, &request);
    match (endpoint, caller) {
        (Ok(Endpoint::Rerank { model }), Ok(caller)) => {
            // A refusal must cost next to nothing, so it comes before anything of the body is read. The permit itself
            // is taken once the body has arrived: a client that withholds its body keeps nobody out.
            if app.in_flight_limit.available_permits() == 0 {
                return Err(refuse_rerank(&app, dialect, overloaded(&app)));
            }
            rerank::rerank(&app, RerankHead { caller, dialect, model }, request).await
        }
        (Ok(Endpoint::Rerank { .. }), Err(error)) => Err(refuse_rerank(&app, dialect, error)),
        (Ok(Endpoint::Discovery(discovery)), caller) => {
            if let Err(error) = caller
                && !discovery.is_public()
            {
                return Err(HandlerError::new(error, dialect.provisional()));
            }
            setup::answer(&app, &discovery).map_err(|error| HandlerError::new(error, dialect.provisional()))
        }
        // The fault of the key comes first: without one, nobody learns which paths there are.
        (Err(_), Err(error)) | (Err(error), Ok(_)) => Err(HandlerError::new(error, dialect.provisional())),
    }
}

/// Refuses a request with `error`, in the dialect that its head tells. Counts it if it was to rerank.
pub(super) fn refuse(app: &App, request: &Request, error: Error) -> HandlerError {
    let RequestHead { endpoint, dialect, .. } = RequestHead::read(app, request);
    match endpoint {
        Ok(Endpoint::Rerank { .. }) => refuse_rerank(app, dialect, error),
        _ => HandlerError::new(error, dialect.provisional()),
    }
}

/// Refuses and counts a request to rerank.
fn refuse_rerank(app: &App, dialect: DialectChoice, error: Error) -> HandlerError {
    let dialect = dialect.provisional();
    app.reranker.metrics.refused(dialect.name(), error.kind);
    HandlerError::new(error, dialect)
}

/// The error of a request beyond `server.max_requests`.
pub(super) fn overloaded(app: &App) -> Error {
    let message = format!(
        "{} under way, which is the limit (server.max_requests); retry shortly",
        counted(app.server.max_requests, "request", "requests")
    );
    Error { retry_after: Some(OVERLOAD_RETRY_AFTER), ..Error::new(ErrorKind::Overloaded, message) }
}
