//! The fallback handler: checks the caller's key, then hands a request to the endpoint that its path names.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;

use super::callers::Caller;
use super::middleware::unwritten;
use super::paths::{self, Endpoint, ReadPath};
use super::rerank::RerankCall;
use super::{App, rerank, setup};
use crate::dialect::choose::DialectChoice;
use crate::error::{Error, ErrorKind};

/// `Retry-After` of a request that was refused because of `server.max_requests`.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Everything that the head of a request tells. It is read once, before anything is answered.
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
pub(super) async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Response {
    let RequestHead { endpoint, caller, dialect } = RequestHead::read(&app, &request);
    match (endpoint, caller) {
        (Ok(Endpoint::Rerank { model }), Ok(caller)) => {
            // A refusal must cost next to nothing, so it comes before anything of the body is read. The permit itself
            // is taken once the body has arrived: a client that withholds its body keeps nobody out.
            if app.in_flight_limit.available_permits() == 0 {
                return refuse_rerank(&app, dialect, overloaded(&app));
            }
            rerank::rerank(&app, RerankCall { caller, dialect, model }, request).await
        }
        (Ok(Endpoint::Rerank { .. }), Err(error)) => refuse_rerank(&app, dialect, error),
        (Ok(Endpoint::SetUp(set_up)), Err(error)) if !set_up.is_public() => unwritten(error, dialect.provisional()),
        (Ok(Endpoint::SetUp(set_up)), _) => match setup::answer(&app, &set_up) {
            Ok(response) => response,
            Err(error) => unwritten(error, dialect.provisional()),
        },
        // Without a key, nobody learns which paths there are.
        (Err(_), Err(error)) | (Err(error), Ok(_)) => unwritten(error, dialect.provisional()),
    }
}

/// Refuses a request with `error`, in the dialect that its head tells. Counts it if it was to rerank.
pub(super) fn refuse(app: &App, request: &Request, error: Error) -> Response {
    let RequestHead { endpoint, dialect, .. } = RequestHead::read(app, request);
    match endpoint {
        Ok(Endpoint::Rerank { .. }) => refuse_rerank(app, dialect, error),
        _ => unwritten(error, dialect.provisional()),
    }
}

/// Refuses and counts a request to rerank.
fn refuse_rerank(app: &App, dialect: DialectChoice, error: Error) -> Response {
    let dialect = dialect.provisional();
    app.reranker.metrics.refused(dialect.name(), error.kind);
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
