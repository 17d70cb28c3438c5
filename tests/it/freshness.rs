//! Ageing scores: refreshed ahead of their end, used stale on failure, or completed after a deadline.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, order, provenance, scores};

async fn gateway(fake: &FakeUpstream, cache: &str, model: &str) -> Gateway {
    let target = targets("default", &[("up", "rerank-v3.5")]);
    Gateway::start(&format!("[cache]\n{cache}\n{}{target}{model}", upstream("up", "cohere", &fake.url()))).await
}

/// Asks what is cached until it is `wanted` (a code, or `ok`).
async fn wait_for_cached(gateway: &Gateway, documents: &[&str], wanted: &str) {
    let asking = async {
        loop {
            let request = gateway.post("/rerank").header("cache-control", "only-if-cached");
            let answer = gateway.send(request.body(json!({"query": "q", "documents": documents}).to_string())).await;
            if answer.body["code"].as_str().unwrap_or("ok") == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {wanted}"));
}

#[tokio::test]
async fn score_due_for_refresh_is_served_and_refreshed_once() {
    let fake = FakeUpstream::start("cohere").await;
    // Due from the first moment on: the whole of its life is ahead of its end.
    let gateway = gateway(&fake, "ttl = '1s'\nrefresh_ahead = '990ms'", "").await;
    gateway.rerank("q", &["a", "b"]).await;
    fake.hold();
    let asked = async {
        loop {
            let answer = gateway.rerank("q", &["a", "b"]).await;
            assert_eq!(provenance(&answer)["pairs"]["hit"], 2, "nobody waits for the fresh scores");
            if fake.calls().len() > 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_millis(950), asked)
        .await
        .expect("a refresh before the end of the time to live");
    for _ in 0..20 {
        gateway.rerank("q", &["a", "b"]).await;
    }
    let mut refreshed: Vec<_> = fake.passages()[2..].to_vec();
    refreshed.sort();
    refreshed.dedup();
    assert_eq!(refreshed.len(), fake.passages().len() - 2, "no pair is refreshed twice at a time");
    fake.release();
    assert!(gateway.metric("rerank_refreshed_pairs_total").await >= 1.0);
}

#[tokio::test]
async fn only_if_cached_triggers_no_background_refresh() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = gateway(&fake, "ttl = '10s'\nrefresh_ahead = '9999ms'", "").await;
    gateway.rerank("q", &["a"]).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    for _ in 0..300 {
        wait_for_cached(&gateway, &["a"], "ok").await;
    }
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn failed_refresh_degrades_no_answer() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = gateway(&fake, "ttl = '10s'\nrefresh_ahead = '9999ms'", "").await;
    gateway.rerank("q", &["a"]).await;
    fake.answer_always(Some(Reply::status(500)));
    while fake.calls().len() == 1 {
        let answer = gateway.rerank("q", &["a"]).await;
        assert_eq!(provenance(&answer)["degraded"], json!([]));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Stale-if-error: stale scores are better than none if they are marked.
#[tokio::test]
async fn law_8_failing_upstream_yields_stale_scores_marked_degraded() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = gateway(&fake, "ttl = '30ms'\nmax_stale = '1h'", "").await;
    gateway.rerank("q", &["a", "b", "c"]).await;
    wait_for_cached(&gateway, &["a", "b", "c"], "not_cached").await;
    fake.then([Reply::rejected()]);
    let request = json!({"query": "q", "documents": ["a", "b", "c"], "top_n": 2, "explain": true});
    let answer = gateway.send(gateway.post("/rerank").body(request.to_string())).await;
    assert_eq!(answer.headers["x-rerankd-degraded"], "stale_scores");
    let body = answer.body;
    assert_eq!(scores(&body), expected("q", &["a", "b", "c"])[..2]);
    assert_eq!(body["results"][0]["source"], "stale");
    let provenance = provenance(&body);
    assert_eq!((&provenance["reranked"], &provenance["degraded"]), (&json!(true), &json!(["stale_scores"])));
    assert_eq!(provenance["pairs"]["stale"], 3);
    assert_eq!(gateway.metric("rerank_degraded_answers_total{model=\"default\",reason=\"stale_scores\"}").await, 1.0);
    // One pair that was never scored, and the failure stands.
    fake.then([Reply::rejected()]);
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a", "d"]})).await;
    assert_eq!(answer.body["code"], "upstream_rejected");
    let fresh = gateway.rerank("q", &["a", "b", "c"]).await;
    assert_eq!(
        crate::support::provenance(&fresh)["pairs"]["scored"],
        3,
        "a stale score is never made fresh by being used"
    );
}

async fn partial_answer(fake: &FakeUpstream) -> Value {
    let config = format!(
        "{}max_passages = 2\nmax_concurrency = 2\n{}on_deadline = 'partial'\n",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    fake.then([Reply::Score, Reply::Hang]);
    let documents = ["a", "b", "c", "d", "e", "f"];
    let request = json!({"query": "q", "documents": documents, "top_n": 1, "timeout_ms": 400, "explain": true});
    let answer = gateway.send(gateway.post("/rerank").body(request.to_string())).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers["x-rerankd-degraded"], "deadline_exceeded");
    // What was still to come goes on, and is known afterwards.
    wait_for_cached(&gateway, &documents[4..], "ok").await;
    answer.body
}

#[tokio::test]
async fn law_8_deadline_returns_scored_passages_then_the_rest_in_input_order() {
    let fake = FakeUpstream::start("cohere").await;
    let body = partial_answer(&fake).await;
    let provenance = provenance(&body);
    assert_eq!((&provenance["reranked"], &provenance["degraded"]), (&json!(true), &json!(["deadline_exceeded"])));
    assert_eq!(provenance["score_scale"], "probability");
    let results = body["results"].as_array().unwrap();
    assert_eq!(results.len(), 6, "every document, whatever top_n");
    let scored: Vec<_> = results.iter().take_while(|result| result["relevance_score"].is_number()).collect();
    let unscored: Vec<_> = results[scored.len()..].iter().map(|result| result["index"].as_u64().unwrap()).collect();
    assert!(!scored.is_empty() && !unscored.is_empty(), "{body}");
    assert!(unscored.is_sorted(), "{unscored:?}");
    assert!(
        results[scored.len()..]
            .iter()
            .all(|result| result["relevance_score"].is_null() && result["source"] == "unscored")
    );
    let right = expected("q", &["a", "b", "c", "d", "e", "f"]);
    for result in &scored {
        let pair = (result["index"].as_u64().unwrap(), result["relevance_score"].as_f64().unwrap());
        assert!(right.contains(&pair), "no invented score");
    }
    assert_eq!(order(&body).len(), 6);
}

#[tokio::test]
async fn deadline_without_any_score_returns_504() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
    let gateway = gateway(&fake, "", "on_deadline = 'partial'\n").await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"], "timeout_ms": 100})).await;
    assert_eq!(answer.status, 504);
}
