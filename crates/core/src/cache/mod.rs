//! The cache of scores, by query-passage pair.
//!
//! One cache entry holds all pairs known for one query, model and set of options (see [`key`]). A score is always
//! asked for together with its query, so a request costs one look-up in the shared cache and then one probe of a
//! small table per passage. Eviction goes by query, least recently used first, within a bound on the bytes really used
//! (`docs/decisions/0013-pair-hash-and-tables.md`).
//!
//! ```text
//!  moka LRU:  QueryKey ──▶ Arc<QueryScores>  ──▶  runs:  { PairKey ──▶ (score, stored at) }  …
//! ```
//!
//! The pipeline stores only finite scores, of answers that were really computed.

pub mod age;
pub mod control;
mod heap;
pub mod key;
mod query_scores;
mod run;
pub mod settings;

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::age::{Age, CachedScore, Lifetimes, RefreshAhead};
use self::key::{PairKey, QueryKey};
use self::query_scores::{ENTRY_BYTES, QueryScores};

/// Divisor of the cache's size that bounds one query: an eighth of the cache, so that a query of a great many passages
/// does not push out all others.
const QUERY_SHARE: usize = 8;

/// Bytes of a query's scores above which the cache evicts at once. moka waits for 64 insertions, which for short lists
/// is cheaper, and for long ones would be megabytes beyond the bound.
const LONG_LIST_BYTES: usize = 16 << 10;

/// The score cache, empty if caching is off. Cheap to clone; clones share the scores.
#[derive(Clone, Debug)]
pub struct ScoreCache(Option<Arc<Inner>>);

/// The state that clones of a cache share.
#[derive(Debug)]
struct Inner {
    queries: moka::sync::Cache<QueryKey, Arc<QueryScores>>,
    /// Origin of the cache's clock (see [`Self::now`]).
    started: Instant,
    lifetimes: Lifetimes,
    /// Most bytes of the scores of one query: the share of [`QUERY_SHARE`].
    max_query_bytes: usize,
    /// Decides which request refreshes a score that is due.
    random: Mutex<fastrand::Rng>,
}

/// The content of the cache in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheSize {
    /// Number of queries with at least one known pair.
    pub queries: u64,
    /// Bytes in use, keys and bookkeeping included.
    pub bytes: u64,
}

impl ScoreCache {
    /// A cache that stores nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// A cache of at most `max_bytes`, bookkeeping included.
    #[must_use]
    pub fn in_memory(max_bytes: usize, lifetimes: impl Into<Lifetimes>) -> Self {
        let lifetimes = lifetimes.into();
        let was_full = AtomicBool::new(false);
        let queries = moka::sync::Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            // In bytes, which moka takes as 32 bits.
            .weigher(|_: &QueryKey, scores: &Arc<QueryScores>| u32::try_from(scores.bytes()).unwrap_or(u32::MAX))
            .max_capacity(max_bytes as u64)
            // Frees the memory of queries that nobody asks any more. Every insertion renews it for all scores of the
            // query, so a look-up goes by the age of each score.
            .time_to_live(lifetimes.retention())
            .eviction_listener(move |_, scores, cause| {
                if cause == RemovalCause::Size && !was_full.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        event = "cache_full",
                        max_bytes,
                        "the cache has reached cache.max_bytes: from now on, scores that were unused for longest make \
                         room for new ones"
                    );
                }
                free_scores(&scores, cause);
            })
            .build();
        Self(Some(Arc::new(Inner {
            queries,
            started: Instant::now(),
            lifetimes,
            max_query_bytes: (max_bytes / QUERY_SHARE).saturating_sub(ENTRY_BYTES),
            random: Mutex::new(fastrand::Rng::new()),
        })))
    }

    /// The known score of each of `pairs`, in their order; `None` for one that is unknown or forgotten.
    #[must_use]
    pub fn get_many(&self, query: &QueryKey, pairs: &[PairKey]) -> Vec<Option<CachedScore>> {
        let Some(inner) = &self.0 else { return vec![None; pairs.len()] };
        let Some(scores) = inner.queries.get(query) else { return vec![None; pairs.len()] };
        let now = inner.now();
        let surely_fresh = inner.lifetimes.time_to_live.saturating_sub(inner.lifetimes.refresh_span());
        let fresh_since = now - milliseconds(surely_fresh);
        // One random number for all pairs: a request refreshes all that it finds due in one call, not pair by pair.
        // Drawn only if one of them may be due.
        let random = OnceCell::new();
        scores.get_many(pairs, |stored_at| {
            // Most scores are fresh, and one comparison of integers tells: no durations, no floats. This also takes the
            // scores stored after `now` was read, whose age below would underflow.
            if stored_at >= fresh_since {
                return Some(Age::Fresh);
            }
            inner.lifetimes.age_after(now - stored_at, *random.get_or_init(|| inner.random.lock().f64()))
        })
    }

    /// Stores scores, which must be finite.
    pub fn put_many(&self, query: &QueryKey, scores: &[(PairKey, f64)]) {
        debug_assert!(scores.iter().all(|(_, score)| score.is_finite()));
        let Some(inner) = &self.0 else { return };
        if scores.is_empty() {
            return;
        }
        let known = inner.queries.entry(*query).or_default().into_value();
        known.put_many(scores, inner.now(), inner.oldest(), inner.max_query_bytes);
        // Inserted again even if it was there: moka weighs an entry and renews its place in the order of use on
        // insertion.
        inner.queries.insert(*query, known.clone());
        if known.bytes() > LONG_LIST_BYTES {
            inner.queries.run_pending_tasks();
        }
    }

    /// Returns true if scores that are due wait for calls that have free room for them.
    #[must_use]
    pub fn refreshes_for_free(&self) -> bool {
        matches!(&self.0, Some(inner) if inner.lifetimes.refresh_ahead == RefreshAhead::Free)
    }

    /// The size of the cache, after its pending housekeeping.
    #[must_use]
    pub fn size(&self) -> CacheSize {
        let Some(inner) = &self.0 else { return CacheSize::default() };
        // moka counts and evicts lazily: without this the numbers lag behind.
        inner.queries.run_pending_tasks();
        CacheSize { queries: inner.queries.entry_count(), bytes: inner.queries.weighted_size() }
    }
}

impl Inner {
    /// The cache's clock, in milliseconds. It starts above every lifetime, so that subtracting one never underflows.
    fn now(&self) -> u64 {
        milliseconds(self.started.elapsed()) + milliseconds(self.lifetimes.retention())
    }

    /// The earliest time of storing of which a score is not forgotten, in milliseconds on the cache's clock.
    fn oldest(&self) -> u64 {
        self.now() - milliseconds(self.lifetimes.retention())
    }
}

/// Frees the scores of an evicted query at once. moka itself drops an entry only when no thread can be reading it any
/// more, and until then a long list would take its memory beyond the bound.
fn free_scores(scores: &QueryScores, cause: RemovalCause) {
    // What was replaced is in the cache again, for it is inserted anew at every change.
    if cause.was_evicted() {
        scores.clear();
    }
}

fn milliseconds(duration: Duration) -> u64 {
    // Half of the range, so that two of them can be added.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::key::{CacheScope, ScoreSpace};
    use super::*;
    use crate::provider::ScoreScale;
    use crate::types::request::ScoringOptions;

    const HOUR: Duration = Duration::from_hours(1);

    fn scores(cache: &ScoreCache, query: &QueryKey, pairs: &[PairKey]) -> Vec<Option<f64>> {
        cache.get_many(query, pairs).into_iter().map(|found| Some(found?.score)).collect()
    }

    fn query(text: &str) -> QueryKey {
        let space = ScoreSpace {
            upstream: "u".into(),
            model: "m".into(),
            revision: String::new(),
            scale: ScoreScale::Probability,
        };
        QueryKey::new(CacheScope::SHARED, &space, &ScoringOptions::default(), text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_score_is_known_until_its_own_time_is_over() {
        let cache = ScoreCache::in_memory(1 << 20, HOUR);
        let q = query("q");
        let early = q.pair("early");
        let late = q.pair("late");
        cache.put_many(&q, &[(early, 0.25)]);
        tokio::time::advance(HOUR / 2).await;
        cache.put_many(&q, &[(late, -1.5)]);
        assert_eq!(scores(&cache, &q, &[early, late, q.pair("other")]), [Some(0.25), Some(-1.5), None]);
        tokio::time::advance(HOUR / 2 + Duration::from_millis(1)).await;
        assert_eq!(scores(&cache, &q, &[early, late]), [None, Some(-1.5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_score_is_told_as_such_and_then_forgotten() {
        let lifetimes =
            Lifetimes { time_to_live: HOUR, max_stale: HOUR, refresh_ahead: RefreshAhead::InBackground(HOUR / 2) };
        let cache = ScoreCache::in_memory(1 << 20, lifetimes);
        let q = query("q");
        cache.put_many(&q, &[(q.pair("p"), 0.25)]);
        let age = || cache.get_many(&q, &[q.pair("p")])[0].map(|found| found.age);
        assert_eq!(age(), Some(age::Age::Fresh));
        tokio::time::advance(HOUR).await;
        assert_eq!(age(), Some(age::Age::Due));
        tokio::time::advance(HOUR).await;
        assert_eq!(age(), Some(age::Age::Stale));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(age(), None);
    }

    #[tokio::test]
    async fn the_least_recently_used_query_goes_first() {
        let cache = ScoreCache::in_memory(64 << 10, HOUR);
        let store = |text: &str| cache.put_many(&query(text), &[(query(text).pair("p"), 1.0)]);
        let known = |text: &str| cache.get_many(&query(text), &[query(text).pair("p")])[0].is_some();
        store("used");
        for index in 0..1_000 {
            store(&index.to_string());
            assert!(known("used"), "after {index}");
            assert!(cache.size().queries > 0);
        }
        assert!(!known("0") && known("999"));
        assert!(cache.size().bytes <= 64 << 10);
    }

    #[tokio::test]
    async fn one_query_cannot_take_the_whole_cache() {
        let cache = ScoreCache::in_memory(1 << 20, HOUR);
        let q = query("q");
        for round in 0..20 {
            let scores: Vec<_> = (0..500).map(|index| (q.pair(&format!("{round}/{index}")), 0.5)).collect();
            cache.put_many(&q, &scores);
            assert!(cache.get_many(&q, &[scores[0].0])[0].is_some(), "the newest are kept");
        }
        assert!(cache.size().bytes <= (1 << 20) / QUERY_SHARE as u64 + 1024, "{:?}", cache.size());
    }

    /// The refreshed pairs were counted twice, which made this query seem too large, and all others were forgotten.
    #[tokio::test]
    async fn pairs_that_are_refreshed_take_no_room_of_others() {
        let cache = ScoreCache::in_memory(1 << 20, HOUR);
        let q = query("q");
        let all: Vec<_> = (0..1_900).map(|index| (q.pair(&index.to_string()), 0.5)).collect();
        cache.put_many(&q, &all);
        cache.put_many(&q, &all[..100]);
        let pairs: Vec<_> = all.iter().map(|(pair, _)| *pair).collect();
        assert!(cache.get_many(&q, &pairs).iter().all(Option::is_some));
    }

    proptest! {
        /// Below the bound no score is lost or invented, and the last write counts.
        #[test]
        fn agrees_with_a_map(writes in proptest::collection::vec((0u8..4, 0u8..20, -100i32..100), 0..200)) {
            let cache = ScoreCache::in_memory(1 << 20, HOUR);
            let mut model = HashMap::new();
            for (q, passage, score) in &writes {
                let q = query(&q.to_string());
                let pair = q.pair(&passage.to_string());
                cache.put_many(&q, &[(pair, f64::from(*score))]);
                model.insert((q, pair), f64::from(*score));
            }
            for q in 0u8..5 {
                let q = query(&q.to_string());
                let pairs: Vec<_> = (0u8..21).map(|passage| q.pair(&passage.to_string())).collect();
                let expected: Vec<_> = pairs.iter().map(|pair| model.get(&(q, *pair)).copied()).collect();
                prop_assert_eq!(scores(&cache, &q, &pairs), expected);
            }
        }
    }
}
