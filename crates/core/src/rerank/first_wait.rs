//! The wait for an upstream that may be hanging, while another target stands ready.
//!
//! Where the usual latency is known, an attempt ends after three times that ([`crate::upstream`]). Where it is not, an
//! upstream that takes calls and never answers would cost each of the first requests the whole `attempt_timeout`. So a
//! request leaves it after `fallback_after`, if it has answered nobody since, and asks the next target.
//!
//! A slow upstream must not lose its calls by that: they go on in the background, their scores are stored, and their
//! latencies are learnt. Three times the longest latency is waited from the first one on.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::score::{TargetAttempt, bytes_of_a_call};
use crate::error::{Error, ErrorKind};
use crate::route::StackTarget;
use crate::upstream::call::RetryMode;

/// The reason why a request waits no longer for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUp {
    /// The request's deadline at this target has passed.
    Deadline,
    /// The upstream may be hanging, and another target is ready.
    FirstWait,
}

impl TargetAttempt<'_> {
    /// The output of `scoring`, which asks this target.
    ///
    /// # Errors
    /// The time is up.
    pub(super) async fn in_time<T>(&self, scoring: impl Future<Output = T>) -> Result<T, TimeUp> {
        let mut scoring = pin!(scoring);
        let deadline = self.waiter.deadline;
        if let Some((target, first_wait)) = self.first_wait() {
            let mut silent_since = Instant::now();
            while silent_since + first_wait < deadline {
                if let Ok(output) = timeout_at(silent_since + first_wait, &mut scoring).await {
                    return Ok(output);
                }
                match self.asked.get() {
                    // So far the request has waited for a call of another one, at another upstream.
                    None => silent_since = Instant::now(),
                    Some(asked) if *asked > silent_since => silent_since = *asked,
                    Some(_) => {
                        // An upstream that answers others is slow at most, or this request's calls wait for their turn.
                        if !target.stack().has_answered_since(silent_since) && self.another_is_ready() {
                            return Err(TimeUp::FirstWait);
                        }
                        break;
                    }
                }
            }
        }
        timeout_at(deadline, scoring).await.map_err(|_elapsed| TimeUp::Deadline)
    }

    /// The target with its stack, and the longest wait for its first answer; `None` if there is no such limit.
    fn first_wait(&self) -> Option<(StackTarget, Duration)> {
        let fallback_after = self.route.fallback_after;
        if fallback_after.is_zero() || self.later_targets.is_empty() {
            return None;
        }
        let target = StackTarget::of(self.target)?;
        let bytes = bytes_of_a_call(&target, self.request);
        let first_wait = target.stack().first_wait(bytes, fallback_after)?;
        Some((target, first_wait))
    }

    /// Returns true if one of the later targets would be asked.
    fn another_is_ready(&self) -> bool {
        let now = Instant::now();
        self.later_targets.iter().any(|target| target.upstream.admits_calls(self.waiter.scope, now))
    }
}

/// The error of a target that used up its time. For the last target, the one that may wait, that is the request's
/// deadline.
pub(super) fn out_of_time(attempt: &TargetAttempt<'_>, since: Instant) -> Error {
    let waited = since.elapsed().as_millis();
    let upstream = &attempt.target.upstream.name;
    match attempt.waiter.retry_mode {
        RetryMode::Wait => {
            let message = format!("the deadline passed after {waited} ms of waiting for {upstream}");
            Error::new(ErrorKind::DeadlineExceeded, message)
        }
        RetryMode::FailFast => {
            let message = format!("{upstream} used up its share of the time, {waited} ms");
            Error::new(ErrorKind::UpstreamTimeout, message)
        }
    }
}

/// The error of a target that another one is asked instead of, although its call is still under way.
pub(super) fn may_be_hanging(attempt: &TargetAttempt<'_>, since: Instant) -> Error {
    let waited = since.elapsed().as_millis();
    let upstream = &attempt.target.upstream.name;
    let message = format!("{upstream} did not answer within {waited} ms (fallback_after), and another target is ready");
    Error::new(ErrorKind::UpstreamTimeout, message)
}
