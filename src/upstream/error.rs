//! Why an upstream gave no scores.

use std::time::Duration;

use super::keys::RefusedKey;
use super::size_refusal::SizeRefusal;
use crate::error::{Error, ErrorKind};
use crate::provider::Explanation;

/// One failed attempt, or the last of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    /// What went wrong, as a client will see it.
    pub kind: ErrorKind,
    /// What happened, in our words: never quotes the request or the reply.
    pub what: String,
    /// The status that it was told by; `None` if there was no answer, or one of success.
    pub status: Option<u16>,
    /// The provider's own words, in a box because most errors have none. May quote the request: passes through [`super::redact`] before
    /// anyone sees it.
    pub said: Option<Box<Explanation>>,
    /// When the provider asks to be tried again.
    pub retry_after: Option<Duration>,
    /// Whether another attempt may succeed.
    pub retryable: bool,
    /// Whether the key was turned away and another one stands ready: the next attempt need not wait.
    pub is_rotated: bool,
    /// Keys that were refused for this call so far.
    pub(crate) refused_keys: Vec<RefusedKey>,
    /// What it says about the size of the call, if it is, or may be, about that.
    pub size_refusal: Option<SizeRefusal>,
}

impl UpstreamError {
    /// A failure that another attempt may mend.
    pub(crate) fn passing(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::lasting(kind, what) }
    }

    /// A failure that another attempt will not mend.
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

    /// Whether it is a sign of overload, which concerns all: other failures may be about what was sent.
    pub(super) fn is_overload(&self) -> bool {
        match self.kind {
            ErrorKind::UpstreamRateLimited | ErrorKind::UpstreamTimeout | ErrorKind::UpstreamUnavailable => {
                self.status.is_none_or(is_overload)
            }
            _ => false,
        }
    }

    /// As an error of the upstream `name`, without the provider's words.
    pub(crate) fn of_upstream(&self, name: &str) -> Error {
        Error { retry_after: self.retry_after, ..Error::new(self.kind, format!("{name} {}", self.what)) }
    }
}

/// Whether a status says that the upstream, or what stands before it, has more to do than it can bear: "too many requests", a gateway that got no
/// answer (Cloudflare's codes from 521 on among them), a time-out. Others, 500 first of all, say that it could not do this.
fn is_overload(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 502..=504 | 521..=524 | 529)
}

/// What a status other than success means, whoever sends it.
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
