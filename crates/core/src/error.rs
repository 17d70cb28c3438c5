//! The errors that a client can see, as one closed set.
//!
//! An [`ErrorKind`] fixes the HTTP status, the metric label and the stable `code` that programs may match on. An
//! [`Error`] adds one sentence for people. Layers below the HTTP edge never deal with statuses. `docs/errors.md`
//! explains every kind, and a test holds it to this file. No message ever quotes a query, a passage or a key.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// The kind of a failure. The set is closed: a new kind needs a place in [`ErrorKind::ALL`], a row in
/// [`ErrorKind::facts`], a word in [`ErrorKind::is_caused_by_upstream`] if it is, and a heading in `docs/errors.md`.
/// `Internal` stays the last one, so that the compiler notices a kind that `ALL` lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The body is not UTF-8 JSON.
    InvalidJson,
    /// The body is JSON, but a field is missing, of the wrong type or out of range.
    InvalidRequest,
    /// The request carries no key that this server accepts.
    Unauthorized,
    /// The request comes from a web page of another site, or its `Host` is not a name of this machine.
    Forbidden,
    /// No such model, here or at a configured upstream.
    UnknownModel,
    /// No such path.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// The body did not arrive before the deadline.
    BodyTimeout,
    /// The body is over `server.max_body_bytes`.
    BodyTooLarge,
    /// The request has more passages than `server.max_documents`, or than a listwise model takes at once.
    TooManyDocuments,
    /// The body has a content encoding that is not supported.
    UnsupportedEncoding,
    /// The provider refused the request itself (a bad parameter, an over-long query).
    UpstreamRejected,
    /// The provider refused the request because of its rate limit.
    UpstreamRateLimited,
    /// The provider did not accept the configured key.
    UpstreamUnauthorized,
    /// The provider's account is out of credit.
    UpstreamQuotaExhausted,
    /// The address configured for the provider is wrong.
    UpstreamMisconfigured,
    /// The provider does not serve the model any more.
    UpstreamModelRetired,
    /// The provider could not be reached, or answered with a server error.
    UpstreamUnavailable,
    /// The provider failed so often that its circuit is open.
    UpstreamCircuitOpen,
    /// The provider's reply was not a valid set of scores.
    UpstreamInvalidReply,
    /// No attempt at the provider ended within its timeout.
    UpstreamTimeout,
    /// The request's own deadline passed.
    DeadlineExceeded,
    /// Too many requests are in flight to answer this one in time.
    Overloaded,
    /// The request says `Cache-Control: only-if-cached`, and some score is not cached.
    NotCached,
    /// A defect in rerankd.
    Internal,
}

const _: () = assert!(ErrorKind::ALL.len() == ErrorKind::Internal as usize + 1, "`ALL` lacks a kind");

/// The fixed properties of an [`ErrorKind`].
pub struct ErrorFacts {
    /// Stable machine-readable name, also the metric label.
    pub code: &'static str,
    /// HTTP status of the answer.
    pub status: StatusCode,
    /// Short name for people, the `title` of RFC 9457.
    pub title: &'static str,
}

impl ErrorKind {
    /// Every kind, in the order of `docs/errors.md`.
    pub const ALL: [Self; 25] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UnknownModel,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::TooManyDocuments,
        Self::UnsupportedEncoding,
        Self::UpstreamRejected,
        Self::UpstreamRateLimited,
        Self::UpstreamUnauthorized,
        Self::UpstreamQuotaExhausted,
        Self::UpstreamMisconfigured,
        Self::UpstreamModelRetired,
        Self::UpstreamUnavailable,
        Self::UpstreamCircuitOpen,
        Self::UpstreamInvalidReply,
        Self::UpstreamTimeout,
        Self::DeadlineExceeded,
        Self::Overloaded,
        Self::NotCached,
        Self::Internal,
    ];

    /// The status, code and title of this kind. Failures of an upstream that the client can act on keep the provider's
    /// status (400, 429). Those that only the operator can mend are 502: a 401 would make a client doubt its own key.
    #[must_use]
    pub const fn facts(self) -> ErrorFacts {
        let (code, status, title) = match self {
            Self::InvalidJson => ("invalid_json", StatusCode::BAD_REQUEST, "Invalid JSON"),
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST, "Invalid request"),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "Missing or invalid API key"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "Origin or host not allowed"),
            Self::UnknownModel => ("unknown_model", StatusCode::NOT_FOUND, "Unknown model"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::BodyTimeout => ("body_timeout", StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
            Self::TooManyDocuments => ("too_many_documents", StatusCode::BAD_REQUEST, "Too many documents"),
            Self::UnsupportedEncoding => {
                ("unsupported_encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported content encoding")
            }
            Self::UpstreamRejected => ("upstream_rejected", StatusCode::BAD_REQUEST, "Upstream rejected the request"),
            Self::UpstreamRateLimited => {
                ("upstream_rate_limited", StatusCode::TOO_MANY_REQUESTS, "Provider rate limit reached")
            }
            Self::UpstreamUnauthorized => {
                ("upstream_unauthorized", StatusCode::BAD_GATEWAY, "Upstream rejected the API key")
            }
            Self::UpstreamQuotaExhausted => {
                ("upstream_quota_exhausted", StatusCode::BAD_GATEWAY, "Provider quota exhausted")
            }
            Self::UpstreamMisconfigured => {
                ("upstream_misconfigured", StatusCode::BAD_GATEWAY, "Upstream address misconfigured")
            }
            Self::UpstreamModelRetired => ("upstream_model_retired", StatusCode::BAD_GATEWAY, "Upstream model retired"),
            Self::UpstreamUnavailable => ("upstream_unavailable", StatusCode::BAD_GATEWAY, "Upstream unavailable"),
            Self::UpstreamCircuitOpen => {
                ("upstream_circuit_open", StatusCode::SERVICE_UNAVAILABLE, "Circuit breaker open")
            }
            Self::UpstreamInvalidReply => {
                ("upstream_invalid_reply", StatusCode::BAD_GATEWAY, "Invalid upstream response")
            }
            Self::UpstreamTimeout => ("upstream_timeout", StatusCode::GATEWAY_TIMEOUT, "Upstream timed out"),
            Self::DeadlineExceeded => ("deadline_exceeded", StatusCode::GATEWAY_TIMEOUT, "Deadline exceeded"),
            Self::Overloaded => ("overloaded", StatusCode::TOO_MANY_REQUESTS, "Server overloaded"),
            Self::NotCached => ("not_cached", StatusCode::GATEWAY_TIMEOUT, "Score not cached"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
        };
        ErrorFacts { code, status, title }
    }

    /// Stable machine-readable name, also the metric label.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.facts().code
    }

    /// Returns true if an upstream, or the time that it took, is the cause: only then may stale scores answer instead.
    #[must_use]
    pub const fn is_caused_by_upstream(self) -> bool {
        matches!(
            self,
            Self::UpstreamRejected
                | Self::UpstreamRateLimited
                | Self::UpstreamUnauthorized
                | Self::UpstreamQuotaExhausted
                | Self::UpstreamMisconfigured
                | Self::UpstreamModelRetired
                | Self::UpstreamUnavailable
                | Self::UpstreamCircuitOpen
                | Self::UpstreamInvalidReply
                | Self::UpstreamTimeout
                | Self::DeadlineExceeded
                | Self::Overloaded
        )
    }

    /// HTTP status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.facts().status
    }
}

/// A failure as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Kind of the failure; fixes code and status.
    pub kind: ErrorKind,
    /// One sentence that names the thing, the limit and the way out.
    pub message: String,
    /// JSON pointer (RFC 6901) to the field of the body that is the cause, if it is a single one.
    pub pointer: Option<String>,
    /// Time after which the client should try again, if that is known.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error of `kind` with `message`, without pointer and `retry_after`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), pointer: None, retry_after: None }
    }

    /// An [`ErrorKind::InvalidRequest`] caused by the field at `pointer`, a JSON pointer.
    pub fn invalid_field(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..Self::new(ErrorKind::InvalidRequest, message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind.code(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_every_status_is_an_error() {
        let codes: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
    }
}
