//! Log lines about changes in the state of an upstream: one for each change, with its name in the field `event`.
//! Circuit and limit are the upstream's, whatever the model, so no line names one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::circuits::OpenCircuit;
use super::error::UpstreamError;
use crate::cache::key::CacheScope;
use crate::types::date::Date;
use crate::types::response::milliseconds;

/// The teller of one upstream's changes.
#[derive(Debug)]
pub(crate) struct UpstreamEvents {
    upstream: String,
    /// True while the concurrency limit is below its maximum.
    is_limited: AtomicBool,
    /// Days on which the end of a model was last told; `None` stands for all models that the registry does not list,
    /// whose names clients may invent.
    retirements_told: Mutex<BTreeMap<Option<String>, Date>>,
}

impl UpstreamEvents {
    /// The teller for the upstream of this name.
    pub(crate) fn of(upstream: &str) -> Self {
        let retirements_told = Mutex::default();
        Self { upstream: upstream.to_owned(), is_limited: AtomicBool::new(false), retirements_told }
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
            "the circuit breaker of {upstream} opened, nothing is sent there for {stays:.1?}, whatever the model: \
             {upstream} {what}"
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
            "the circuit breaker of {upstream} closed: calls for all of its models are sent there again"
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

    /// Tells, once a day, that the upstream does not serve `model` any more. `model` is `None` if the registry does not
    /// list it. `advice` says so, with the way out.
    pub(crate) fn model_retired(&self, model: Option<&str>, advice: &str, today: Date) {
        if !self.is_first_today(model, today) {
            return;
        }
        let upstream = &*self.upstream;
        tracing::warn!(event = "model_retired", upstream, model, "{upstream} says that {advice}");
    }

    /// Returns true if the end of `model` was not told `today` yet. Takes it as told from then on.
    fn is_first_today(&self, model: Option<&str>, today: Date) -> bool {
        self.retirements_told.lock().insert(model.map(str::to_owned), today) != Some(today)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_model_is_told_once_a_day() {
        let events = UpstreamEvents::of("u");
        let day = |text| Date::parse(text).unwrap();
        for (model, today, is_told) in [
            (Some("m"), "2026-11-30", true),
            (Some("m"), "2026-11-30", false),
            (Some("n"), "2026-11-30", true),
            (None, "2026-11-30", true),
            (None, "2026-11-30", false),
            (Some("m"), "2026-12-01", true),
            (Some("m"), "2026-12-01", false),
        ] {
            assert_eq!(events.is_first_today(model, day(today)), is_told, "{model:?} {today}");
        }
    }
}
