//! Errors as RFC 9457 problem details, with the member `error` that other dialects' clients look for.
//!
//! In every dialect an error holds `message` and a string `detail`: many clients need one of them and crash without it.
//! Some also look into `error`, which is an object for clients of OpenAI-like servers and of Pinecone, and a text for
//! those of TEI and Weaviate.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use rerankd_core::error::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use super::raw::name_of;

/// The media type of RFC 9457.
const PROBLEM_JSON: &str = "application/problem+json";

/// An error as an HTTP response.
#[derive(Debug)]
pub struct ErrorAnswer {
    /// HTTP status, 400 to 599.
    pub status: StatusCode,
    /// Media type: plain JSON, or that of RFC 9457.
    pub content_type: HeaderValue,
    /// JSON of a [`Problem`].
    pub body: Bytes,
}

/// An error (RFC 9457). `message` repeats `detail` for clients that look for that name.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "type is a keyword")]
pub struct Problem<'a> {
    /// A link to the explanation of this kind of problem, relative to the server.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", example = "/docs/errors#invalid_request")]
    problem_type: String,
    /// The kind of problem, for people.
    #[schema(example = "Invalid request")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// The kind of problem, for programs. Stable.
    #[schema(example = "invalid_request")]
    code: &'static str,
    /// What happened, what the limit is, and the way out.
    #[schema(example = "documents[3] is a list; it must be a string or an object")]
    detail: &'a str,
    /// The same as `detail`.
    #[schema(example = "documents[3] is a list; it must be a string or an object")]
    message: &'a str,
    /// The field that is to blame, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/documents/3")]
    pointer: Option<&'a str>,
    /// The request's id, as in the `x-request-id` header and in the logs.
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    request_id: &'a str,
    /// The same again where clients of other servers look for it; its shape depends on the dialect.
    #[schema(
        value_type = serde_json::Value,
        example = json!({
            "message": "query is missing", "type": "invalid_request_error", "param": "query", "code": "invalid_request"
        })
    )]
    error: ErrorMember<'a>,
    /// The kind of problem in TEI's words; only in that dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Validation")]
    error_type: Option<&'static str>,
}

/// The value of the member `error`, in the shape that a family of clients reads.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ErrorMember<'a> {
    /// As OpenAI-like servers write it (vLLM, Infinity, Together, LiteLLM's proxy).
    OpenAi {
        message: &'a str,
        #[serde(rename = "type")]
        kind: &'static str,
        param: Option<String>,
        code: &'static str,
    },
    /// As Pinecone writes it.
    Pinecone { code: &'static str, message: &'a str },
    /// As TEI and Weaviate's containers write it.
    Text(&'a str),
}

impl<'a> Problem<'a> {
    /// The body of an error. `status` is the dialect's, which can differ from that of the error's kind.
    fn new(error: &'a Error, status: StatusCode, request_id: &'a str, member: ErrorMember<'a>) -> Self {
        let facts = error.kind.facts();
        Self {
            problem_type: format!("/docs/errors#{}", facts.code),
            title: facts.title,
            status: status.as_u16(),
            code: facts.code,
            detail: &error.message,
            message: &error.message,
            pointer: error.pointer.as_deref(),
            request_id,
            error: member,
            error_type: None,
        }
    }

    fn to_answer(&self, status: StatusCode, content_type: &'static str) -> ErrorAnswer {
        ErrorAnswer { status, content_type: HeaderValue::from_static(content_type), body: json(self) }
    }
}

/// An error as problem details, for the family of Cohere.
pub(super) fn problem_details(request_id: &str, error: &Error) -> ErrorAnswer {
    openai_like(request_id, error, PROBLEM_JSON)
}

/// An error as plain JSON, which OpenAI-like clients also read.
pub(super) fn plain(request_id: &str, error: &Error) -> ErrorAnswer {
    openai_like(request_id, error, "application/json")
}

/// An error with the member `error` of OpenAI-like servers.
fn openai_like(request_id: &str, error: &Error, content_type: &'static str) -> ErrorAnswer {
    let status = error.kind.status();
    let kind = match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    };
    let param = error.pointer.as_deref().map(name_of);
    let member = ErrorMember::OpenAi { message: &error.message, kind, param, code: error.kind.code() };
    Problem::new(error, status, request_id, member).to_answer(status, content_type)
}

/// An error as Weaviate's inference containers write it: `error` is a text.
pub(super) fn error_text(request_id: &str, error: &Error) -> ErrorAnswer {
    let status = error.kind.status();
    Problem::new(error, status, request_id, ErrorMember::Text(&error.message)).to_answer(status, "application/json")
}

/// An error as TEI writes it: status 422 for an invalid request, and TEI's own kinds in `error_type` (`ErrorType` in
/// its API document).
pub(super) fn tei(request_id: &str, error: &Error) -> ErrorAnswer {
    let status = match error.kind {
        ErrorKind::InvalidRequest | ErrorKind::TooManyDocuments => StatusCode::UNPROCESSABLE_ENTITY,
        kind => kind.status(),
    };
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => "Overloaded",
        status if status.is_client_error() => "Validation",
        _ => "Backend",
    };
    let problem = Problem::new(error, status, request_id, ErrorMember::Text(&error.message));
    Problem { error_type: Some(kind), ..problem }.to_answer(status, "application/json")
}

/// An error as Pinecone writes it (`ErrorResponse` in its API document, 2026-04).
pub(super) fn pinecone(request_id: &str, error: &Error) -> ErrorAnswer {
    let status = error.kind.status();
    let code = match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
        StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        status if status.is_client_error() => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    };
    let member = ErrorMember::Pinecone { code, message: &error.message };
    Problem::new(error, status, request_id, member).to_answer(status, "application/json")
}
