//! Callers whose calls were refused while they carried known pairs (`cache.refresh_ahead = "free"`). For some minutes
//! their calls carry none: each refusal is a call in vain.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::size_evidence::REFUSAL_TTL;
use crate::cache::key::CacheScope;

/// Refusals of one upstream, by caller. There is a caller for each configured key that has been used.
#[derive(Debug, Default)]
pub struct FreeRefreshes(Mutex<HashMap<CacheScope, Instant>>);

impl FreeRefreshes {
    /// Records that a call of `caller` was refused.
    pub fn refuse(&self, caller: CacheScope, now: Instant) {
        self.0.lock().insert(caller, now);
    }

    /// Returns true if no call of `caller` was refused lately.
    #[must_use]
    pub fn are_allowed(&self, caller: CacheScope, now: Instant) -> bool {
        match self.0.lock().get(&caller) {
            Some(refused) => now.saturating_duration_since(*refused) >= REFUSAL_TTL,
            None => true,
        }
    }
}
