//! Free refreshes over random overlapping traffic: the same traffic with `refresh_ahead = "free"` and without.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rerankd_core::cache::age::RefreshAhead;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::types::facts::SEARCH_UNIT_DOCUMENTS;
use tokio::time::{Instant, sleep};

use super::faults::{Behaviour, SimulatedUpstream, score_of};
use super::harness::{Harness, settings};
use super::{SimulatedRequest, send};

const SEEDS: u64 = 8;
const REQUESTS: usize = 150;
/// Passages that a query draws from, as from an index.
const INDEXED: usize = 160;

/// The bill of one traffic.
#[derive(Clone, Copy, Debug, Default)]
struct Bill {
    /// Search units, by the started hundreds of each call.
    units: usize,
    /// Pairs that were scored for a request although they had been before: their scores had expired.
    expired: usize,
    /// Pairs refreshed for free.
    refreshed: usize,
}

/// The bill of the traffic of `seed`: a few queries, whose passages shift from request to request.
async fn bill_of(seed: u64, refresh_ahead: RefreshAhead) -> Bill {
    let mut settings = settings();
    settings.cache.refresh_ahead = refresh_ahead;
    let mut upstreams = BTreeMap::new();
    for (name, salt) in [("one", "main"), ("two", "main"), ("other", "other")] {
        let schedule = vec![(Duration::ZERO, Behaviour::Fine { milliseconds: 20 })];
        upstreams.insert(name, Arc::new(SimulatedUpstream { schedule, ..SimulatedUpstream::new(salt, 64, 1) }));
    }
    let harness = Harness::under(upstreams, &settings);
    let other = &harness.upstreams["other"];
    let mut random = fastrand::Rng::with_seed(seed);
    let mut asked_before = HashSet::new();
    let mut bill = Bill::default();
    for _ in 0..REQUESTS {
        sleep(Duration::from_millis(random.u64(100..3_000))).await;
        let query = format!("query {}", random.usize(0..2));
        let start = random.usize(0..INDEXED);
        let count = random.usize(1..140);
        let passages: Vec<_> = (start..start + count).map(|number| format!("passage {}", number % INDEXED)).collect();
        let simulated = SimulatedRequest {
            model: "other/rerank-v4.0-fast",
            query: query.clone(),
            passages: passages.clone(),
            top_n: None,
            timeout: Duration::from_secs(5),
            disconnects_after: None,
            control: CacheControl::default(),
        };
        let calls = other.calls.load(Ordering::Relaxed);
        let sent = other.sent.load(Ordering::Relaxed);
        let response = send(&harness, &simulated).await.unwrap();
        let pairs = response.provenance.pairs;
        let calls = other.calls.load(Ordering::Relaxed) - calls;
        let sent = other.sent.load(Ordering::Relaxed) - sent;
        // Here every request makes one call at most, and only for pairs of its own.
        assert_eq!(calls, usize::from(pairs.scored > 0), "free pairs make no call");
        let units = sent.div_ceil(SEARCH_UNIT_DOCUMENTS);
        assert_eq!(
            units,
            pairs.scored.div_ceil(SEARCH_UNIT_DOCUMENTS),
            "free pairs add no unit: {pairs:?}, {sent} sent"
        );
        bill.units += units;
        bill.refreshed += sent - pairs.scored;
        let known =
            passages.iter().filter(|passage| asked_before.contains(&(query.clone(), (*passage).clone()))).count();
        bill.expired += known - pairs.hit;
        for ranked in &response.ranking {
            let right = score_of("other", &query, &passages[ranked.position]);
            assert!(ranked.score.unwrap().total_cmp(&right).is_eq(), "law 7: fresh scores are the same");
        }
        asked_before.extend(passages.into_iter().map(|passage| (query.clone(), passage)));
    }
    let exposition = harness.reranker.metrics.exposition(harness.reranker.cache.size());
    let counted = format!("rerank_refreshed_pairs_total {}", bill.refreshed);
    assert!(exposition.lines().any(|line| line == counted), "{counted}");
    bill
}

#[tokio::test(start_paused = true)]
async fn free_refreshes_add_no_unit_to_any_call_and_fewer_scores_expire() {
    let began = Instant::now();
    let never = RefreshAhead::InBackground(Duration::ZERO);
    let mut plain = Bill::default();
    let mut free = Bill::default();
    for seed in 0..SEEDS {
        for (sum, refresh_ahead) in [(&mut plain, never), (&mut free, RefreshAhead::Free)] {
            let bill = bill_of(seed, refresh_ahead).await;
            sum.units += bill.units;
            sum.expired += bill.expired;
            sum.refreshed += bill.refreshed;
        }
    }
    assert!(began.elapsed() > Duration::from_hours(1), "scores had time to expire");
    assert_eq!(plain.refreshed, 0);
    assert!(free.refreshed > 1_000, "{free:?}");
    assert!(free.units <= plain.units && free.expired < plain.expired, "{free:?} with, {plain:?} without");
}
