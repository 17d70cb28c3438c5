//! The latest failures of one upstream. The refusals of an open circuit quote them as their reason.
//!
//! A caller is told of its own failure rather than of others' (law 13), as long as that can be the reason. It cannot be
//! once a call of the caller has succeeded, or after an hour, the longest time that a provider's hint keeps a circuit
//! open.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::MAX_EJECTION_HINT;
use super::error::UpstreamError;
use crate::cache::key::CacheScope;
use crate::error::ErrorKind;

/// The latest failure of each caller, and the latest of all. There is a caller for each configured key that was used.
#[derive(Debug, Default)]
pub(super) struct LastFailures(Mutex<FailureTable>);

#[derive(Debug, Default)]
struct FailureTable {
    by_caller: HashMap<CacheScope, LastFailure>,
    latest: Option<LastFailure>,
}

/// A failure, as far as messages quote it.
#[derive(Clone, Debug)]
pub(super) struct LastFailure {
    /// Kind of the error.
    pub(super) kind: ErrorKind,
    /// Message in our words.
    pub(super) what: String,
    at: Instant,
}

impl LastFailures {
    /// Records a failed attempt of `caller`.
    pub(super) fn failed(&self, caller: CacheScope, error: &UpstreamError, now: Instant) {
        let failure = LastFailure { kind: error.kind, what: error.what.clone(), at: now };
        let mut table = self.0.lock();
        table.by_caller.insert(caller, failure.clone());
        table.latest = Some(failure);
    }

    /// Returns true if a failure of `caller` is remembered.
    pub(super) fn has_own(&self, caller: CacheScope) -> bool {
        self.0.lock().by_caller.contains_key(&caller)
    }

    /// Forgets the failure of `caller`. It stays the latest of all if it was.
    pub(super) fn forget(&self, caller: CacheScope) {
        self.0.lock().by_caller.remove(&caller);
    }

    /// The failure to quote to `caller`: its own, or else the latest of all; `None` before the first.
    pub(super) fn quoted(&self, caller: CacheScope, now: Instant) -> Option<LastFailure> {
        let table = self.0.lock();
        match table.by_caller.get(&caller) {
            Some(own) if now.saturating_duration_since(own.at) <= MAX_EJECTION_HINT => Some(own.clone()),
            _ => table.latest.clone(),
        }
    }
}
