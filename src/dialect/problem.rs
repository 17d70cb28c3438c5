//! Errors as RFC 9457 problem details.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

/// An error (RFC 9457). `message` repeats `detail` for clients that look for that name.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "type is a keyword")]
pub struct Problem<'a> {
    /// Names the kind of problem; `docs/errors.md` explains each.
    #[serde(rename = "type")]
    #[schema(example = "urn:rerankd:error:invalid_request")]
    problem_type: String,
    /// The kind of problem, for people.
    #[schema(example = "The request is not valid")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// The kind of problem, for programs. Stable.
    #[schema(example = "invalid_request")]
    code: &'static str,
    /// What happened, what the limit is, and the way out.
    #[schema(example = "documents[3] is a number; it must be a string or an object with a text")]
    detail: &'a str,
    /// The same as `detail`.
    #[schema(example = "documents[3] is a number; it must be a string or an object with a text")]
    message: &'a str,
    /// The field that is to blame, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/documents/3")]
    pointer: Option<&'a str>,
    /// The request's id, as in the `x-request-id` header and in the logs.
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    request_id: &'a str,
}

impl<'a> Problem<'a> {
    /// The media type of RFC 9457.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// The problem that `error` is.
    #[must_use]
    pub fn new(error: &'a Error, request_id: &'a str) -> Self {
        let facts = error.kind.facts();
        Self {
            problem_type: format!("urn:rerankd:error:{}", facts.code),
            title: facts.title,
            status: facts.status.as_u16(),
            code: facts.code,
            detail: &error.message,
            message: &error.message,
            pointer: error.pointer.as_deref(),
            request_id,
        }
    }
}
