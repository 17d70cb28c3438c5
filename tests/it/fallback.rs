//! Ordered targets, and law 8: answers when targets fail.

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, order, provenance, scores};

async fn gateway_with_two_targets(first: &FakeUpstream, second: &FakeUpstream, more: &str) -> Gateway {
    let config = format!(
        "{}{}{}{more}",
        upstream("first", "cohere", &first.url()),
        upstream("second", "jina", &second.url()),
        targets("default", &[("first", "rerank-v3.5"), ("second", "jina-reranker-v2-base-multilingual")]),
    );
    Gateway::start(&config).await
}

/// Law 2: scores of different score spaces never stand in one answer.
#[tokio::test]
async fn law_2_fallback_scores_every_pair_at_the_next_target() {
    let (first, second) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    let gateway = gateway_with_two_targets(&first, &second, "").await;
    gateway.rerank("q", &["a", "b"]).await; // now known at the first
    first.then(vec![Reply::status(503); 2]);
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["a", "b", "c"], "explain": true})).await;
    assert_eq!(second.passages(), ["a", "b", "c"], "the known scores of the first are of no use here");
    assert_eq!(scores(&answer), expected("q", &["a", "b", "c"]));
    let provenance = provenance(&answer);
    assert_eq!(provenance["upstream"], "second");
    assert_eq!(provenance["pairs"]["hit"], 0);
    assert_eq!(provenance["reranked"], true);
    assert_eq!(provenance["attempts"], 3, "one more try at once, then the fallback");
    assert_eq!(provenance["trail"][0]["outcome"], "upstream_unavailable");
    assert_eq!(provenance["trail"][1]["outcome"], "ok");
    assert!(provenance["warnings"][0].as_str().unwrap().starts_with("first/rerank-v3.5 was given up"));
    assert_eq!(
        gateway.metric("rerank_fallbacks_total{upstream=\"first\",outcome=\"upstream_unavailable\"}").await,
        1.0
    );

    let healthy = gateway.rerank("q", &["a", "b", "c"]).await;
    assert_eq!(self::provenance_upstream(&healthy), "first", "the fallback's scores do not stand in for the first's");
    assert_eq!(first.calls().last().unwrap().passages(), ["c"]);
}

fn provenance_upstream(answer: &Value) -> &str {
    provenance(answer)["upstream"].as_str().unwrap()
}

#[tokio::test]
async fn every_kind_of_failure_falls_back() {
    for failures in [
        vec![Reply::status(400)],
        vec![Reply::status(401)],
        vec![Reply::status(402)],
        vec![Reply::status_after(429, "retry-after", "30")],
        vec![Reply::Close, Reply::Close],
        vec![Reply::body("nonsense"), Reply::body("nonsense")],
    ] {
        let (first, second) =
            (FakeUpstream::scripted("cohere", failures.clone()).await, FakeUpstream::start("jina").await);
        let gateway = gateway_with_two_targets(&first, &second, "").await;
        let answer = gateway.rerank("q", &["a"]).await;
        assert_eq!(provenance_upstream(&answer), "second", "{failures:?}");
    }
}

#[tokio::test]
async fn unreachable_upstream_falls_back_to_the_embedded_scorer() {
    let config = format!(
        "{}[models.default]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]",
        upstream("up", "cohere", "http://127.0.0.1:1")
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank("capital of Korea", &["Busan is a port", "Seoul is the capital of Korea"]).await;
    assert_eq!(order(&answer), [1, 0]);
    assert_eq!(provenance(&answer)["score_scale"], "lexical");
}

#[tokio::test]
async fn failure_of_all_targets_reports_the_first_error_then_the_others() {
    let (first, second) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    first.then([Reply::status_after(429, "retry-after", "9")]);
    second.then([Reply::status(401)]);
    let gateway = gateway_with_two_targets(&first, &second, "").await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers["retry-after"], "9");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("first answered with status 429")
            && detail.contains("; then second answered with status 401"),
        "{detail}"
    );
}

/// Law 8: a degraded answer says so, holds every document in input order, invents no score and is never cached.
#[tokio::test]
async fn law_8_original_order_marks_answer_degraded_and_caches_nothing() {
    let fake = FakeUpstream::scripted("cohere", vec![Reply::status(503); 3]).await;
    let config = format!(
        "{}{}on_failure = 'original_order'",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let body =
        json!({"query": "q", "documents": ["b", {"id": 7, "text": "a"}, "b"], "top_n": 1, "return_documents": true});
    let answer = gateway.rerank_with(body.clone()).await;
    assert_eq!(order(&answer), [0, 1, 2], "every document, whatever top_n says");
    for result in answer["results"].as_array().unwrap() {
        assert_eq!(result["relevance_score"], Value::Null);
    }
    assert_eq!(answer["results"][1]["id"], 7);
    assert_eq!(answer["results"][1]["document"], json!({"id": 7, "text": "a"}));
    assert_eq!(provenance(&answer)["reranked"], false);
    assert_eq!(provenance(&answer)["degraded"], json!(["upstream_unavailable"]));
    assert_eq!(provenance(&answer)["pairs"]["unscored"], 3);
    assert_eq!(provenance(&answer)["upstream"], Value::Null);
    assert_eq!(
        gateway.metric("rerank_degraded_answers_total{model=\"default\",reason=\"upstream_unavailable\"}").await,
        1.0
    );
    assert_eq!(
        gateway.metric("rerank_requests_total{model=\"default\",dialect=\"native\",outcome=\"degraded\"}").await,
        1.0
    );

    let healthy = gateway.rerank_with(body).await;
    assert_eq!(provenance(&healthy)["reranked"], true);
    assert_eq!(provenance(&healthy)["pairs"]["hit"], 0, "nothing of it was cached");
    assert_eq!(healthy["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn original_order_still_rejects_invalid_requests() {
    let config = "[models.default]\ntargets = [{ upstream = 'local' }]\non_failure = 'original_order'";
    let gateway = Gateway::start(config).await;
    assert_eq!(gateway.try_rerank(json!({"query": "", "documents": ["a"]})).await.status, 400);
    assert_eq!(gateway.try_rerank(json!({"query": "q", "documents": ["a"], "model": "nope"})).await.status, 404);
}

#[tokio::test]
async fn usage_includes_tokens_of_the_failed_target() {
    let first = FakeUpstream::scripted("tei", [Reply::Score, Reply::rejected()]).await;
    let config = format!(
        "{}max_passages = 1\nmax_concurrency = 1\n[models.default]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]",
        upstream("up", "tei", &first.url())
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank("q", &["a", "b"]).await;
    assert_eq!(provenance_upstream(&answer), "local");
    assert_eq!(answer["usage"]["total_tokens"], 17);
}

/// A silent upstream is detected even if deadlines are shorter than `attempt_timeout`.
#[tokio::test]
async fn silent_upstream_opens_circuit_without_an_attempt_timeout() {
    let first = FakeUpstream::start("cohere").await;
    let config = format!(
        "{}[models.default]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]",
        upstream("up", "cohere", &first.url())
    );
    let gateway = Gateway::start(&config).await;
    let known = 20; // calls after which it is known what is usual
    for index in 0..known {
        gateway.rerank(&format!("well {index}"), &["a"]).await;
    }
    first.hold();
    for index in 0..7 {
        let body = json!({"query": index.to_string(), "documents": ["a"], "timeout_ms": 400});
        assert_eq!(provenance_upstream(&gateway.rerank_with(body).await), "local");
    }
    assert_eq!(first.calls().len(), known + 5, "then it is left alone");
    assert_eq!(gateway.metric("rerank_upstream_circuit_open{upstream=\"up\"}").await, 1.0);
}

#[tokio::test]
async fn clients_that_leave_do_not_open_the_circuit() {
    let first = FakeUpstream::start("cohere").await;
    first.hold();
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &first.url()).await;
    for index in 0..9 {
        let body = json!({"query": index.to_string(), "documents": ["a"]}).to_string();
        let client = tokio::spawn(gateway.post("/rerank").body(body).send());
        first.wait_for_arrivals(index + 1).await;
        client.abort();
        first.wait_for_departures(index + 1).await;
    }
    first.release();
    gateway.rerank("q", &["a"]).await;
}
