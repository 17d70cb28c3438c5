//! The page at `/docs` in a build without the feature `swagger-ui`: an error that says so.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use rerankd_core::error::{Error, ErrorKind};

use super::App;
use super::handler_error::HandlerError;

/// The routes of the page.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/docs", get(refuse)).route("/docs/", get(refuse)).route("/docs/{*rest}", get(refuse))
}

async fn refuse() -> HandlerError {
    HandlerError::native(Error::new(
        ErrorKind::NotFound,
        "the documentation page is not in this build; `cargo build --release --features swagger-ui` builds it in, and \
         /openapi.json has the same document",
    ))
}
