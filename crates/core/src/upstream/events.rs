//! Log lines about changes in the state of an upstream: one for each change, with its name in the field `event`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::circuits::OpenCircuit;
use super::error::UpstreamError;
use crate::cache::key::CacheScope;
use crate::types::response::milliseconds;

/// The teller of one upstream's changes.
#[derive(Debug)]
pub(crate) struct UpstreamEvents {
    upstream: String,
    /// True while the concurrency limit is below its maximum.
    is_limited: AtomicBool,
}

impl UpstreamEvents {
    /// The teller for the upstream of this name.
    pub(crate) fn of(upstream: &str) -> Self {
        Self { upstream: upstream.to_owned(), is_limited: AtomicBool::new(false) }
    }

    /// Tells that a circuit has opened, `stays` the time until the next probe.
    pub(crate) fn circuit_opened(
        &self,
        circuit: OpenCircuit,
        caller: CacheScope,
        stays: Duration,
        reason: Option<&UpstreamError>,
    ) {
        let upstream = &*self.upstream;
        let what = reason.map_or("it fails", |error| &error.what);
        tracing::warn!(
            event = "circuit_opened",
            upstream,
            circuit = circuit.name(),
            caller = caller_of(circuit, caller),
            code = reason.map(|error| error.kind.code()),
            open_ms = milliseconds(stays),
            "the circuit breaker of {upstream} opened, nothing is sent there for {stays:.1?}: {upstream} {what}"
        );
    }

    /// Tells that a probe is sent although a circuit was open.
    pub(crate) fn circuit_half_open(&self, caller: CacheScope) {
        let upstream = &*self.upstream;
        tracing::info!(
            event = "circuit_half_open",
            upstream,
            caller = caller.mark(),
            "the circuit breaker of {upstream} is half open: one call is sent as a probe"
        );
    }

    /// Tells that a probe succeeded.
    pub(crate) fn circuit_closed(&self, circuit: OpenCircuit, caller: CacheScope) {
        let upstream = &*self.upstream;
        tracing::info!(
            event = "circuit_closed",
            upstream,
            circuit = circuit.name(),
            caller = caller_of(circuit, caller),
            "the circuit breaker of {upstream} closed: calls are sent there again"
        );
    }

    /// Tells that the concurrency limit went below its maximum `max`. Further decreases are not told.
    pub(crate) fn limit_shrunk(&self, limit: usize, max: usize) {
        if limit >= max || self.is_limited.swap(true, Ordering::Relaxed) {
            return;
        }
        let upstream = &*self.upstream;
        // Information: the failures that are the reason have warnings of their own.
        tracing::info!(
            event = "limit_shrunk",
            upstream,
            limit,
            max,
            "{upstream} shows signs of overload: {limit} attempts are made there at once instead of {max} \
             (max_concurrency)"
        );
    }

    /// Returns true while the concurrency limit is below its maximum.
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    /// Tells that the concurrency limit is at its maximum `max` again.
    pub(crate) fn limit_recovered(&self, max: usize) {
        if self.is_limited.swap(false, Ordering::Relaxed) {
            let upstream = &*self.upstream;
            tracing::info!(
                event = "limit_recovered",
                upstream,
                limit = max,
                "{upstream} bears its load again: {max} attempts are made there at once"
            );
        }
    }
}

/// The caller whose circuit it is; `None` for the one of all callers.
fn caller_of(circuit: OpenCircuit, caller: CacheScope) -> Option<String> {
    match circuit {
        OpenCircuit::Own => caller.mark(),
        OpenCircuit::Common => None,
    }
}
