//! Checks that a request can be answered at all.
//!
//! Only requests that every upstream would refuse are refused here. An empty list (with any query), blank passages and
//! a `top_n` beyond the list are not errors: clients send them.

use crate::error::{Error, ErrorKind};
use crate::types::request::RerankRequest;

/// Limits of one request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most passages of one request.
    pub max_documents: usize,
}

/// Refuses a request without a query or with too many passages.
///
/// # Errors
/// `invalid_request` or `too_many_documents`.
pub fn validate(request: &RerankRequest, limits: Limits) -> Result<(), Error> {
    if request.query.trim().is_empty() && !request.passages.is_empty() {
        return Err(Error::invalid_field("/query", "query is blank; it must hold the text to search for"));
    }
    if request.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(Error::invalid_field("/timeout_ms", "timeout_ms is 0; it must be at least 1"));
    }
    let count = request.passages.len();
    if count > limits.max_documents {
        let message = format!(
            "the request has {count} documents, the limit is {} (server.max_documents); send fewer or raise the limit",
            limits.max_documents
        );
        return Err(Error { pointer: Some("/documents".into()), ..Error::new(ErrorKind::TooManyDocuments, message) });
    }
    Ok(())
}
