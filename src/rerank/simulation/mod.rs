//! The whole pipeline under a stopped clock, with upstreams whose weather is drawn from a seed: hours of bad days in milliseconds, and every
//! one of them can be replayed. After every request the promises are checked, and after every day that nothing is left behind.
//!
//! `RERANKD_SEEDS=1000..2000 cargo test --lib rerank::simulation` runs other days.

mod promises;
mod size_limits;
mod weather;
mod world;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytestring::ByteString;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout_at};

use self::promises::{check, ledger};
use self::world::World;
use super::RequestContext;
use super::request::{Passage, RerankRequest};
use super::response::RerankResponse;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::error::{Error, ErrorKind};

/// Days in an ordinary run.
const SEEDS: Range<u64> = 0..150;
const REQUESTS: usize = 120;
const PASSAGES: usize = 14;
const QUERIES: usize = 5;
/// What happens on some of the days, or they prove nothing.
const WORTH_SEEING: [&str; 19] = [
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
    "shed: circuit_open",
    "shed: queue_full",
    "deadline_exceeded",
    "overloaded",
    "not_cached",
    "upstream_circuit_open",
    "upstream_rate_limited",
    "upstream_unavailable",
];
/// How far over its deadline an answer may be told, under a clock that only moves when nobody can run.
const GRACE: Duration = Duration::from_millis(2);

/// One request of the day.
#[derive(Clone)]
struct Wish {
    model: &'static str,
    query: String,
    passages: Vec<String>,
    top_n: Option<usize>,
    patience: Duration,
    leaves: Option<Duration>,
    control: CacheControl,
}

fn wish(random: &mut fastrand::Rng) -> Wish {
    let count = random.usize(0..PASSAGES);
    Wish {
        model: ["default", "default", "alone", "open"][random.usize(0..4)],
        query: format!("query {}", random.usize(0..QUERIES)),
        // Equal ones among them.
        passages: (0..count).map(|_| format!("passage {}", random.usize(0..PASSAGES))).collect(),
        top_n: random.bool().then(|| random.usize(0..PASSAGES)),
        patience: Duration::from_millis(random.u64(20..8_000)),
        leaves: (random.usize(0..10) == 0).then(|| Duration::from_millis(random.u64(0..500))),
        control: CacheControl {
            read: random.usize(0..10) > 0,
            store: random.usize(0..10) > 0,
            only_if_cached: random.usize(0..20) == 0,
        },
    }
}

async fn grant(world: &World, wish: &Wish) -> Result<RerankResponse, Error> {
    let request = Arc::new(RerankRequest {
        model: Some(ByteString::from(wish.model)),
        query: wish.query.as_str().into(),
        passages: wish.passages.iter().map(|text| Passage::from(text.as_str())).collect(),
        top_n: wish.top_n,
        ..RerankRequest::default()
    });
    let route = world.reranker.routes.resolve(Some(wish.model)).unwrap();
    let started = Instant::now();
    let deadline = started + wish.patience;
    let context = RequestContext { started, deadline, control: wish.control, scope: CacheScope::SHARED };
    let result = timeout_at(deadline + GRACE, world.reranker.rerank(&route, &request, &context)).await;
    result.expect("law 9: nothing runs past the deadline")
}

/// One day: requests come and go, the weather changes, and every promise is kept.
async fn day(seed: u64) -> BTreeSet<&'static str> {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let world = Arc::new(World::new(seed));
    let mut tasks = Vec::new();
    let began = Instant::now();
    for _ in 0..REQUESTS {
        sleep(Duration::from_millis(random.u64(0..800))).await;
        // Sometimes a crowd that wants the same.
        let crowd = if random.usize(0..12) == 0 { random.usize(2..20) } else { 1 };
        let wish = wish(&mut random);
        for _ in 0..crowd {
            let (world, wish) = (world.clone(), wish.clone());
            tasks.push(tokio::spawn(async move {
                let answered = grant(&world, &wish);
                let answer = match wish.leaves {
                    Some(after) => tokio::time::timeout(after, answered).await.ok(),
                    None => Some(answered.await),
                };
                match answer {
                    Some(Ok(response)) => {
                        check(&wish, &response);
                        world.note(&response);
                    }
                    Some(Err(error)) => {
                        world.seen(error.kind.code());
                        let expected = error.kind.is_upstreams() || error.kind == ErrorKind::NotCached;
                        assert!(expected, "{error}");
                        assert!(wish.model != "open" || error.kind == ErrorKind::NotCached, "law 8: {error}");
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
    // What goes on in the background ends by itself.
    sleep(world.reranker.request_timeout + GRACE).await;
    assert!(world.reranker.flights.is_empty(), "a pair is in flight for ever");
    assert!(world.reranker.background.is_empty(), "work goes on for ever");
    for sky in world.skies.values() {
        assert_eq!(sky.at_once.load(Ordering::Relaxed), 0, "a call goes on for ever");
    }
    // Law 10: a request makes at most three calls a target (of 5 passages, plus halves), and what is above that is bounded by the allowance.
    let most = 7.0 * f64::from(asked) + 4.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(u32::try_from(world.calls()).unwrap()) <= most, "{} calls for {asked} requests", world.calls());
    ledger(&world);
    world.seen.lock().unwrap().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is known, on its way, or unknown, and however it is cut into calls: every answer is that of one call for it alone.
    #[test]
    fn any_split_into_hits_joins_misses_and_batches_equals_one_call(
        lists in proptest::collection::vec(proptest::collection::vec(0usize..9, 0..12), 1..8),
        known in 0usize..3, most in 1usize..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = Arc::new(World::in_fine_weather(most));
            let wishes: Vec<_> = lists.iter().map(|list| Wish {
                model: "alone",
                query: "q".to_owned(),
                passages: list.iter().map(|passage| format!("passage {passage}")).collect(),
                top_n: None,
                patience: Duration::from_mins(1),
                leaves: None,
                control: CacheControl::default(),
            }).collect();
            let ask = |wish: Wish| {
                let world = world.clone();
                async move {
                    let response = grant(&world, &wish).await.unwrap();
                    check(&wish, &response);
                    assert!(response.provenance.degraded.is_empty() && response.ranking.len() == wish.passages.len());
                    assert!(response.ranking.iter().all(|ranked| ranked.score.is_some()));
                }
            };
            // Some are known, the others are asked for together.
            for wish in wishes.iter().take(known).cloned() {
                ask(wish).await;
            }
            futures_util::future::join_all(wishes.into_iter().map(ask)).await;
            let distinct: BTreeSet<_> = lists.iter().flatten().collect();
            let sent = world.skies["one"].sent.load(Ordering::Relaxed);
            prop_assert_eq!(sent, distinct.len(), "each pair was sent once");
            Ok(())
        })?;
    }
}

fn seeds_or(ordinary: Range<u64>) -> Range<u64> {
    let given = std::env::var("RERANKD_SEEDS").ok();
    let parsed = given.map(|text| text.split_once("..").map(|(from, to)| from.parse().unwrap()..to.parse().unwrap()));
    parsed.flatten().unwrap_or(ordinary)
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
        let missing: Vec<_> = WORTH_SEEING.into_iter().filter(|what| !seen.contains(what)).collect();
        assert!(missing.is_empty(), "these days were not bad enough: {missing:?} never happened, only {seen:?}");
    }
}
