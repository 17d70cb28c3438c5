//! Several upstreams that give the same scores, several keys of one upstream, and slow calls that are sent twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gateway::upstream;
use crate::support::{FakeUpstream, Gateway, Reply, expected, provenance, scores};

/// A gateway before two servers of the same model; `more` is appended to the model's table.
async fn gateway_with_equivalent_upstreams(
    left: &FakeUpstream,
    right: &FakeUpstream,
    weights: (u32, u32),
    more: &str,
) -> Gateway {
    let config = format!(
        "{}{}[models.default]\ntargets = [{{ upstream = 'left', scores = 'bge', weight = {} }}, {{ upstream = 'right', scores = \
         'bge', weight = {} }}]\n{more}",
        upstream("left", "tei", &left.url()),
        upstream("right", "tei", &right.url()),
        weights.0,
        weights.1,
    );
    Gateway::start(&config).await
}

async fn ask(gateway: &Gateway, count: usize) -> Vec<Value> {
    let mut answers = Vec::new();
    for index in 0..count {
        let query = format!("query {index} of {count}");
        let answer = gateway.rerank(&query, &["a", "b"]).await;
        assert_eq!(scores(&answer), expected(&query, &["a", "b"]));
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn equivalent_upstreams_get_calls_by_weight_and_share_scores() {
    let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
    let gateway = gateway_with_equivalent_upstreams(&left, &right, (3, 1), "").await;
    // So long that noise does not make one much slower than the other: then weights would not hold.
    left.answer_late(Duration::from_millis(20));
    right.answer_late(Duration::from_millis(20));
    ask(&gateway, 60).await;
    let share = left.calls().len();
    assert!((30..=58).contains(&share), "{share} of 60");
    let again = ask(&gateway, 60).await;
    assert_eq!(left.calls().len() + right.calls().len(), 60, "whoever is asked, the scores are known");
    assert!(again.iter().all(|answer| provenance(answer)["pairs"]["hit"] == 2));
}

#[tokio::test]
async fn upstream_of_weight_zero_gets_calls_only_after_failure() {
    let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
    let gateway = gateway_with_equivalent_upstreams(&left, &right, (0, 1), "").await;
    ask(&gateway, 20).await;
    assert_eq!((left.calls().len(), right.calls().len()), (0, 20));
    right.then([Reply::status(500)]);
    let answer = gateway.rerank("another", &["a"]).await;
    assert_eq!(provenance(&answer)["upstream"], "left");
    assert_eq!(provenance(&answer)["degraded"], json!([]), "the same scores from elsewhere are no less");
}

/// An upstream that fails fast must not look fast (Linkerd's load biaser).
#[tokio::test]
async fn an_upstream_that_fails_fast_attracts_no_load() {
    let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
    let gateway = gateway_with_equivalent_upstreams(&left, &right, (1, 1), "").await;
    left.answer_always(Some(Reply::status_after(429, "retry-after", "30")));
    let answers = ask(&gateway, 100).await;
    assert!(answers.iter().all(|answer| provenance(answer)["upstream"] == "right"));
    assert!(left.calls().len() <= 5, "{} of 100", left.calls().len());
}

#[tokio::test]
async fn rejected_key_is_replaced_by_the_next_key() {
    for status in [401, 402, 403, 429] {
        let fake = FakeUpstream::scripted("cohere", [Reply::Score, Reply::status(status)]).await;
        let config = format!(
            "[upstreams.up]\nprovider = 'cohere'\nbase_url = '{}'\napi_keys = ['env:KEY', 'env:OTHER']\n\
             [models.default]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]",
            fake.url()
        );
        let gateway = Gateway::start(&config).await;
        let answers =
            [gateway.rerank("1", &["a"]).await, gateway.rerank("2", &["a"]).await, gateway.rerank("3", &["a"]).await];
        assert!(
            answers.iter().all(|answer| provenance(answer)["upstream"] == "up"),
            "{status}: no fallback was needed"
        );
        assert_eq!(provenance(&answers[1])["attempts"], 2);
        let keys: Vec<_> =
            fake.calls().iter().map(|call| call.headers["authorization"].to_str().unwrap().to_owned()).collect();
        assert_eq!(keys, ["Bearer test-key", "Bearer test-key", "Bearer other-key", "Bearer other-key"], "{status}");
    }
}

#[tokio::test]
async fn upstream_with_all_keys_rejected_falls_back_to_next_target() {
    let fake = FakeUpstream::scripted("cohere", [Reply::status(401), Reply::status(401)]).await;
    let config = format!(
        "[upstreams.up]\nprovider = 'cohere'\nbase_url = '{}'\napi_keys = ['env:KEY', 'env:OTHER']\n\
         [models.default]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]",
        fake.url()
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank("q", &["a"]).await;
    assert_eq!(provenance(&answer)["upstream"], "local");
    assert_eq!(provenance(&answer)["attempts"], 2);
}

/// Calls after which the usual latency is known; no call is hedged before.
const ENOUGH: usize = 20;
const HEDGE: &str = "[models.default.hedge]\nenabled = true\nafter_quantile = 0.9\nmax_calls = 0.1\nmax_spend = 1.0\n";

#[tokio::test]
async fn slow_call_is_hedged_and_the_slower_call_cancelled() {
    let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
    let gateway = gateway_with_equivalent_upstreams(&left, &right, (1, 0), HEDGE).await;
    ask(&gateway, ENOUGH).await;
    assert!(right.calls().is_empty());
    left.hold();
    let answer = gateway.rerank("a slow one", &["a", "b"]).await;
    assert_eq!(scores(&answer), expected("a slow one", &["a", "b"]));
    assert_eq!(right.passages(), ["a", "b"]);
    assert_eq!(provenance(&answer)["attempts"], 2);
    left.wait_for_departures(1).await;
    assert_eq!(gateway.metric("rerank_upstream_hedges_total{upstream=\"right\"}").await, 1.0);
    let again = gateway.rerank("a slow one", &["a", "b"]).await;
    assert_eq!(provenance(&again)["pairs"]["hit"], 2, "the winner's scores are kept");
    left.release();
}

#[tokio::test]
async fn hedges_stay_within_max_calls_and_need_hedging_enabled() {
    let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
    let gateway = gateway_with_equivalent_upstreams(&left, &right, (1, 0), HEDGE).await;
    ask(&gateway, 40).await;
    left.answer_late(Duration::from_millis(15));
    for index in 0..60 {
        gateway.rerank(&format!("slow {index}"), &["a"]).await;
    }
    let hedges = right.calls().len();
    assert!((1..=11).contains(&hedges), "{hedges} of 100 calls, a tenth is allowed");
    // Without hedging, or without anybody to hedge to, everything goes one way.
    let gateway = gateway_with_equivalent_upstreams(&left, &right, (1, 0), "").await;
    ask(&gateway, 30).await;
    assert_eq!(right.calls().len(), hedges);
}

#[tokio::test]
async fn upstream_within_its_retry_after_gets_no_hedges() {
    let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
    let gateway = gateway_with_equivalent_upstreams(&left, &right, (1, 0), HEDGE).await;
    ask(&gateway, ENOUGH).await;
    // The twin says that it needs an hour.
    right.answer_always(Some(Reply::status_after(503, "retry-after", "3600")));
    left.hold();
    let tripping =
        gateway.post("/rerank").body(json!({"query": "x", "documents": ["a"], "timeout_ms": 400}).to_string());
    tripping.send().await.unwrap();
    let calls = right.calls().len();
    assert_eq!(calls, 1);
    let held = gateway.post("/rerank").body(json!({"query": "y", "documents": ["a"], "timeout_ms": 400}).to_string());
    held.send().await.unwrap();
    assert_eq!(right.calls().len(), calls, "it is left alone");
    left.release();
}

/// A request that follows a call at one upstream does not depend on it, neither if it hangs nor if it fails.
#[tokio::test]
async fn follower_of_slow_or_failing_leader_calls_its_own_upstream() {
    for fails in [false, true] {
        let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
        left.hold();
        if fails {
            left.answer_always(Some(Reply::status(400)));
        }
        let order = "[models.other]\ntargets = [{ upstream = 'right', scores = 'bge' }, { upstream = 'left', scores = 'bge', weight = 0 }]\n";
        let gateway = gateway_with_equivalent_upstreams(&left, &right, (1, 0), order).await;
        let leading = json!({"query": "q", "documents": ["a", "b"], "timeout_ms": 10_000}).to_string();
        let leader = tokio::spawn(gateway.post("/rerank").body(leading).send());
        left.wait_for_arrivals(1).await;
        let following = json!({"query": "q", "documents": ["a", "b"], "timeout_ms": 10_000, "model": "other"});
        let follower = tokio::spawn(gateway.post("/rerank").body(following.to_string()).send());
        if fails {
            // It is under way when the call that it follows fails.
            let in_flight_limit = gateway.app.server.max_requests;
            while in_flight_limit - gateway.app.in_flight_limit.available_permits() < 2 {
                tokio::task::yield_now().await;
            }
            left.release();
        }
        let answer: Value = serde_json::from_slice(&follower.await.unwrap().unwrap().bytes().await.unwrap()).unwrap();
        assert_eq!(scores(&answer), expected("q", &["a", "b"]));
        assert_eq!(provenance(&answer)["upstream"], "right");
        assert_eq!((right.passages(), &provenance(&answer)["fallbacks"]), (vec!["a".into(), "b".into()], &json!(0)));
        leader.abort();
        left.release();
    }
}

#[tokio::test]
async fn stale_scores_are_used_only_after_every_equivalent_upstream_failed() {
    let (left, right) = (FakeUpstream::start("tei").await, FakeUpstream::start("tei").await);
    let gateway =
        gateway_with_equivalent_upstreams(&left, &right, (1, 0), "[cache]\nttl = '1ms'\nmax_stale = '1h'\n").await;
    gateway.rerank("q", &["a"]).await;
    tokio::time::sleep(Duration::from_millis(3)).await;
    left.answer_always(Some(Reply::status(400)));
    let answer = gateway.rerank("q", &["a"]).await;
    assert_eq!((&provenance(&answer)["degraded"], &provenance(&answer)["upstream"]), (&json!([]), &json!("right")));
    tokio::time::sleep(Duration::from_millis(3)).await;
    right.answer_always(Some(Reply::status(400)));
    assert_eq!(provenance(&gateway.rerank("q", &["a"]).await)["degraded"], json!(["stale_scores"]));
}
