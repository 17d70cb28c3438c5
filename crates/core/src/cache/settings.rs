//! Settings of the score cache: `[cache]`.

use std::time::Duration;

use super::age::RefreshAhead;

/// `[cache]`
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// False if no score is kept.
    pub enabled: bool,
    /// Memory for known scores, bookkeeping included.
    pub max_bytes: usize,
    /// Time after storing for which a score is used without restriction.
    pub time_to_live: Duration,
    /// Time after `time_to_live` for which a stale score is used if every target of its score space has failed.
    pub max_stale: Duration,
    /// The way in which scores in use are computed afresh before they turn stale.
    pub refresh_ahead: RefreshAhead,
    /// True if callers with different keys share scores.
    pub shared_between_callers: bool,
}
