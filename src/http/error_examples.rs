//! Examples of errors for the OpenAPI document: one of each kind, as a client sees it.

use std::collections::BTreeMap;

use rerankd_core::error::{Error, ErrorKind};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Ref, RefOr, Response};

use crate::dialect::Dialect;

/// The id of the request in every example.
const EXAMPLE_ID: &str = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11";

/// Examples by their names, as the document's components hold them.
pub(super) type Examples = BTreeMap<String, RefOr<Example>>;

/// Gives each response of an operation that is an error an example of every code that its description names, in the
/// shape of `dialect`. The examples themselves go to `shared`.
pub(super) fn add_to(operation: &mut Operation, dialect: &dyn Dialect, shared: &mut Examples) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let examples = examples_for(status, response, dialect, shared);
        if examples.is_empty() {
            continue;
        }
        for content in response.content.values_mut() {
            if let RefOr::T(content) = content {
                content.examples.clone_from(&examples);
            }
        }
    }
}

/// References to the examples of a response, by their codes. A dialect may give a kind another status, and with it
/// another response.
fn examples_for(status: &str, response: &Response, dialect: &dyn Dialect, shared: &mut Examples) -> Examples {
    let mut examples = BTreeMap::new();
    for kind in ErrorKind::ALL {
        let code = kind.code();
        if !response.description.contains(&format!("`{code}`")) {
            continue;
        }
        let answer = dialect.encode_error(EXAMPLE_ID, &example(kind));
        if answer.status.as_str() == status {
            let value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let example = ExampleBuilder::new().summary(kind.facts().title).value(Some(value)).build();
            let name = shared_name(code, example.into(), dialect, shared);
            examples.insert(code.to_owned(), RefOr::Ref(Ref::new(format!("#/components/examples/{name}"))));
        }
    }
    examples
}

/// Adds an example to the shared ones, and returns its name: the code, with the dialect behind it where that writes
/// errors otherwise than the dialect that came first.
fn shared_name(code: &str, example: RefOr<Example>, dialect: &dyn Dialect, shared: &mut Examples) -> String {
    let first = shared.entry(code.to_owned()).or_insert_with(|| example.clone());
    if *first == example {
        return code.to_owned();
    }
    let name = format!("{code}-{}", dialect.name());
    shared.insert(name.clone(), example);
    name
}

/// A typical error of this kind.
fn example(kind: ErrorKind) -> Error {
    let message = match kind {
        ErrorKind::InvalidJson => "the body is not JSON: expected `,` or `}` at line 3 column 5",
        ErrorKind::InvalidRequest => "documents[3] is a list; it must be a string or an object",
        ErrorKind::Unauthorized => "a key is needed; send it as Authorization: Bearer KEY",
        ErrorKind::Forbidden => {
            "web pages of https://example.com may not ask; server.allowed_origins in the configuration allows them"
        }
        ErrorKind::UnknownModel => {
            "there is no model \"rerank\"; known models: default, local; models.NAME.aliases in the configuration \
             gives a model further names"
        }
        ErrorKind::NotFound => "there is nothing at this path; did you mean /v1/rerank?",
        ErrorKind::MethodNotAllowed => "GET does not work here; use POST",
        ErrorKind::BodyTimeout => "the body did not arrive in full before the deadline",
        ErrorKind::BodyTooLarge => {
            "the body is larger than 33554432 bytes; send fewer or shorter documents, or raise server.max_body_bytes"
        }
        ErrorKind::TooManyDocuments => {
            "12000 documents were sent, and server.max_documents is 10000; send fewer, or raise it"
        }
        ErrorKind::UnsupportedEncoding => {
            "the content encoding br is not read; send the body in gzip, deflate or as it is"
        }
        ErrorKind::UpstreamRejected => "cohere refused the request (status 400): the query is too long",
        ErrorKind::UpstreamRateLimited => "cohere has reached its rate limit (status 429); retry after 12 s",
        ErrorKind::UpstreamUnauthorized => "cohere refused the API key (status 401) (check upstreams.cohere.api_key)",
        ErrorKind::UpstreamQuotaExhausted => "the account at cohere is used up (status 402)",
        ErrorKind::UpstreamMisconfigured => {
            "there is nothing at /v1/v2/rerank of cohere (status 404); check upstreams.cohere.base_url"
        }
        ErrorKind::UpstreamModelRetired => {
            "cohere answered with status 404 (rerank-english-v2.0 is retired; use rerank-v3.5 in the targets of your \
             models)"
        }
        ErrorKind::UpstreamUnavailable => "cohere could not be reached: the connection was refused",
        ErrorKind::UpstreamCircuitOpen => {
            "the circuit breaker of cohere is open for another 4 s; the last failure: status 503"
        }
        ErrorKind::UpstreamInvalidReply => "cohere answered 49 scores for 50 passages",
        ErrorKind::UpstreamTimeout => "no attempt at cohere ended within 10 s (attempt_timeout)",
        ErrorKind::DeadlineExceeded => {
            "the deadline of 300 ms passed; raise timeout_ms, or lower the number of documents"
        }
        ErrorKind::Overloaded => "256 requests are under way, and server.max_requests is 256; retry after 1 s",
        ErrorKind::NotCached => "3 of 50 scores are not cached, and only-if-cached asks no upstream",
        ErrorKind::Internal => "a defect in rerankd stopped this request",
    };
    let pointer = match kind {
        ErrorKind::InvalidRequest => Some("/documents/3"),
        ErrorKind::UnknownModel => Some("/model"),
        ErrorKind::TooManyDocuments => Some("/documents"),
        _ => None,
    };
    Error { pointer: pointer.map(str::to_owned), ..Error::new(kind, message) }
}
