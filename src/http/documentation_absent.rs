//! The documentation in a build without the feature `docs`: an error that says so.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use rerankd_core::error::{Error, ErrorKind};

use super::App;
use super::handler_error::HandlerError;

/// The routes of the documentation.
pub(super) fn routes() -> Router<Arc<App>> {
    let mut router = Router::new();
    for path in ["/docs", "/docs/", "/docs/{*rest}", "/llms.txt"] {
        router = router.route(path, get(refuse));
    }
    router
}

async fn refuse() -> HandlerError {
    HandlerError::native(Error::new(
        ErrorKind::NotFound,
        "the documentation is not in this build; `cargo build --release --features docs` builds it in, and \
         /openapi.json has the HTTP contract",
    ))
}
