//! Failures of upstream calls.

use std::time::Duration;

use super::error_texts;
use super::key_ring::RefusedKey;
use super::last_failures::LastFailure;
use super::response_class::ResponseClass;
use super::size_refusal::SizeRefusal;
use crate::error::{Error, ErrorKind};
use crate::provider::Explanation;

/// Failure of an attempt; for a call, that of its last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    /// Kind of the error that the client sees.
    pub kind: ErrorKind,
    /// Class of the result, which the layers of the stack read.
    pub class: ResponseClass,
    /// Message in our words. Never quotes the request or the reply.
    pub what: String,
    /// The provider's own message, boxed because most errors have none. It may quote the request, so it passes through
    /// [`super::redact`] before anyone sees it.
    pub said: Option<Box<Explanation>>,
    /// Time after which to try again, from `Retry-After` or from our own guard; `None` if neither said.
    pub retry_after: Option<Duration>,
    /// True if another attempt may succeed.
    pub retryable: bool,
    /// Keys that were refused for this call so far.
    pub refused_keys: Vec<RefusedKey>,
    /// True if the provider says that it has no model of this name.
    pub is_model_missing: bool,
    /// Evidence that the call was too large; `None` if the failure is about something else.
    pub size_refusal: Option<SizeRefusal>,
}

impl UpstreamError {
    /// A retryable failure.
    pub fn passing(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::lasting(kind, what) }
    }

    /// A failure that would repeat in another attempt.
    pub fn lasting(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            class: ResponseClass::of_kind(kind),
            what: what.into(),
            said: None,
            retry_after: None,
            retryable: false,
            refused_keys: Vec::new(),
            is_model_missing: false,
            size_refusal: None,
        }
    }

    /// The failure of a reply with a status other than success. `size_refusal` is evidence that the call was too large.
    pub fn of_status(status: u16, kind: ErrorKind, size_refusal: Option<SizeRefusal>, what: impl Into<String>) -> Self {
        let class = ResponseClass::of_status(status, kind, size_refusal.is_some());
        Self { class, size_refusal, ..Self::lasting(kind, what) }
    }

    /// Our own refusal while the circuit breaker is open, with the failure that is the reason.
    pub(super) fn circuit_open(retry_after: Duration, last_failure: Option<&LastFailure>) -> Self {
        let what = error_texts::circuit_open(last_failure.map(|last| &*last.what));
        let kind = match last_failure {
            // "Too many requests" keeps its kind: clients know how to react to it.
            Some(last) if last.kind == ErrorKind::UpstreamRateLimited => last.kind,
            _ => ErrorKind::UpstreamCircuitOpen,
        };
        Self::not_sent(kind, what, retry_after)
    }

    /// Our own refusal of a call whose `time_left` was too little for recent calls.
    pub(super) fn too_little_time(time_left: Duration, retry_after: Duration) -> Self {
        Self::not_sent(ErrorKind::UpstreamCircuitOpen, error_texts::too_little_time(time_left), retry_after)
    }

    /// Our own refusal because the queue or the minute's rate is full.
    pub(super) fn overloaded(what: &str, retry_after: Duration) -> Self {
        Self::not_sent(ErrorKind::Overloaded, what, retry_after)
    }

    /// Our own refusal, before anything is sent. Not retryable: the next attempt would meet the same guard.
    fn not_sent(kind: ErrorKind, what: impl Into<String>, retry_after: Duration) -> Self {
        Self { class: ResponseClass::NotSent, retry_after: Some(retry_after), ..Self::lasting(kind, what) }
    }

    /// The error for the client, with the upstream's `name` and without the provider's message.
    pub(crate) fn of_upstream(&self, name: &str) -> Error {
        Error { retry_after: self.retry_after, ..Error::new(self.kind, format!("{name} {}", self.what)) }
    }
}
