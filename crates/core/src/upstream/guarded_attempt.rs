//! An attempt that the guard has let through. Its end is reported to breakers and concurrency limit; one that is
//! dropped also to the load estimate.
//!
//! An attempt that ends with a result has a class, and [`super::response_class`] has the consequences. An attempt that
//! is dropped before is not always a sign of a failing upstream, because one caller's behaviour must not count against
//! an upstream that others use too:
//!
//! - Nobody needs it any more: its clients disconnected, or the other call of a hedge answered. That says nothing.
//! - The last deadline of its waiters passed, and the attempt was late: it had three usual latencies of its size, or
//!   `attempt_timeout` where those are unknown. It timed out.
//! - The last deadline passed before the attempt was late. It does not count for the breakers, the concurrency limit
//!   and the load estimate, and a probe does not fail. Only the memory of unanswered calls keeps it, and uses it for
//!   calls with as little time ([`super::unanswered`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::CallOutcome;
use super::call::{Call, Scores, Waiters};
use super::circuits::{CircuitAdmission, CircuitChange};
use super::concurrency::{LoadSignal, Permit};
use super::error::UpstreamError;
use super::error_texts;
use super::guard::Guard;
use super::response_class::{FailureScope, ResponseClass};
use crate::error::ErrorKind;

/// Least time after which an attempt that was cut off counts as late: the latencies of a fast upstream may well vary by
/// a factor of three.
const LATE_MIN: Duration = Duration::from_millis(100);

/// An attempt in flight. It is ended with its result, or dropped when it is cancelled.
pub(super) struct GuardedAttempt<'a> {
    guard: &'a Guard,
    /// Given back at its end; `None` from then on.
    held: Option<AdmissionAndPermit>,
    waiters: Arc<Waiters>,
    /// Size of the payload.
    bytes: usize,
    started: Instant,
}

/// The leave to make an attempt.
struct AdmissionAndPermit {
    /// Admission of the circuit breakers.
    admission: CircuitAdmission,
    /// Permit of the concurrency limit.
    permit: Permit,
}

impl<'a> GuardedAttempt<'a> {
    /// An attempt of `call` that starts now.
    pub(super) fn new(
        guard: &'a Guard,
        admission: CircuitAdmission,
        permit: Permit,
        call: &Call,
        started: Instant,
    ) -> Self {
        let waiters = call.waiters.clone();
        Self {
            guard,
            held: Some(AdmissionAndPermit { admission, permit }),
            waiters,
            bytes: call.payload.bytes(),
            started,
        }
    }

    /// Reports the result and gives admission and permit back.
    pub(super) fn end(mut self, result: &Result<Scores, UpstreamError>, now: Instant) {
        let class = ResponseClass::of(result);
        if class.is_reply() {
            self.guard.unanswered.answered();
        }
        if let Some(held) = self.held.take() {
            self.report(held, class, result.as_ref().err(), now);
        }
    }

    /// Gives admission and permit back, with what the result says about the upstream. `error` is that of a failure.
    fn report(&self, held: AdmissionAndPermit, class: ResponseClass, error: Option<&UpstreamError>, now: Instant) {
        let caller = self.waiters.scope();
        let mut retry_after = None;
        if let Some(error) = error {
            retry_after = error.retry_after;
            if class.failure_scope().is_some() {
                self.guard.last_failures.failed(caller, error, now);
            }
        }
        // Before the permit: the next holder of the permit must find the breaker already updated.
        let outcome = class.call_outcome(retry_after);
        let change = if let Some(outcome) = outcome {
            self.guard.circuits.record(caller, held.admission, outcome, now)
        } else {
            drop(held.admission);
            CircuitChange::None
        };
        held.permit.release(class.load_signal());
        self.tell(change, class.load_signal(), error, now);
        if outcome == Some(CallOutcome::Success) {
            self.guard.last_failures.succeeded(caller);
        }
    }

    /// Logs what the attempt changed.
    fn tell(&self, change: CircuitChange, signal: Option<LoadSignal>, error: Option<&UpstreamError>, now: Instant) {
        let Guard { events, concurrency, .. } = self.guard;
        let caller = self.waiters.scope();
        match change {
            CircuitChange::None => {}
            CircuitChange::Opened { circuit, until } => events.circuit_opened(circuit, caller, until - now, error),
            CircuitChange::Closed(circuit) => events.circuit_closed(circuit, caller),
        }
        match signal {
            Some(LoadSignal::Overload) => events.limit_shrunk(concurrency.limit(), concurrency.max()),
            // Most attempts are answered while nothing is limited, and take no lock for it.
            Some(LoadSignal::Answered) if events.is_limited() && concurrency.limit() == concurrency.max() => {
                events.limit_recovered(concurrency.max());
            }
            Some(LoadSignal::Answered) | None => {}
        }
    }

    /// Reports an attempt that was dropped without a result: not needed, cut off and late, or cut off before (see the
    /// module's page).
    fn cancel(&self, held: AdmissionAndPermit, now: Instant) {
        let deadline = self.waiters.deadline();
        // Nobody needs it any more.
        if now < deadline {
            return self.report(held, ResponseClass::Cancelled, None, now);
        }
        let allowed = deadline.saturating_duration_since(self.started);
        self.guard.unanswered.cut_off(self.waiters.scope(), self.bytes, allowed);
        self.guard.load_stats.cut_off(self.bytes, allowed, now);
        if allowed < self.late_after(held.admission.is_probe()) {
            return self.report(held, ResponseClass::Cancelled, None, now);
        }
        // Here, because the attempt layer, which reports other failures, was dropped as well.
        self.guard.load_stats.failed(None, FailureScope::AllCallers, self.waiters.scope(), now);
        let error = UpstreamError::passing(ErrorKind::UpstreamTimeout, error_texts::CUT_OFF);
        self.report(held, error.class, Some(&error), now);
    }

    /// The time after which the attempt is late.
    fn late_after(&self, is_probe: bool) -> Duration {
        // A probe gets a whole attempt: the upstream may come back slower than before.
        if is_probe {
            return self.guard.attempt_timeout;
        }
        self.guard.load_stats.late_between(self.bytes, LATE_MIN, self.guard.attempt_timeout)
    }
}

impl Drop for GuardedAttempt<'_> {
    fn drop(&mut self) {
        // Every attempt is dropped, also one that has ended.
        if let Some(held) = self.held.take() {
            self.cancel(held, Instant::now());
        }
    }
}
