//! Messages of an upstream's errors, all in one place.
//!
//! Each is a predicate that goes on after the upstream's name: "cohere" "has a full queue". It names the setting to
//! change in brackets. No message quotes the request or the reply.

use std::time::Duration;

use crate::error::ErrorKind;
use crate::provider::ScoreScale;

/// The queue of the concurrency limit is full, or too slow for the call.
pub(super) const QUEUE_FULL: &str = "has a full queue (max_concurrency, max_queue)";
/// The minute's requests or tokens are used up.
pub(super) const RATE_LIMIT_REACHED: &str =
    "has reached its per-minute rate limit (requests_per_minute, tokens_per_minute)";
/// The attempt ended at the deadlines of its waiters, and was late.
pub(super) const CUT_OFF: &str = "did not answer before the deadline of any waiting request";
/// The call has plain texts, and not the body of a provider.
pub(super) const OTHER_FORMAT: &str = "is asked in a format that is not its own";
/// The body is compressed, and broken.
pub(super) const NOT_DECOMPRESSED: &str = "sent a body that cannot be decompressed";
/// The reply has a success status and says that the call was too large.
pub(super) const REFUSED_WITH_SUCCESS: &str = "refused the call with a status of success";
/// The reply has a success status and says that the call failed.
pub(super) const FAILED_WITH_SUCCESS: &str = "answered with a status of success that the call failed";

/// The attempt ended at its time limit.
pub(super) fn timed_out(limit: Duration) -> String {
    format!("did not answer within {} ms (attempt_timeout)", limit.as_millis())
}

/// The circuit breaker is open, because of `last_failure` if that is known.
pub(super) fn circuit_open(last_failure: Option<&str>) -> String {
    match last_failure {
        Some(last) => format!("has an open circuit breaker; last failure: it {last}"),
        None => "has an open circuit breaker".to_owned(),
    }
}

/// Recent calls with no more than `time_left` got no reply.
pub(super) fn too_little_time(time_left: Duration) -> String {
    format!(
        "did not answer the last calls that had no more time than this one, {} ms, so its circuit breaker is open for \
         such calls; allow more time, or retry later",
        time_left.as_millis()
    )
}

/// The body is over the limit, in bytes.
pub(super) fn too_long(limit: usize) -> String {
    format!("sent more than {limit} bytes (max_response_bytes)")
}

/// No connection in time. `through` is [`through_proxy`] or empty, here and below.
pub(super) fn connect_timed_out(through: &str) -> String {
    format!("could not be connected to{through} in time")
}

/// No connection, because of `cause`.
pub(super) fn not_connected(through: &str, cause: &str) -> String {
    format!("cannot be connected to{through}: {cause}")
}

/// The connection broke, because of `cause`.
pub(super) fn connection_broken(through: &str, cause: &str) -> String {
    format!("broke the connection{through}: {cause}")
}

/// The part of a message that names the proxy.
pub(super) fn through_proxy(proxy: &impl std::fmt::Display) -> String {
    format!(" through the proxy {proxy}")
}

/// The proxy asks for credentials of its own.
pub(super) fn proxy_wants_credentials(through: &str) -> String {
    format!("cannot be asked{through}, which wants a user name and a password (status 407; set them in HTTP_PROXY)")
}

/// A reply from `path` with a status other than success.
pub(super) fn of_status(status: u16, kind: ErrorKind, path: &str, through: &str) -> String {
    match kind {
        ErrorKind::UpstreamMisconfigured if matches!(status, 404 | 405) => {
            format!(
                "answered with status {status} at {path}{through}: there is no such call \
                 (check its base_url and path)"
            )
        }
        ErrorKind::UpstreamMisconfigured => {
            format!(
                "answered with status {status} at {path}{through}: it cannot be asked so \
                 (check its base_url and path)"
            )
        }
        ErrorKind::UpstreamInvalidReply if status >= 600 => {
            format!("answered with status {status} at {path}{through}, which means nothing (check its base_url)")
        }
        ErrorKind::UpstreamInvalidReply => {
            format!("answered with status {status} at {path}{through}, which is not followed (check its base_url)")
        }
        _ => format!("answered with status {status}{through}"),
    }
}

/// A reply of another shape. `body` is a description of it, `mismatch` the pointer that does not match, and the
/// position is that of the parser's error.
pub(super) fn other_shape(body: &str, mismatch: Option<&str>, line: usize, column: usize) -> String {
    let reason = match mismatch {
        Some(mismatch) => format!(": {mismatch}"),
        None => String::new(),
    };
    format!("sent {body}, not its documented shape{reason} (line {line}, column {column})")
}

/// Scores that do not fit the call, because of `cause`.
pub(super) fn scores_do_not_fit(cause: &impl std::fmt::Display) -> String {
    format!("sent scores that do not fit: {cause}")
}

/// Advice for scores that are not on the declared scale of their model; empty if another scale would not help.
pub(super) fn advice_on_scale(setting: &str, scale: ScoreScale) -> String {
    match scale {
        ScoreScale::Logit | ScoreScale::Unknown | ScoreScale::None => String::new(),
        _ => format!(
            ", as a {0} must be; if the model gives other scores declare its scale (\"logit\", \"unknown\") \
             in [{setting}.models.\"NAME\"]",
            scale.name(),
        ),
    }
}
