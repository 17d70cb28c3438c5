//! Shadow model: it is compared with live traffic and never affects the client.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, provenance, scores};

const PASSAGES: [&str; 4] = ["one", "two", "three", "four"];

/// The line of a model that compares all of its answers.
fn shadow(upstream: &str, model: &str, more: &str) -> String {
    format!("shadow = {{ target = {{ upstream = '{upstream}', model = '{model}' }}, sample = 1.0{more} }}\n")
}

async fn gateway_with_shadow(main: &FakeUpstream, other: &FakeUpstream, more: &str) -> Gateway {
    let config = [
        upstream("main", "cohere", &main.url()),
        upstream("other", "jina", &other.url()),
        targets("default", &[("main", "rerank-v3.5")]),
        shadow("other", "jina-reranker-v2-base-multilingual", more),
    ];
    Gateway::start(&config.join("\n")).await
}

/// Shadow report of `/v1/models`, once `done` holds.
async fn report(gateway: &Gateway, done: impl Fn(&Value) -> bool) -> Value {
    let ask = async || serde_json::from_str::<Value>(&gateway.get_text("/v1/models/default").await).unwrap();
    let waited = async {
        loop {
            let shadow = ask().await["shadow"].clone();
            if done(&shadow) {
                return shadow;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("the shadow reported in time")
}

#[tokio::test]
async fn shadow_comparison_is_recorded_and_leaves_the_answer_unchanged() {
    let (main, shadow) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    let gateway = gateway_with_shadow(&main, &shadow, "").await;
    let answer = gateway.rerank("q", &PASSAGES).await;
    assert_eq!(scores(&answer), expected("q", &PASSAGES));
    assert_eq!(provenance(&answer)["attempts"], 1);
    let told = report(&gateway, |shadow| shadow["compared"] == 1).await;
    assert_eq!(told["target"], "other/jina-reranker-v2-base-multilingual");
    // Both upstreams of the tests score alike, so the rankings are the same.
    for measure in ["rank_biased_overlap", "kendall_tau", "top_overlap"] {
        assert!((told[measure]["mean"].as_f64().unwrap() - 1.0).abs() < 1e-12, "{told}");
    }
    let label = "{model=\"default\",shadow=\"other/jina-reranker-v2-base-multilingual\"";
    assert_eq!(gateway.metric(&format!("rerank_shadow_requests_total{label},outcome=\"compared\"}}")).await, 1.0);
    assert_eq!(gateway.metric(&format!("rerank_shadow_kendall_tau_count{label}}}")).await, 1.0);
    assert_eq!(
        gateway.metric("rerank_request_duration_seconds_count{model=\"default\"}").await,
        1.0,
        "no request of its own"
    );
}

/// Answers arrive while the shadow hangs; comparisons beyond its limit are skipped.
#[tokio::test]
async fn hanging_shadow_delays_no_answer_and_skips_beyond_max_concurrency() {
    let (main, shadow) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    shadow.hold();
    let gateway = gateway_with_shadow(&main, &shadow, ", max_concurrency = 2").await;
    for number in 0..5 {
        let query = format!("q{number}");
        assert_eq!(scores(&gateway.rerank(&query, &PASSAGES).await), expected(&query, &PASSAGES));
    }
    shadow.wait_for_arrivals(2).await;
    assert_eq!(report(&gateway, |shadow| shadow["skipped"] == 3).await["compared"], 0);
    shadow.release();
    report(&gateway, |shadow| shadow["compared"] == 2).await;
    assert_eq!(shadow.calls().len(), 2);
}

#[tokio::test]
async fn failing_shadow_degrades_no_answer() {
    let (main, shadow) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    shadow.answer_always(Some(Reply::status(401)));
    let gateway = gateway_with_shadow(&main, &shadow, "").await;
    let answer = gateway.rerank("q", &PASSAGES).await;
    assert_eq!(provenance(&answer)["degraded"], json!([]));
    let told = report(&gateway, |shadow| shadow["failed"] == 1).await;
    assert_eq!((&told["compared"], &told["kendall_tau"]), (&json!(0), &Value::Null));
}

/// Both models at one upstream: failures of the shadow count for the shadow's circuit alone.
#[tokio::test]
async fn failing_shadow_opens_only_its_own_circuit() {
    let both = FakeUpstream::start("cohere").await;
    both.then([Reply::Score, Reply::status(500), Reply::Score]);
    let config = [
        upstream("up", "cohere", &both.url()),
        "max_attempts = 1\nbreaker = { consecutive_failures = 1 }\n".to_owned(),
        targets("default", &[("up", "rerank-v3.5")]),
        shadow("up", "rerank-v4.0-pro", ""),
    ];
    let gateway = Gateway::start(&config.join("\n")).await;
    gateway.rerank("q", &PASSAGES).await;
    report(&gateway, |shadow| shadow["failed"] == 1).await;
    assert_eq!(scores(&gateway.rerank("r", &PASSAGES).await), expected("r", &PASSAGES));
    report(&gateway, |shadow| shadow["failed"] == 2).await;
    assert_eq!(both.calls().len(), 3, "the shadow's own circuit is open");
}

/// A live request that needs a pair which the shadow is scoring makes its own call.
#[tokio::test]
async fn live_request_does_not_join_a_shadow_call() {
    let (main, other) = (FakeUpstream::start("jina").await, FakeUpstream::start("cohere").await);
    let config = [
        upstream("main", "jina", &main.url()),
        upstream("other", "cohere", &other.url()),
        targets("second", &[("other", "rerank-v3.5")]),
        targets("default", &[("main", "jina-reranker-v2-base-multilingual")]),
        shadow("other", "rerank-v3.5", ""),
    ];
    let gateway = Gateway::start(&config.join("\n")).await;
    other.hold();
    gateway.rerank("q", &PASSAGES).await;
    other.wait_for_arrivals(1).await;
    let body = json!({"model": "second", "query": "q", "documents": PASSAGES}).to_string();
    let live = tokio::spawn(gateway.post("/rerank").body(body).send());
    other.wait_for_arrivals(2).await;
    other.release();
    let answer = live.await.unwrap().unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((scores(&answer), &provenance(&answer)["pairs"]["coalesced"]), (expected("q", &PASSAGES), &json!(0)));
    report(&gateway, |shadow| shadow["compared"] == 1).await;
    let metrics = ["other", "other (shadow)"]
        .map(|name| format!("rerank_upstream_attempts_total{{upstream=\"{name}\",outcome=\"ok\"}}"));
    assert_eq!((gateway.metric(&metrics[0]).await, gateway.metric(&metrics[1]).await), (1.0, 1.0));
}

/// A fallback's answer says nothing about the model.
#[tokio::test]
async fn answers_of_a_fallback_are_not_compared() {
    let (fails, works) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    fails.then([Reply::rejected()]);
    let config = [
        upstream("fails", "cohere", &fails.url()),
        upstream("works", "jina", &works.url()),
        targets("default", &[("fails", "rerank-v3.5"), ("works", "jina-reranker-v2-base-multilingual")]),
        shadow("local", "lexical", ""),
    ];
    let gateway = Gateway::start(&config.join("\n")).await;
    assert_eq!(provenance(&gateway.rerank("q", &PASSAGES).await)["fallbacks"], 1);
    assert_eq!(provenance(&gateway.rerank("r", &PASSAGES).await)["fallbacks"], 0);
    let told = report(&gateway, |shadow| shadow["compared"] == 1).await;
    assert_eq!((&told["failed"], &told["skipped"]), (&json!(0), &json!(0)));
}

/// Four passages in calls of two: the first is charged for, the second fails.
#[tokio::test]
async fn failed_shadow_call_counts_against_max_usd_per_day() {
    let (main, other) = (FakeUpstream::start("cohere").await, FakeUpstream::start("cohere").await);
    other.then([Reply::Score, Reply::rejected()]);
    let config = [
        upstream("main", "cohere", &main.url()),
        upstream("other", "cohere", &other.url()),
        "max_passages = 2\nmax_concurrency = 1\n".to_owned(),
        targets("default", &[("main", "rerank-v3.5")]),
        shadow("other", "rerank-v3.5", ", max_usd_per_day = 0.001"),
    ];
    let gateway = Gateway::start(&config.join("\n")).await;
    gateway.rerank("q", &PASSAGES).await;
    report(&gateway, |shadow| shadow["failed"] == 1).await;
    gateway.rerank("r", &PASSAGES).await;
    report(&gateway, |shadow| shadow["skipped"] == 1).await;
    assert_eq!(other.calls().len(), 2, "one search is two tenths of a cent, twice the day's budget");
}

#[tokio::test]
async fn shadow_compares_an_answer_with_top_n_one() {
    let (main, shadow) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    let gateway = gateway_with_shadow(&main, &shadow, "").await;
    let body = json!({"query": "q", "documents": PASSAGES, "top_n": 1}).to_string();
    gateway.send(gateway.post("/rerank").body(body)).await;
    let told = report(&gateway, |shadow| shadow["compared"] == 1).await;
    assert_eq!((&told["top_overlap"]["mean"], &told["kendall_tau"]), (&json!(1.0), &Value::Null));
}

/// A `no-store` request must not be sent to another provider either.
#[tokio::test]
async fn no_store_request_is_not_sent_to_the_shadow() {
    let (main, shadow) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    let gateway = gateway_with_shadow(&main, &shadow, "").await;
    let body = json!({"query": "private", "documents": PASSAGES}).to_string();
    gateway.send(gateway.post("/rerank").header("cache-control", "no-store").body(body)).await;
    gateway.rerank("public", &PASSAGES).await;
    report(&gateway, |shadow| shadow["compared"] == 1).await;
    assert_eq!(shadow.calls().len(), 1);
}
