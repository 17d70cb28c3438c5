//! The class of an attempt's result. It is decided once, and every layer of the stack acts on it.
//!
//! It is decided where the error is made: by the transport, which knows the status and the words of the reply, by the
//! attempt layer, which knows a timeout, or by the guard, which knows an attempt that was cut off. The idea is
//! Linkerd's (`classify::Class`).
//!
//! ```text
//!  class           result of the attempt                  breaker  permits  load     reply  next attempt     cost
//!  Success         scores that fit the call               success  more     latency  yes    –                –
//!  CallRefused     refusal of its content or its size     success  –        –        yes    backoff          1
//!  ModelRetired    410, or words about the model's end    success  –        –        yes    –                –
//!  KeyRefused      401, 402, 403                          failure  –        caller   yes    backoff          1
//!    has_next_key                                         –        –        –        yes    at once          1
//!  FileKeyRefused  401, 403 to a key from a file          –        –        caller   yes    backoff          1
//!  RateLimited     429                                    failure  fewer    all      yes    long backoff     ½
//!    has_next_key                                         –        –        –        yes    at once          ½
//!  Overloaded      408, 499, 502 to 504, 521 to 524, 529  failure  fewer    all      yes    once or backoff  1
//!  Failed          other failures of the server, as 500   failure  –        caller   yes    once or backoff  1
//!  InvalidReply    a reply without usable scores          failure  –        caller   yes    once or backoff  1
//!  Misconfigured   404, 405, 407: no such call there      failure  –        caller   yes    backoff          1
//!  NoReply         no connection, or a broken one         failure  fewer    all      no     once or backoff  1
//!  TimedOut        no reply in the time it should take    failure  fewer    all      no     backoff          2
//!  Cancelled       ended before that time                 –        –        –        no     –                –
//!  NotSent         our own refusal, before the attempt    –        –        –        no     –                –
//! ```
//!
//! - *breaker*: the evidence for the circuit breaker. A failure whose `Retry-After` is over a minute opens it at once,
//!   for that time.
//! - *permits*: the change of the concurrency limit. It needs a sign of overload, which concerns all callers. Other
//!   failures may be about one caller's texts.
//! - *load*: the load estimate. A success adds a latency to it; a failure raises it, for its caller or for all callers.
//! - *reply*: a reply of any class clears the memory of unanswered calls ([`super::unanswered`]).
//! - *next attempt*: the wait before it, if the failure is retryable. For statuses, `retry_statuses` of the provider
//!   decide that. While another target is ready nothing waits: there is one immediate attempt ("once") or none.
//! - *cost*: the part of the retry budget that the next attempt takes.
//!
//! A refused key rests for five minutes once another key is taken for the same call, a rate-limited one for its
//! `Retry-After` (`key_ring`). Metrics count attempts by the code that the client sees, `ok` or `cancelled`.

use std::time::Duration;

use super::breaker::CallOutcome;
use super::call::Scores;
use super::concurrency::LoadSignal;
use super::error::UpstreamError;
use crate::error::ErrorKind;

/// Longest `Retry-After` that a call waits for. A longer one opens the circuit breaker for its time instead.
pub(super) const MAX_WAITED_HINT: Duration = Duration::from_mins(1);

/// The class of an attempt's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseClass {
    /// Scores that fit the call.
    Success,
    /// Refusal of this one call, for its content or its size.
    CallRefused,
    /// Refusal because the model is not served any more. The upstream is well, and no other call to the model will do
    /// better.
    ModelRetired,
    /// Refusal of the key, or of its account.
    KeyRefused {
        /// True if another key is at hand for the next attempt.
        has_next_key: bool,
    },
    /// Refusal of a key that comes from a file, with no other key at hand. The file may hold another soon, and calls
    /// must go on to notice: each refusal has the file read again.
    FileKeyRefused,
    /// "Too many requests".
    RateLimited {
        /// True if another key is at hand for the next attempt.
        has_next_key: bool,
    },
    /// Status of an overloaded upstream, or of a gateway that got no reply from it.
    Overloaded,
    /// Status of any other failure of the upstream. It may be about the texts.
    Failed,
    /// Reply without usable scores.
    InvalidReply,
    /// Status that says that the address or the way to it is wrong.
    Misconfigured,
    /// Failure of the connection.
    NoReply,
    /// No reply in the time in which one was due.
    TimedOut,
    /// Attempt that was dropped before a reply was due.
    Cancelled,
    /// Call that this process refused itself.
    NotSent,
}

/// The callers that a failure of the upstream concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureScope {
    /// The caller of the attempt: its texts or its key may be to blame.
    Caller,
    /// All callers: a sign of overload.
    AllCallers,
}

impl ResponseClass {
    /// The class of a result.
    pub(super) const fn of(result: &Result<Scores, UpstreamError>) -> Self {
        match result {
            Ok(_) => Self::Success,
            Err(error) => error.class,
        }
    }

    /// The class of a failure without a status.
    pub(super) const fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::UpstreamRejected => Self::CallRefused,
            ErrorKind::UpstreamModelRetired => Self::ModelRetired,
            ErrorKind::UpstreamUnauthorized | ErrorKind::UpstreamQuotaExhausted => {
                Self::KeyRefused { has_next_key: false }
            }
            ErrorKind::UpstreamRateLimited => Self::RateLimited { has_next_key: false },
            ErrorKind::UpstreamUnavailable => Self::NoReply,
            ErrorKind::UpstreamInvalidReply => Self::InvalidReply,
            ErrorKind::UpstreamMisconfigured => Self::Misconfigured,
            ErrorKind::UpstreamTimeout => Self::TimedOut,
            // Failures of other kinds come before anything is sent.
            _ => Self::NotSent,
        }
    }

    /// The class of a reply with a status other than success, of which the client is told as `kind`.
    pub(super) const fn of_status(status: u16, kind: ErrorKind, is_about_size: bool) -> Self {
        match kind {
            // Some servers refuse a call for its size with a status 500: they are healthy.
            _ if is_about_size => Self::CallRefused,
            ErrorKind::UpstreamUnavailable if is_overload(status) => Self::Overloaded,
            ErrorKind::UpstreamUnavailable => Self::Failed,
            _ => Self::of_kind(kind),
        }
    }

    /// The class of the same rejection of a key if another key is at hand.
    pub(super) const fn with_next_key(self) -> Self {
        match self {
            Self::KeyRefused { .. } => Self::KeyRefused { has_next_key: true },
            Self::RateLimited { .. } => Self::RateLimited { has_next_key: true },
            other => other,
        }
    }

    /// Returns true if the key or its account was refused, or used too often.
    pub(super) const fn is_about_key(self) -> bool {
        matches!(self, Self::KeyRefused { .. } | Self::FileKeyRefused | Self::RateLimited { .. })
    }

    /// Returns true if a key was rejected and another one is at hand.
    pub(super) const fn has_next_key(self) -> bool {
        matches!(self, Self::KeyRefused { has_next_key: true } | Self::RateLimited { has_next_key: true })
    }

    /// Returns true if the upstream sent a reply, of any kind.
    pub(super) const fn is_reply(self) -> bool {
        !matches!(self, Self::NoReply | Self::TimedOut | Self::Cancelled | Self::NotSent)
    }

    /// The callers that the failure concerns; `None` if the upstream did not fail.
    pub(super) const fn failure_scope(self) -> Option<FailureScope> {
        match self {
            Self::Success
            | Self::CallRefused
            | Self::ModelRetired
            | Self::KeyRefused { has_next_key: true }
            | Self::RateLimited { has_next_key: true }
            | Self::Cancelled
            | Self::NotSent => None,
            Self::RateLimited { .. } | Self::Overloaded | Self::NoReply | Self::TimedOut => {
                Some(FailureScope::AllCallers)
            }
            Self::KeyRefused { .. }
            | Self::FileKeyRefused
            | Self::Failed
            | Self::InvalidReply
            | Self::Misconfigured => Some(FailureScope::Caller),
        }
    }

    /// The result as evidence for the circuit breaker; `None` if it is none. `retry_after` is the provider's hint.
    pub(super) fn call_outcome(self, retry_after: Option<Duration>) -> Option<CallOutcome> {
        if matches!(self, Self::Success | Self::CallRefused | Self::ModelRetired) {
            return Some(CallOutcome::Success);
        }
        // A file is about to be replaced perhaps, and the circuit would stay open after that.
        if self == Self::FileKeyRefused {
            return None;
        }
        // Only a failure of the upstream is evidence against it.
        self.failure_scope()?;
        match retry_after {
            Some(hint) if hint > MAX_WAITED_HINT => Some(CallOutcome::Unavailable(hint)),
            _ => Some(CallOutcome::Failure),
        }
    }

    /// The result as a sign for the concurrency limit; `None` if it says nothing about load.
    pub(super) fn load_signal(self) -> Option<LoadSignal> {
        if self == Self::Success {
            return Some(LoadSignal::Answered);
        }
        (self.failure_scope() == Some(FailureScope::AllCallers)).then_some(LoadSignal::Overload)
    }
}

/// The kind of error that the client sees for a status other than success.
pub(super) const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::UpstreamUnauthorized,
        402 => ErrorKind::UpstreamQuotaExhausted,
        429 => ErrorKind::UpstreamRateLimited,
        // 409: conflict with another request; 424: TEI's model backend failed; 499: Cohere gave up on its own model.
        408 | 409 | 424 | 425 | 499 | 500..=599 => ErrorKind::UpstreamUnavailable,
        // None of these is about what the client asked: the address or the way to it is wrong.
        404 | 405 | 407 | 421 | 426 => ErrorKind::UpstreamMisconfigured,
        410 => ErrorKind::UpstreamModelRetired,
        400..=498 => ErrorKind::UpstreamRejected,
        _ => ErrorKind::UpstreamInvalidReply,
    }
}

/// Returns true for statuses of overload, of the upstream or of a gateway before it: timeouts, and gateways that got
/// no reply (Cloudflare's codes from 521 on among them). Others, 500 above all, are about one request.
const fn is_overload(status: u16) -> bool {
    matches!(status, 408 | 499 | 502..=504 | 521..=524 | 529)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the module page, row by row.
    #[test]
    fn consequences_of_each_class_are_those_of_its_row() {
        let classes = [
            ResponseClass::Success,
            ResponseClass::CallRefused,
            ResponseClass::ModelRetired,
            ResponseClass::KeyRefused { has_next_key: false },
            ResponseClass::KeyRefused { has_next_key: true },
            ResponseClass::FileKeyRefused,
            ResponseClass::RateLimited { has_next_key: false },
            ResponseClass::RateLimited { has_next_key: true },
            ResponseClass::Overloaded,
            ResponseClass::Failed,
            ResponseClass::InvalidReply,
            ResponseClass::Misconfigured,
            ResponseClass::NoReply,
            ResponseClass::TimedOut,
            ResponseClass::Cancelled,
            ResponseClass::NotSent,
        ];
        let page = include_str!("response_class.rs");
        let table = page.lines().skip_while(|line| !line.starts_with("//!  class")).skip(1);
        let rows: Vec<&str> = table.take_while(|line| *line != "//! ```").collect();
        assert_eq!(rows.len(), classes.len());
        for (row, class) in rows.into_iter().zip(classes) {
            let breaker = match class.call_outcome(None) {
                Some(CallOutcome::Success) => "success",
                Some(CallOutcome::Failure) => "failure",
                _ => "–",
            };
            let permits = match class.load_signal() {
                Some(LoadSignal::Answered) => "more",
                Some(LoadSignal::Overload) => "fewer",
                None => "–",
            };
            let load = match class.failure_scope() {
                Some(FailureScope::Caller) => "caller",
                Some(FailureScope::AllCallers) => "all",
                None if class == ResponseClass::Success => "latency",
                None => "–",
            };
            let reply = if class.is_reply() { "yes" } else { "no" };
            let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            assert_eq!(cells[cells.len() - 6..][..4], [breaker, permits, load, reply], "{class:?}: {row}");
        }
    }

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
                "upstream_model_retired",
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
