//! The latest failures of one upstream. The refusals of an open circuit quote them as their reason.
//!
//! A caller is told of its own failure rather than of others' (law 13), as long as that can be the reason: for its own
//! circuit always, for the common one until a call of the caller succeeds. After an hour, the longest time that a
//! provider's hint keeps a circuit open, it is no reason any more.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::MAX_EJECTION_HINT;
use super::circuits::OpenCircuit;
use super::error::UpstreamError;
use crate::cache::key::CacheScope;
use crate::error::ErrorKind;

/// The latest failure of each caller, and the latest of all. There is a caller for each configured key that was used.
#[derive(Debug, Default)]
pub(super) struct LastFailures(Mutex<FailureTable>);

#[derive(Debug, Default)]
struct FailureTable {
    by_caller: HashMap<CacheScope, LastFailure>,
    /// The latest failure of any caller.
    latest: Option<LastFailure>,
}

/// A failure, as far as messages quote it.
#[derive(Clone, Debug)]
pub(super) struct LastFailure {
    /// Kind of the error.
    pub(super) kind: ErrorKind,
    /// Message in our words.
    pub(super) what: String,
    /// Time of the failure.
    at: Instant,
    /// True if a call of the caller has succeeded since.
    is_over: bool,
}

impl LastFailures {
    /// Records a failed attempt of `caller`.
    pub(super) fn failed(&self, caller: CacheScope, error: &UpstreamError, now: Instant) {
        let failure = LastFailure { kind: error.kind, what: error.what.clone(), at: now, is_over: false };
        let mut table = self.0.lock();
        table.by_caller.insert(caller, failure.clone());
        table.latest = Some(failure);
    }

    /// Records a success of `caller`.
    pub(super) fn succeeded(&self, caller: CacheScope) {
        if let Some(own) = self.0.lock().by_caller.get_mut(&caller) {
            own.is_over = true;
        }
    }

    /// The failure to quote to `caller`, which `open` sends away: its own, or else the latest of all; `None` before the
    /// first.
    pub(super) fn quoted(&self, caller: CacheScope, open: OpenCircuit, now: Instant) -> Option<LastFailure> {
        let table = self.0.lock();
        if let Some(own) = table.by_caller.get(&caller)
            && now.saturating_duration_since(own.at) <= MAX_EJECTION_HINT
            && (open == OpenCircuit::Own || !own.is_over)
        {
            return Some(own.clone());
        }
        table.latest.clone()
    }
}
