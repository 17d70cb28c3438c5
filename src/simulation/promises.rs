//! Promises that hold for every answer and every day, whatever the faults.

use std::sync::atomic::Ordering;

use rerankd_core::error::ErrorKind;
use rerankd_core::provider::ScoreScale;
use rerankd_core::types::outcomes::DegradedReason;
use rerankd_core::types::response::{RerankResponse, ScoreSource};

use super::SimulatedRequest;
use super::faults::score_of;
use super::harness::Harness;

/// Checks the promises that hold for every answer.
pub(super) fn check(simulated: &SimulatedRequest, response: &RerankResponse) {
    let count = simulated.passages.len();
    let provenance = &response.provenance;
    let mut positions: Vec<_> = response.ranking.iter().map(|ranked| ranked.position).collect();
    let listed = positions.len();
    positions.sort_unstable();
    positions.dedup();
    let are_distinct = positions.len() == listed;
    assert!(are_distinct && positions.iter().all(|position| *position < count), "a permutation, or a part of one");
    let is_cut = listed < count;
    let is_partial =
        provenance.degraded.contains(&DegradedReason::Failure(ErrorKind::DeadlineExceeded)) || !provenance.reranked;
    assert!(
        !is_cut || (simulated.top_n == Some(listed) && !is_partial),
        "only top_n cuts, and nothing that is degraded"
    );
    // Law 1 and 2: every score is that of the model that is named.
    let salt = match provenance.upstream.as_deref() {
        Some("one" | "two") => "main",
        Some("other") => "other",
        _ => "nobody",
    };
    for ranked in &response.ranking {
        if let Some(score) = ranked.score {
            let right = score_of(salt, &simulated.query, &simulated.passages[ranked.position]);
            assert!(score.total_cmp(&right).is_eq(), "a wrong score");
        } else {
            assert!(matches!(ranked.source, ScoreSource::Unscored | ScoreSource::Refused), "no score, and no reason");
        }
    }
    // Law 4: best first, what has no score last, both in a stable order.
    let place = |at: usize| (response.ranking[at].score, response.ranking[at].position);
    for at in 1..listed {
        let in_order = match (place(at - 1), place(at)) {
            ((Some(left), first), (Some(right), second)) => left > right || (left >= right && first < second),
            ((Some(_), _), (None, _)) => true,
            ((None, first), (None, second)) => first < second,
            ((None, _), (Some(_), _)) => false,
        };
        assert!(in_order, "best first");
    }
    // Law 8: what is less than asked for says so, and what says so is less.
    let unscored = response.ranking.iter().any(|ranked| ranked.score.is_none());
    let stale = response.ranking.iter().any(|ranked| ranked.source == ScoreSource::Stale);
    assert!(!(unscored || stale || !provenance.reranked) || !provenance.degraded.is_empty(), "degraded and not told");
    assert_eq!(provenance.reranked, provenance.score_scale.is_some());
    assert!(provenance.score_scale.is_none_or(|scale| scale == ScoreScale::Probability));
    let pairs = provenance.pairs;
    let sum = pairs.hit + pairs.coalesced + pairs.scored + pairs.stale + pairs.unscored;
    assert_eq!(pairs.total, sum, "every pair is counted once");
    if simulated.control.only_if_cached {
        assert_eq!(provenance.attempts, 0);
    }
}

/// Checks that the metrics count what the upstreams billed, to the unit, and records the events that only metrics show.
pub(super) fn check_billing(harness: &Harness) {
    let exposition = harness.reranker.metrics.exposition(harness.reranker.cache.size());
    for (name, upstream) in &harness.upstreams {
        let prefix = format!("rerank_billed_units_total{{upstream=\"{name}\",unit=\"search_units\"}} ");
        let mut counted = 0;
        for found in exposition.lines() {
            if let Some(value) = found.strip_prefix(&prefix)
                && let Ok(units) = value.parse()
            {
                counted = units;
                break;
            }
        }
        assert_eq!(counted, upstream.billed.load(Ordering::Relaxed), "{name}");
    }
    let refreshed = if harness.reranker.cache.refreshes_for_free() { "refreshed for free" } else { "refreshed" };
    for (what, metric) in [
        ("hedged", "rerank_upstream_hedges_total{upstream=\"two\"} "),
        (refreshed, "rerank_refreshed_pairs_total "),
        ("shed: circuit_open", "rerank_upstream_shed_total{upstream=\"one\",reason=\"circuit_open\"} "),
        ("shed: queue_full", "rerank_upstream_shed_total{upstream=\"one\",reason=\"queue_full\"} "),
    ] {
        if exposition.lines().any(|line| line.strip_prefix(metric).is_some_and(|count| count != "0")) {
            harness.record(what);
        }
    }
}
