//! An upstream that takes calls and does not answer, or slowly, while another target stands ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::CacheScope;
use rerankd_core::rerank::RequestContext;
use rerankd_core::types::passages::OwnedPassage;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use tokio::time::{Instant, sleep};

use super::faults::{Behaviour, SimulatedUpstream};
use super::harness::{Harness, settings};

/// `fallback_after` of the default configuration.
const FALLBACK_AFTER: Duration = Duration::from_secs(3);
/// Calls of one size after which the usual latency is known.
const ENOUGH: usize = 20;

/// [`harness_with`] the default of `fallback_after`.
fn harness(first: Vec<(Duration, Behaviour)>) -> Harness {
    harness_with(first, FALLBACK_AFTER)
}

/// A harness in which `one` behaves by `first`, and `two`, of the same scores, and `other` answer at once.
fn harness_with(first: Vec<(Duration, Behaviour)>, fallback_after: Duration) -> Harness {
    let fine = vec![(Duration::ZERO, Behaviour::Fine { milliseconds: 20 })];
    let mut upstreams = BTreeMap::new();
    for (name, salt, schedule) in [("one", "main", first), ("two", "main", fine.clone()), ("other", "other", fine)] {
        upstreams.insert(name, Arc::new(SimulatedUpstream { schedule, ..SimulatedUpstream::new(salt, 64, 1) }));
    }
    let mut settings = settings();
    settings.cache.max_stale = Duration::ZERO;
    for upstream in &mut settings.upstreams {
        upstream.max_concurrency = 64;
        upstream.max_queue = 64;
    }
    for model in &mut settings.models {
        model.hedge.enabled = false;
        model.fallback_after = fallback_after;
        if model.name == "default" {
            // `one`, then `other`.
            model.targets.retain(|target| target.upstream != "two");
        }
    }
    Harness::under(upstreams, &settings)
}

/// The answer to a request for one passage that nobody has asked for, and the time that it took.
async fn ask(harness: &Harness, model: &str, text: &str) -> (RerankResponse, Duration) {
    let route = harness.reranker.routes.resolve(Some(model)).unwrap();
    let passages = [OwnedPassage { text: text.to_owned().into(), object: None }].into_iter().collect();
    let request = Arc::new(RerankRequest { query: "q".into(), passages, ..RerankRequest::default() });
    let started = Instant::now();
    let context = RequestContext {
        started,
        deadline: started + Duration::from_secs(30),
        control: CacheControl::default(),
        scope: CacheScope::SHARED,
    };
    let response = harness.reranker.rerank(&route, &request, &context).await.unwrap();
    (response, started.elapsed())
}

fn answered_by(response: &RerankResponse) -> &str {
    response.provenance.upstream.as_deref().unwrap()
}

/// The first call, each one after it and each probe of the half-open circuit are waited for no longer than
/// `fallback_after`, and the circuit opens although nobody waits for its calls any more.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_costs_fallback_after_while_another_is_ready() {
    let harness = harness(vec![(Duration::ZERO, Behaviour::BlackHole)]);
    let mut waited = Vec::new();
    for request in 0..400 {
        let (response, took) = ask(&harness, "default", &request.to_string()).await;
        assert_eq!(answered_by(&response), "other");
        assert!(took <= FALLBACK_AFTER + Duration::from_millis(50), "{request}: {took:?}");
        if took >= FALLBACK_AFTER {
            assert!(response.provenance.warnings[0].contains("did not answer within 3000 ms (fallback_after)"));
            waited.push(request);
        }
        sleep(Duration::from_millis(500)).await;
    }
    // Calls until the first five have timed out, then probes after pauses that double.
    assert_eq!(waited[0], 0);
    assert!((8..20).contains(&waited.len()), "{waited:?}");
    let calls = harness.upstreams["one"].calls.load(Ordering::Relaxed);
    assert_eq!(calls, waited.len(), "whatever was asked was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_slow_upstream_loses_only_the_calls_before_its_first_answer() {
    let harness = harness(vec![(Duration::ZERO, Behaviour::Fine { milliseconds: 5_000 })]);
    let (response, took) = ask(&harness, "default", "first").await;
    assert_eq!((answered_by(&response), took.as_secs()), ("other", 3));
    sleep(Duration::from_secs(3)).await;
    let (response, took) = ask(&harness, "default", "first").await;
    assert_eq!((answered_by(&response), took), ("one", Duration::ZERO), "its late answer was stored");
    for request in 0..2 * ENOUGH {
        let (response, _) = ask(&harness, "default", &request.to_string()).await;
        assert_eq!(answered_by(&response), "one", "{request}");
    }
}

/// Requests that queue up behind each other wait for longer than one call takes.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_answers_others_is_waited_for() {
    let harness = harness(vec![(Duration::ZERO, Behaviour::Fine { milliseconds: 2_000 })]);
    let harness = &harness;
    let requests = (0..100).map(async |request: usize| ask(harness, "default", &request.to_string()).await);
    let answers = futures_util::future::join_all(requests).await;
    for (response, took) in answers {
        assert_eq!(answered_by(&response), "one");
        assert!(took <= Duration::from_secs(4));
    }
}

/// The second target has the same scores, and must not wait for the first one's call.
#[tokio::test(start_paused = true)]
async fn a_target_of_the_same_scores_asks_for_itself() {
    let harness = harness(vec![(Duration::ZERO, Behaviour::BlackHole)]);
    let mut one_was_first = 0;
    for request in 0..4 {
        let (response, took) = ask(&harness, "open", &request.to_string()).await;
        assert_eq!(answered_by(&response), "two");
        assert!(took <= FALLBACK_AFTER + Duration::from_millis(50), "{took:?}");
        one_was_first += u32::from(took >= FALLBACK_AFTER);
    }
    assert!(one_was_first > 0);
}

#[tokio::test(start_paused = true)]
async fn the_whole_attempt_is_waited_for_without_another_target_or_a_limit() {
    let slow = vec![(Duration::ZERO, Behaviour::Fine { milliseconds: 8_000 })];
    let (response, took) = ask(&harness(slow.clone()), "alone", "text").await;
    assert_eq!((answered_by(&response), took.as_secs()), ("one", 8));
    let unlimited = harness_with(slow, Duration::ZERO);
    let (response, took) = ask(&unlimited, "default", "text").await;
    assert_eq!((answered_by(&response), took.as_secs()), ("one", 8));
}
