//! The processor's work of one request, without sockets: decode, key, plan, merge, rank; cold (every pair unknown) and warm (every
//! pair known), at 10, 100 and 1,000 passages of about 500 characters, an eighth of them with escapes and letters outside ASCII.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faststr::FastStr;
use rerankd::dialect::Dialect;
use rerankd::dialect::fields::Fields;
use rerankd::dialect::native;
use rerankd_core::cache::ScoreCache;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::{CacheScope, ScoreSpace};
use rerankd_core::coalesce::{Claim, ClaimRequest, Flights};
use rerankd_core::provider::check::merge;
use rerankd_core::provider::{ScoreScale, Scoring};
use rerankd_core::rerank::plan::Plan;
use rerankd_core::rerank::plan_context::PlanContext;
use rerankd_core::rerank::rank::rank;
use rerankd_core::types::index::{FlightIndex, ListIndex};
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::ScoreSource;
use rerankd_core::upstream::call::{RetryMode, Waiter};
use rerankd_core::upstream::settings::LongPassages;
use rerankd_local::lexical;
use serde_json::json;

fn passages(count: usize) -> Vec<String> {
    let passage = |index: usize| {
        let odd = if index.is_multiple_of(8) { "\"quoted\"\nand 한국어 " } else { "" };
        format!("passage {index} {odd}{}", "of words that mean little ".repeat(18))
    };
    (0..count).map(passage).collect()
}

fn body(count: usize) -> FastStr {
    let body = json!({"query": "which words mean little", "documents": passages(count), "top_n": 10});
    FastStr::from(body.to_string())
}

fn context() -> PlanContext {
    PlanContext {
        space: ScoreSpace {
            upstream: "up".into(),
            model: "model".into(),
            revision: String::new(),
            scale: ScoreScale::Probability,
        },
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

fn decode(body: &FastStr) -> RerankRequest {
    native::BARE.decode(&Fields::read(body).unwrap()).unwrap()
}

/// One request; the reply's scores are made up here.
fn whole(body: &FastStr, context: &PlanContext, cache: &ScoreCache) -> usize {
    let request = decode(body);
    let mut plan = Plan::new(&request, context, cache);
    let slots = plan.unknown().to_vec();
    if !slots.is_empty() {
        let reply: Vec<(i64, f64)> =
            (0..).zip((0u32..).take(slots.len()).map(|slot| f64::from(slot) / 7.0 % 1.0)).collect();
        let scores = merge(&reply, slots.len(), ScoreScale::Probability).unwrap();
        let known: Vec<_> = slots.iter().map(|slot| plan.keys()[*slot]).zip(scores.iter().copied()).collect();
        cache.put_many(plan.query(), &known);
        slots.iter().zip(scores).for_each(|(slot, score)| plan.learn(*slot, Some(score), ScoreSource::Scored));
    }
    rank(&plan.passages(), request.top_n).len()
}

fn pipeline(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    let context = context();
    for count in [10, 100, 1_000] {
        let body = body(count);
        let mut group = criterion.benchmark_group("pipeline");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("decode", count), |bencher| {
            bencher.iter(|| decode(black_box(&body)));
        });
        let request = decode(&body);
        group.bench_function(BenchmarkId::new("plan", count), |bencher| {
            let cache = ScoreCache::off();
            bencher.iter(|| Plan::new(black_box(&request), &context, &cache));
        });
        group.bench_function(BenchmarkId::new("cold", count), |bencher| {
            bencher.iter_batched(cache, |cache| whole(black_box(&body), &context, &cache), BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("warm", count), |bencher| {
            let cache = cache();
            whole(&body, &context, &cache);
            bencher.iter(|| whole(black_box(&body), &context, &cache));
        });
        group.finish();
    }
}

/// What coalescing costs a request whose pairs nobody else wants: claim, land, collect.
fn coalesce(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    let flights = Flights::default();
    let deadline = tokio::time::Instant::now() + Duration::from_hours(1);
    let waiter = Waiter { deadline, retry_mode: RetryMode::Wait, store: true, scope: CacheScope::SHARED };
    for count in [10, 100, 1_000] {
        let request = decode(&body(count));
        let plan = Plan::new(&request, &context(), &ScoreCache::off());
        let (places, scores): (Vec<_>, Vec<f64>) = (0..count).map(|place| (FlightIndex::of(place), 0.5)).unzip();
        let mut group = criterion.benchmark_group("coalesce");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("alone", count), |bencher| {
            bencher.iter(|| {
                let Claim { lead, mut subscriptions } = flights.claim(&ClaimRequest {
                    query: plan.query(),
                    keys: plan.keys(),
                    slots: black_box(plan.unknown()),
                    upstream: "up",
                    bypasses_others: false,
                    waiter,
                });
                lead.unwrap().land(&places, &scores);
                subscriptions[0].landed().unwrap().len()
            });
        });
        group.finish();
    }
}

fn local(criterion: &mut Criterion) {
    let texts = passages(50);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    criterion.bench_function("local/lexical/50", |bencher| {
        bencher.iter(|| lexical::score(black_box("which words mean little"), black_box(&texts)));
    });
}

criterion_group!(benches, pipeline, coalesce, local);
criterion_main!(benches);
