//! Settings of the score cache: `[cache]`.

use std::time::Duration;

/// `[cache]`
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// False if no score is kept.
    pub enabled: bool,
    /// Memory for known scores, bookkeeping included.
    pub max_bytes: usize,
    /// Time for which a score is fresh.
    pub time_to_live: Duration,
    /// Time after that for which a stale score is used if every target of its score space has failed.
    pub max_stale: Duration,
    /// Time before the end of its freshness in which a score may be computed afresh in the background. Less than
    /// `time_to_live`; the configuration refuses others.
    pub refresh_ahead: Duration,
    /// True if callers with different keys share scores.
    pub shared_between_callers: bool,
}
