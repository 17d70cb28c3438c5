//! The whole pipeline under a paused clock, with upstreams whose faults are drawn from a seed: hours of bad days in
//! milliseconds, and every one of them can be replayed. After every request the promises are checked, and after every
//! day that nothing is left behind.
//!
//! `RERANKD_SEEDS=1000..2000 cargo test --lib simulation` runs other days.

mod charges;
mod faults;
mod first_wait;
mod free_refresh;
mod harness;
mod hedging;
mod promises;
mod size_limits;
mod versions;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use faststr::FastStr;
use proptest::prelude::*;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::CacheScope;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::rerank::RequestContext;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use tokio::time::{Instant, sleep, timeout_at};

use self::harness::Harness;
use self::promises::{check, check_billing};

/// Days in an ordinary run.
const SEEDS: Range<u64> = 0..150;
const REQUESTS: usize = 120;
const PASSAGES: usize = 14;
const QUERIES: usize = 5;
/// Events that must happen on some of the days, or the days prove nothing.
const EXPECTED_EVENTS: [&str; 20] = [
    "hit",
    "coalesced",
    "mixed",
    "stale",
    "stale_scores",
    "passages_refused",
    "fallback",
    "original order",
    "retried",
    "hedged",
    "refreshed",
    "refreshed for free",
    "shed: circuit_open",
    "shed: queue_full",
    "deadline_exceeded",
    "overloaded",
    "not_cached",
    "upstream_circuit_open",
    "upstream_rate_limited",
    "upstream_unavailable",
];
/// Most time that an answer may be late, under a clock that only moves when no task can run.
const GRACE: Duration = Duration::from_millis(2);

/// One request of the day.
#[derive(Clone)]
struct SimulatedRequest {
    model: &'static str,
    query: String,
    passages: Vec<String>,
    top_n: Option<usize>,
    timeout: Duration,
    /// Time after which the client hangs up, if it does.
    disconnects_after: Option<Duration>,
    control: CacheControl,
}

fn random_request(random: &mut fastrand::Rng) -> SimulatedRequest {
    let count = random.usize(0..PASSAGES);
    // The order of the draws is part of every seed: a field that moves makes other days of all seeds.
    SimulatedRequest {
        model: ["default", "default", "alone", "open"][random.usize(0..4)],
        query: format!("query {}", random.usize(0..QUERIES)),
        // As many texts as there may be passages, so that equal ones are among them.
        passages: (0..count).map(|_| format!("passage {}", random.usize(0..PASSAGES))).collect(),
        top_n: random.bool().then(|| random.usize(0..PASSAGES)),
        timeout: Duration::from_millis(random.u64(20..8_000)),
        disconnects_after: (random.usize(0..10) == 0).then(|| Duration::from_millis(random.u64(0..500))),
        control: CacheControl {
            read: random.usize(0..10) > 0,
            store: random.usize(0..10) > 0,
            only_if_cached: random.usize(0..20) == 0,
        },
    }
}

async fn send(harness: &Harness, simulated: &SimulatedRequest) -> Result<RerankResponse, Error> {
    let request = Arc::new(RerankRequest {
        model: Some(FastStr::from(simulated.model)),
        query: FastStr::new(&simulated.query),
        passages: simulated.passages.iter().map(String::as_str).collect(),
        top_n: simulated.top_n,
        ..RerankRequest::default()
    });
    let route = harness.reranker.routes.resolve(Some(simulated.model)).unwrap();
    let started = Instant::now();
    let deadline = started + simulated.timeout;
    let context = RequestContext { started, deadline, control: simulated.control, scope: CacheScope::SHARED };
    let result = timeout_at(deadline + GRACE, harness.reranker.rerank(&route, &request, &context)).await;
    result.expect("law 9: nothing runs past the deadline")
}

/// One day: requests come and go, faults begin and end, and every promise is kept. Returns the events that happened.
async fn day(seed: u64) -> BTreeSet<&'static str> {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let harness = Arc::new(Harness::new(seed));
    let mut tasks = Vec::new();
    let began = Instant::now();
    for _ in 0..REQUESTS {
        sleep(Duration::from_millis(random.u64(0..800))).await;
        // Sometimes a crowd that wants the same.
        let crowd = if random.usize(0..12) == 0 { random.usize(2..20) } else { 1 };
        let simulated = random_request(&mut random);
        for _ in 0..crowd {
            let harness = harness.clone();
            let simulated = simulated.clone();
            tasks.push(tokio::spawn(async move {
                let answered = send(&harness, &simulated);
                let answer = match simulated.disconnects_after {
                    // Dropping the future is what the server does when a client hangs up.
                    Some(after) => tokio::time::timeout(after, answered).await.ok(),
                    None => Some(answered.await),
                };
                match answer {
                    Some(Ok(response)) => {
                        check(&simulated, &response);
                        harness.note(&response);
                    }
                    Some(Err(error)) => {
                        harness.record(error.kind.code());
                        let expected = error.kind.is_caused_by_upstream() || error.kind == ErrorKind::NotCached;
                        assert!(expected, "{error}");
                        assert!(simulated.model != "open" || error.kind == ErrorKind::NotCached, "law 8: {error}");
                    }
                    None => {}
                }
            }));
        }
    }
    let asked = u32::try_from(tasks.len()).unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    // Work in the background ends by itself.
    sleep(harness.reranker.request_timeout + GRACE).await;
    assert!(harness.reranker.flights.is_empty(), "a pair is in flight for ever");
    assert!(harness.reranker.background.is_empty(), "work goes on for ever");
    for upstream in harness.upstreams.values() {
        assert_eq!(upstream.in_flight.load(Ordering::Relaxed), 0, "a call goes on for ever");
    }
    // Law 10: a request makes at most three calls a target (of 5 passages, plus halves), and more calls are bounded by
    // the retry budget.
    let most = 7.0 * f64::from(asked) + 4.0 * began.elapsed().as_secs_f64();
    assert!(
        f64::from(u32::try_from(harness.calls()).unwrap()) <= most,
        "{} calls for {asked} requests",
        harness.calls()
    );
    check_billing(&harness);
    harness.seen.lock().unwrap().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every answer is that of one call for the request alone, whatever is cached or in flight and however calls are
    /// cut.
    #[test]
    fn any_split_into_hits_joins_misses_and_batches_equals_one_call(
        lists in proptest::collection::vec(proptest::collection::vec(0usize..9, 0..12), 1..8),
        known in 0usize..3, most in 1usize..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let harness = Arc::new(Harness::without_faults(most));
            let mut requests = Vec::with_capacity(lists.len());
            for list in &lists {
                requests.push(SimulatedRequest {
                    model: "alone",
                    query: "q".to_owned(),
                    passages: list.iter().map(|passage| format!("passage {passage}")).collect(),
                    top_n: None,
                    timeout: Duration::from_mins(1),
                    disconnects_after: None,
                    control: CacheControl::default(),
                });
            }
            let ask = |simulated: SimulatedRequest| {
                let harness = harness.clone();
                async move {
                    let response = send(&harness, &simulated).await.unwrap();
                    check(&simulated, &response);
                    assert!(response.provenance.degraded.is_empty());
                    assert!(response.ranking.len() == simulated.passages.len());
                    assert!(response.ranking.iter().all(|ranked| ranked.score.is_some()));
                }
            };
            // Some are known, the others are asked for together.
            for simulated in requests.iter().take(known).cloned() {
                ask(simulated).await;
            }
            futures_util::future::join_all(requests.into_iter().map(ask)).await;
            let distinct: BTreeSet<_> = lists.iter().flatten().collect();
            let sent = harness.upstreams["one"].sent.load(Ordering::Relaxed);
            prop_assert_eq!(sent, distinct.len(), "each pair was sent once");
            Ok(())
        })?;
    }
}

/// The seeds in `RERANKD_SEEDS`, written `FROM..TO`; `ordinary` without it.
fn seeds_or(ordinary: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("RERANKD_SEEDS") else { return ordinary };
    let Some((from, to)) = text.split_once("..") else { return ordinary };
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn every_promise_is_kept_on_every_simulated_day() {
    let mut seen = BTreeSet::new();
    for seed in seeds_or(SEEDS) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(day(seed))));
        assert!(outcome.is_ok(), "replay with RERANKD_SEEDS={seed}..{}", seed + 1);
        seen.extend(outcome.unwrap_or_default());
    }
    if std::env::var_os("RERANKD_SEEDS").is_none() {
        let missing: Vec<_> = EXPECTED_EVENTS.into_iter().filter(|what| !seen.contains(what)).collect();
        assert!(missing.is_empty(), "these days were not bad enough: {missing:?} never happened, only {seen:?}");
    }
}
