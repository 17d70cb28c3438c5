//! The whole pipeline under a stopped clock, with upstreams whose weather is drawn from a seed: hours of bad days in milliseconds, and every
//! one of them can be replayed. After every request the promises are checked, and after every day that nothing is left behind.
//!
//! `RERANKD_SEEDS=1000..2000 cargo test --lib rerank::simulation` runs other days.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytestring::ByteString;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use tower::Service;

use super::assemble::assemble_with;
use super::request::{Passage, RerankRequest};
use super::response::{RerankResponse, ScoreSource};
use super::{RequestContext, Reranker};
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::config::settings::{Settings, UpstreamSettings};
use crate::config::{Environment, Sources, load};
use crate::error::{Error, ErrorKind};
use crate::provider::ScoreScale;
use crate::upstream::call::{Call, Scores};
use crate::upstream::oversize::Oversize;
use crate::upstream::{Upstream, UpstreamError};

/// Days in an ordinary run.
const SEEDS: Range<u64> = 0..150;
const REQUESTS: usize = 120;
const PASSAGES: usize = 14;
const QUERIES: usize = 5;
/// The passage that some upstreams do not take.
const POISON: &str = "\"passage 3\"";
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

const CONFIG: &str = r"
[cache]
ttl = '20s'
max_stale = '60s'
refresh_ahead = '5s'
[upstreams.one]
provider = 'cohere'
base_url = 'http://one'
max_passages = 5
max_concurrency = 6
max_queue = 12
[upstreams.two]
provider = 'cohere'
base_url = 'http://two'
max_passages = 5
max_concurrency = 6
max_queue = 12
[upstreams.other]
provider = 'cohere'
base_url = 'http://other'
[models.default]
targets = [
  { upstream = 'one', model = 'rerank-v3.5', scores = 'main' },
  { upstream = 'two', model = 'rerank-v3.5', scores = 'main', weight = 2 },
  { upstream = 'other', model = 'rerank-v4.0-fast' },
]
[models.default.hedge]
enabled = true
max_calls = 0.1
max_spend = 0.1
[models.alone]
targets = [{ upstream = 'one', model = 'rerank-v3.5', scores = 'main' }]
on_deadline = 'partial'
[models.open]
targets = [{ upstream = 'one', model = 'rerank-v3.5', scores = 'main' }, { upstream = 'two', model = 'rerank-v3.5', scores = 'main' }]
on_failure = 'original_order'
";

/// What an upstream does with a call.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Fine { milliseconds: u64 },
    Tail { share: f64, milliseconds: u64 },
    Refusing,
    Failing { share: f64 },
    BlackHole,
    Limited { seconds: Option<u64> },
    Nonsense,
    Small { passages: usize },
    Picky,
    Unauthorized,
}

/// One upstream of the simulated world.
#[derive(Debug)]
struct Sky {
    /// What its scores are made with.
    salt: &'static str,
    most_at_once: usize,
    /// Weather from each moment on.
    forecast: Vec<(Duration, Weather)>,
    began: Instant,
    random: Mutex<fastrand::Rng>,
    calls: AtomicUsize,
    at_once: AtomicUsize,
    billed: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Simulated(Arc<Sky>);

fn score_of(salt: &str, query: &str, passage: &str) -> f64 {
    let hash = blake3::hash(format!("{salt}|{query}|{passage}").as_bytes());
    f64::from(hash.as_bytes()[0]) / 256.0
}

impl Sky {
    fn new(salt: &'static str, most_at_once: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut at = Duration::ZERO;
        let mut forecast = vec![(at, Weather::Fine { milliseconds: random.u64(5..80) })];
        for _ in 0..8 {
            at += Duration::from_millis(random.u64(500..12_000));
            forecast.push((at, weather(&mut random)));
        }
        let random = Mutex::new(random);
        let (calls, at_once, billed) = Default::default();
        Self { salt, most_at_once, forecast, began: Instant::now(), random, calls, at_once, billed }
    }

    fn weather(&self) -> Weather {
        let now = self.began.elapsed();
        self.forecast.iter().rev().find(|(at, _)| *at <= now).map_or(Weather::BlackHole, |(_, weather)| *weather)
    }

    fn draw(&self) -> f64 {
        self.random.lock().unwrap().f64()
    }

    async fn answer(&self, call: &Call) -> Result<Scores, UpstreamError> {
        let usual = Duration::from_millis(5 + (self.draw() * 30.0) as u64);
        let failure = |kind| Err(UpstreamError::passing(kind, "failed as it was told"));
        match self.weather() {
            Weather::Fine { milliseconds } => sleep(Duration::from_millis(milliseconds)).await,
            Weather::Tail { share, milliseconds } if self.draw() < share => {
                sleep(Duration::from_millis(milliseconds)).await
            }
            Weather::Tail { .. } => sleep(usual).await,
            Weather::Refusing => return failure(ErrorKind::UpstreamUnavailable),
            Weather::Failing { share } => {
                sleep(usual).await;
                if self.draw() < share {
                    return failure(ErrorKind::UpstreamUnavailable);
                }
            }
            Weather::BlackHole => std::future::pending().await,
            Weather::Limited { seconds } => {
                let limited = UpstreamError::passing(ErrorKind::UpstreamRateLimited, "failed as it was told");
                return Err(UpstreamError { retry_after: seconds.map(Duration::from_secs), ..limited });
            }
            Weather::Nonsense => {
                sleep(usual).await;
                return failure(ErrorKind::UpstreamInvalidReply);
            }
            Weather::Small { passages } if call.passages > passages => {
                let refusal = UpstreamError::lasting(ErrorKind::UpstreamRejected, "answered with status 413");
                return Err(UpstreamError { oversize: Some(Oversize::Passages), ..refusal });
            }
            Weather::Picky if call.body.windows(POISON.len()).any(|window| window == POISON.as_bytes()) => {
                let refusal = UpstreamError::lasting(ErrorKind::UpstreamRejected, "answered with status 413");
                return Err(UpstreamError { oversize: Some(Oversize::Text), ..refusal });
            }
            Weather::Small { .. } | Weather::Picky => sleep(usual).await,
            Weather::Unauthorized => {
                return Err(UpstreamError::lasting(ErrorKind::UpstreamUnauthorized, "answered with status 401"));
            }
        }
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let query = body["query"].as_str().unwrap();
        let documents = body["documents"].as_array().unwrap();
        let scores = documents.iter().map(|text| score_of(self.salt, query, text.as_str().unwrap())).collect();
        self.billed.fetch_add(1, Ordering::Relaxed);
        Ok(Scores { scores, tokens: None, search_units: Some(1) })
    }
}

fn weather(random: &mut fastrand::Rng) -> Weather {
    match random.usize(0..13) {
        0..=2 => Weather::Fine { milliseconds: random.u64(1..200) },
        3 => Weather::Tail { share: 0.1, milliseconds: 2_000 },
        4 => Weather::Refusing,
        5 => Weather::Failing { share: random.f64() },
        6 => Weather::BlackHole,
        7 => Weather::Limited { seconds: Some(random.u64(0..90)) },
        8 => Weather::Limited { seconds: None },
        9 => Weather::Nonsense,
        10 => Weather::Small { passages: random.usize(1..5) },
        11 => Weather::Picky,
        _ => Weather::Unauthorized,
    }
}

impl Service<Call> for Simulated {
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), UpstreamError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        struct Present(Arc<Sky>);
        impl Drop for Present {
            fn drop(&mut self) {
                self.0.at_once.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let sky = self.0.clone();
        Box::pin(async move {
            sky.calls.fetch_add(1, Ordering::Relaxed);
            let crowd = sky.at_once.fetch_add(1, Ordering::Relaxed) + 1;
            let _present = Present(sky.clone());
            assert!(crowd <= sky.most_at_once, "{crowd} calls at once at {}", sky.salt);
            sky.answer(&call).await
        })
    }
}

fn settings() -> Settings {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), CONFIG).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), environment: Environment::new(), listen: None };
    load(&sources).unwrap().settings
}

/// One day's world.
struct World {
    reranker: Reranker,
    skies: BTreeMap<&'static str, Arc<Sky>>,
    /// What happened, so that it can be told whether the days have been bad enough.
    seen: Mutex<BTreeSet<&'static str>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let skies = [("one", "main", 6), ("two", "main", 6), ("other", "other", 64)];
        let skies: BTreeMap<_, _> = skies
            .into_iter()
            .zip(1..)
            .map(|((name, salt, most), index)| (name, Arc::new(Sky::new(salt, most, seed * 31 + index))))
            .collect();
        let remote = |settings: &UpstreamSettings, metrics: &_| {
            let keys = Arc::new(crate::upstream::keys::KeyRing::new(&settings.api_keys)?);
            let sky = skies[settings.name.as_str()].clone();
            Ok(Upstream::behind(Simulated(sky), settings, metrics, keys))
        };
        let reranker = assemble_with(&settings(), remote).unwrap();
        Self { reranker, skies, seen: Mutex::default() }
    }

    fn seen(&self, what: &'static str) {
        self.seen.lock().unwrap().insert(what);
    }

    fn note(&self, response: &RerankResponse) {
        let provenance = &response.provenance;
        provenance.degraded.iter().for_each(|reason| self.seen(reason));
        for (what, happened) in [
            ("hit", provenance.pairs.hit > 0),
            ("coalesced", provenance.pairs.coalesced > 0),
            ("mixed", provenance.pairs.coalesced > 0 && provenance.pairs.scored > 0),
            ("stale", provenance.pairs.stale > 0),
            ("fallback", provenance.fallbacks > 0 && provenance.reranked),
            ("original order", !provenance.reranked),
            ("retried", provenance.attempts > 3),
        ] {
            if happened {
                self.seen(what);
            }
        }
    }

    fn calls(&self) -> usize {
        self.skies.values().map(|sky| sky.calls.load(Ordering::Relaxed)).sum()
    }
}

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

/// The promises that hold for every answer, whatever the weather.
fn check(wish: &Wish, response: &RerankResponse) {
    let count = wish.passages.len();
    let provenance = &response.provenance;
    let mut seen: Vec<_> = response.ranking.iter().map(|ranked| ranked.position).collect();
    let listed = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() == listed && seen.iter().all(|position| *position < count), "a permutation, or a part of one");
    let is_cut = listed < count;
    let is_partial = provenance.degraded.contains(&"deadline_exceeded") || !provenance.reranked;
    assert!(!is_cut || (wish.top_n == Some(listed) && !is_partial), "only top_n cuts, and nothing that is degraded");
    // Law 1 and 2: every score is that of the model that is named.
    let salt = match provenance.upstream.as_deref() {
        Some("one" | "two") => "main",
        Some("other") => "other",
        _ => "nobody",
    };
    for ranked in &response.ranking {
        if let Some(score) = ranked.score {
            let right = score_of(salt, &wish.query, &wish.passages[ranked.position]);
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
    if wish.control.only_if_cached {
        assert_eq!(provenance.attempts, 0);
    }
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
    let asked = tasks.len();
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
    let most = asked * (3 + 3 + 1) + 4 * began.elapsed().as_secs() as usize;
    assert!(world.calls() <= most, "{} calls for {asked} requests", world.calls());
    ledger(&world);
    world.seen.lock().unwrap().clone()
}

/// The metrics say what the upstreams billed, to the unit.
fn ledger(world: &World) {
    let exposition = world.reranker.metrics.exposition(world.reranker.cache.size());
    for (name, sky) in &world.skies {
        let line = format!("rerank_billed_units_total{{upstream=\"{name}\",unit=\"search_units\"}} ");
        let told = exposition.lines().find_map(|found| found.strip_prefix(&line)?.parse::<usize>().ok()).unwrap_or(0);
        assert_eq!(told, sky.billed.load(Ordering::Relaxed), "{name}");
    }
    for (what, metric) in [
        ("hedged", "rerank_upstream_hedges_total{upstream=\"two\"} "),
        ("refreshed", "rerank_refreshed_pairs_total "),
        ("shed: circuit_open", "rerank_upstream_shed_total{upstream=\"one\",reason=\"circuit_open\"} "),
        ("shed: queue_full", "rerank_upstream_shed_total{upstream=\"one\",reason=\"queue_full\"} "),
    ] {
        if exposition.lines().any(|line| line.strip_prefix(metric).is_some_and(|count| count != "0")) {
            world.seen(what);
        }
    }
}

fn seeds() -> Range<u64> {
    let given = std::env::var("RERANKD_SEEDS").ok();
    let parsed = given.map(|text| text.split_once("..").map(|(from, to)| from.parse().unwrap()..to.parse().unwrap()));
    parsed.flatten().unwrap_or(SEEDS)
}

#[test]
fn every_promise_is_kept_on_every_simulated_day() {
    let mut seen = BTreeSet::new();
    for seed in seeds() {
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
