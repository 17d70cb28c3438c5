//! Failures of upstream calls.

use std::time::Duration;

use super::key_ring::RefusedKey;
use super::size_refusal::SizeRefusal;
use crate::error::{Error, ErrorKind};
use crate::provider::Explanation;

/// Failure of an attempt; for a call, that of its last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    /// Kind of the error that the client sees.
    pub kind: ErrorKind,
    /// Message in our words. Never quotes the request or the reply.
    pub what: String,
    /// Status of the reply; `None` if there was no reply, or one with a success status.
    pub status: Option<u16>,
    /// The provider's own message, boxed because most errors have none. It may quote the request, so it passes through
    /// [`super::redact`] before anyone sees it.
    pub said: Option<Box<Explanation>>,
    /// Time after which to try again, from `Retry-After` or from our own guard.
    pub retry_after: Option<Duration>,
    /// True if another attempt may succeed.
    pub retryable: bool,
    /// True if the key was rejected and another one is ready, so that the next attempt need not wait.
    pub is_rotated: bool,
    /// Keys that were refused for this call so far.
    pub(crate) refused_keys: Vec<RefusedKey>,
    /// Evidence that the call was too large; `None` if the failure is about something else.
    pub size_refusal: Option<SizeRefusal>,
}

impl UpstreamError {
    /// A retryable failure.
    pub(crate) fn passing(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::lasting(kind, what) }
    }

    /// A failure that would repeat in another attempt.
    pub(crate) fn lasting(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            status: None,
            said: None,
            retry_after: None,
            retryable: false,
            is_rotated: false,
            refused_keys: Vec::new(),
            size_refusal: None,
        }
    }

    /// Returns true if the failure is a sign of overload, which concerns all callers. Others may be about the texts.
    pub(super) fn is_overload(&self) -> bool {
        match self.kind {
            ErrorKind::UpstreamRateLimited | ErrorKind::UpstreamTimeout | ErrorKind::UpstreamUnavailable => {
                self.status.is_none_or(is_overload)
            }
            _ => false,
        }
    }

    /// The error for the client, with the upstream's `name` and without the provider's message.
    pub(crate) fn of_upstream(&self, name: &str) -> Error {
        Error { retry_after: self.retry_after, ..Error::new(self.kind, format!("{name} {}", self.what)) }
    }
}

/// Returns true for statuses of overload, of the upstream or of a gateway before it: "too many requests", time-outs,
/// and gateways that got no reply (Cloudflare's codes from 521 on among them). Others, 500 above all, are about one
/// request.
fn is_overload(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 502..=504 | 521..=524 | 529)
}

/// The kind of error for a status other than success.
pub(super) fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::UpstreamUnauthorized,
        402 => ErrorKind::UpstreamQuotaExhausted,
        429 => ErrorKind::UpstreamRateLimited,
        // 409: conflict with another request; 424: TEI's model backend failed; 499: Cohere gave up on its own model.
        408 | 409 | 424 | 425 | 499 | 500..=599 => ErrorKind::UpstreamUnavailable,
        // None of these is about what the client asked: the address or the way to it is wrong.
        404 | 405 | 407 | 410 | 421 | 426 => ErrorKind::UpstreamMisconfigured,
        400..=498 => ErrorKind::UpstreamRejected,
        _ => ErrorKind::UpstreamInvalidReply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_sorted_by_what_can_be_done_about_them() {
        let kinds = [
            200, 302, 400, 401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 426, 413, 422, 424, 429, 498, 499, 500,
            503, 529,
        ]
        .map(|status| kind_of_status(status).code());
        assert_eq!(
            kinds,
            [
                "upstream_invalid_reply",
                "upstream_invalid_reply",
                "upstream_rejected",
                "upstream_unauthorized",
                "upstream_quota_exhausted",
                "upstream_unauthorized",
                "upstream_misconfigured",
                "upstream_misconfigured",
                "upstream_misconfigured",
                "upstream_unavailable",
                "upstream_misconfigured",
                "upstream_misconfigured",
                "upstream_unavailable",
                "upstream_misconfigured",
                "upstream_rejected",
                "upstream_rejected",
                "upstream_unavailable",
                "upstream_rate_limited",
                "upstream_rejected",
                "upstream_unavailable",
                "upstream_unavailable",
                "upstream_unavailable",
                "upstream_unavailable",
            ]
        );
    }
}
