//! The processor's work of each step of a request, without sockets: 10, 100 and 1,000 passages of about 500 characters,
//! an eighth of them with escapes and letters outside ASCII.
//!
//! `cargo bench --bench pipeline` times the steps. `scripts/count-instructions` counts their instructions, and fails if
//! there are more than the committed baseline has; it runs `pipeline --count STEP PASSAGES REPEATS` under callgrind.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "`--steps` is read by a script")]

#[path = "common/passages.rs"]
mod passages;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use faststr::FastStr;
use rerankd::dialect::fields::Fields;
use rerankd::dialect::{Dialect, native};
use rerankd_core::cache::ScoreCache;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::{CacheScope, ScoreSpace};
use rerankd_core::coalesce::{Claim, ClaimRequest, Flights};
use rerankd_core::provider::check::merge;
use rerankd_core::provider::{PassageText, ScoreBatch, ScoreScale, Scoring, Wire, WireReply};
use rerankd_core::rerank::plan::Plan;
use rerankd_core::rerank::plan_context::PlanContext;
use rerankd_core::rerank::rank::rank;
use rerankd_core::types::index::{FlightIndex, ListIndex};
use rerankd_core::types::model_version::ModelVersion;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::{Provenance, RerankResponse, ScoreSource, Usage};
use rerankd_core::upstream::call::{RetryMode, Waiter};
use rerankd_core::upstream::settings::LongPassages;
use rerankd_local::lexical;
use serde_json::json;

use self::passages::passage;

/// The binary's allocator: its work is part of every step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PASSAGE_COUNTS: [usize; 3] = [10, 100, 1_000];
/// Runs of a step before its instructions are counted: tables and the allocator's pages are there then.
const WARM_UP_RUNS: usize = 3;

/// One step of a request.
struct Step {
    name: &'static str,
    /// Makes the input of one run, which is not measured.
    prepare: fn(&Exchange) -> Work<'_>,
}

/// One run of a step. What it owns is dropped after the measurement.
type Work<'a> = Box<dyn FnMut() -> usize + 'a>;

const STEPS: [Step; 9] = [
    Step { name: "decode", prepare: decode },
    Step { name: "plan", prepare: plan },
    Step { name: "plan-known", prepare: plan_known },
    Step { name: "claim", prepare: claim },
    Step { name: "encode-call", prepare: encode_call },
    Step { name: "read-reply", prepare: read_reply },
    Step { name: "store", prepare: store },
    Step { name: "rank", prepare: rank_all },
    Step { name: "encode-answer", prepare: encode_answer },
];

/// A request and the reply of its upstream, on which every step works.
struct Exchange {
    body: Bytes,
    request: RerankRequest,
    reply: WireReply,
    /// Score of each passage, in input order.
    scores: Vec<f64>,
    context: PlanContext,
    /// The registry of pairs in flight; it outlives a request.
    flights: Flights,
    wire: Arc<Wire>,
}

impl Exchange {
    fn new(count: usize) -> Self {
        let body = json!({ "query": "which words mean little", "documents": passages(count), "top_n": 10 }).to_string();
        let scores = scores(count);
        let reply = WireReply { body: reply(&scores).into(), ..WireReply::default() };
        Self {
            request: request(&body.clone().into()),
            body: body.into(),
            reply,
            scores,
            context: context(),
            flights: Flights::default(),
            wire: rerankd::config::providers()["cohere"].wire.clone(),
        }
    }

    /// A plan in which every pair has its score.
    fn scored_plan(&self) -> Plan {
        let mut plan = Plan::new(&self.request, &self.context, &ScoreCache::off());
        for (slot, score) in plan.unknown().to_vec().into_iter().zip(&self.scores) {
            plan.learn(slot, Some(*score), ScoreSource::Scored);
        }
        plan
    }

    /// Puts every pair of the request into `cache`.
    fn store_in(&self, plan: &Plan, cache: &ScoreCache) {
        let mut known = Vec::with_capacity(self.scores.len());
        for (slot, score) in plan.unknown().iter().zip(&self.scores) {
            known.push((plan.keys()[*slot], *score));
        }
        cache.put_many(plan.query(), &known);
    }
}

fn passages(count: usize) -> Vec<String> {
    let mut passages = Vec::with_capacity(count);
    for index in 0..count {
        passages.push(passage(&index.to_string(), index));
    }
    passages
}

/// Scores with nine decimals, none twice, in no order.
fn scores(count: usize) -> Vec<f64> {
    let mut scores = Vec::with_capacity(count);
    for index in 0..count as u64 {
        let billionths = u32::try_from((index + 1) * 382_966_127 % 1_000_000_007 % 1_000_000_000).unwrap();
        scores.push(f64::from(billionths) / 1e9);
    }
    scores
}

/// A reply as Cohere gives it: best first.
fn reply(scores: &[f64]) -> String {
    let mut ranked: Vec<(usize, f64)> = scores.iter().copied().enumerate().collect();
    ranked.sort_by(|left, right| right.1.total_cmp(&left.1));
    let mut results = Vec::with_capacity(ranked.len());
    for (index, score) in ranked {
        results.push(json!({ "index": index, "relevance_score": score }));
    }
    json!({ "id": "id", "results": results, "meta": { "billed_units": { "search_units": 1 } } }).to_string()
}

fn request(body: &Bytes) -> RerankRequest {
    let text = FastStr::from_bytes(body.clone()).unwrap();
    native::BARE.decode(&Fields::read(&text).unwrap()).unwrap()
}

fn context() -> PlanContext {
    PlanContext {
        space: ScoreSpace {
            upstream: "up".into(),
            model: "model".into(),
            revision: String::new(),
            scale: ScoreScale::Probability,
        },
        version: ModelVersion::NONE,
        scoring: Scoring::Pointwise,
        rejects_blanks: true,
        long_passages: LongPassages::Provider,
        scope: CacheScope::SHARED,
        control: CacheControl::default(),
    }
}

fn cache() -> ScoreCache {
    ScoreCache::in_memory(64 << 20, Duration::from_hours(1))
}

/// Bytes to request: UTF-8, JSON, fields.
fn decode(exchange: &Exchange) -> Work<'_> {
    Box::new(|| request(&exchange.body).passages.len())
}

/// Keys, folding, and a look-up that finds nothing.
fn plan(exchange: &Exchange) -> Work<'_> {
    let cache = cache();
    Box::new(move || Plan::new(&exchange.request, &exchange.context, &cache).unknown().len())
}

/// Keys, folding, and a look-up that finds everything.
fn plan_known(exchange: &Exchange) -> Work<'_> {
    let cache = cache();
    exchange.store_in(&exchange.scored_plan(), &cache);
    Box::new(move || Plan::new(&exchange.request, &exchange.context, &cache).unknown().len())
}

/// Pairs that nobody else wants, from their claim until the plan knows their scores.
fn claim(exchange: &Exchange) -> Work<'_> {
    let deadline = tokio::time::Instant::now() + Duration::from_hours(1);
    let waiter = Waiter { deadline, retry_mode: RetryMode::Wait, store: true, scope: CacheScope::SHARED };
    let mut plan = Plan::new(&exchange.request, &exchange.context, &ScoreCache::off());
    let places: Vec<_> = (0..exchange.scores.len()).map(FlightIndex::of).collect();
    Box::new(move || {
        let Claim { lead, mut subscriptions } = exchange.flights.claim(&ClaimRequest {
            query: plan.query(),
            keys: plan.keys(),
            slots: plan.unknown(),
            upstream: "up",
            bypasses_others: false,
            waiter,
        });
        lead.unwrap().land(&places, &exchange.scores);
        let landed = subscriptions[0].landed().unwrap();
        for ((slot, _), score) in landed.iter().zip(&exchange.scores) {
            plan.learn(*slot, Some(*score), ScoreSource::Scored);
        }
        landed.len()
    })
}

/// The body of the upstream's call.
fn encode_call(exchange: &Exchange) -> Work<'_> {
    let RerankRequest { query, passages, options, .. } = &exchange.request;
    Box::new(move || {
        let mut texts = Vec::with_capacity(passages.len());
        for (position, passage) in passages.iter().enumerate() {
            texts.push(PassageText { text: passage.text, literal: passages.literal(position) });
        }
        let batch = ScoreBatch { model: "model", query, instruction: None, passages: texts, options };
        exchange.wire.encode(&batch).len()
    })
}

/// The upstream's reply to scores, checked.
fn read_reply(exchange: &Exchange) -> Work<'_> {
    Box::new(|| {
        let decoded = exchange.wire.decode(&exchange.reply).unwrap();
        merge(&decoded.scores, exchange.scores.len(), ScoreScale::Probability).unwrap().len()
    })
}

/// New scores into the cache.
fn store(exchange: &Exchange) -> Work<'_> {
    let cache = cache();
    let plan = exchange.scored_plan();
    Box::new(move || {
        exchange.store_in(&plan, &cache);
        exchange.scores.len()
    })
}

/// The best ten.
fn rank_all(exchange: &Exchange) -> Work<'_> {
    let plan = exchange.scored_plan();
    Box::new(move || rank(&plan.passages(), exchange.request.top_n).len())
}

/// The body of an answer that holds every passage of the request.
fn encode_answer(exchange: &Exchange) -> Work<'_> {
    let response = RerankResponse {
        model: "default".into(),
        ranking: rank(&exchange.scored_plan().passages(), None),
        explanations: Vec::new(),
        usage: Usage::NOTHING,
        provenance: Provenance { reranked: true, ..Provenance::default() },
    };
    Box::new(move || native::BARE.encode("id", &exchange.request, &response).len())
}

/// The function whose instructions are counted; `scripts/count-instructions` knows its name.
#[inline(never)]
fn counted_work(work: &mut Work<'_>) -> usize {
    black_box(work())
}

/// Runs one step for callgrind.
fn count(step: &str, passages: usize, repeats: usize) {
    let step = STEPS.iter().find(|known| known.name == step).unwrap();
    let exchange = Exchange::new(passages);
    for _ in 0..WARM_UP_RUNS {
        (step.prepare)(&exchange)();
    }
    for _ in 0..repeats {
        counted_work(&mut (step.prepare)(&exchange));
    }
}

/// Times every step.
fn time(criterion: &mut Criterion) {
    for count in PASSAGE_COUNTS {
        let exchange = Exchange::new(count);
        let mut group = criterion.benchmark_group("step");
        group.throughput(Throughput::Elements(count as u64));
        for step in &STEPS {
            group.bench_function(BenchmarkId::new(step.name, count), |bencher| {
                bencher.iter_batched_ref(|| (step.prepare)(&exchange), |work| work(), BatchSize::PerIteration);
            });
        }
        group.finish();
    }
    let texts = passages(50);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    criterion.bench_function("local/lexical/50", |bencher| {
        bencher.iter(|| lexical::score(black_box("which words mean little"), black_box(&texts)));
    });
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--steps"] => STEPS.iter().for_each(|step| println!("{}", step.name)),
        ["--count", step, passages, repeats] => count(step, passages.parse().unwrap(), repeats.parse().unwrap()),
        _ => {
            let mut criterion = Criterion::default().configure_from_args();
            time(&mut criterion);
            criterion.final_summary();
        }
    }
}
