//! Metrics that operators see.

use serde_json::json;

use crate::support::{FakeUpstream, Gateway, Reply};

#[tokio::test]
async fn requests_pairs_attempts_and_costs_are_counted() {
    let fake = FakeUpstream::scripted("cohere", [Reply::status(500), Reply::Score, Reply::status(401)]).await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    gateway.rerank("q", &["a", "b"]).await;
    gateway.rerank("q", &["a", "b"]).await;
    gateway.try_rerank(json!({"query": "other", "documents": ["a"]})).await;
    gateway.try_rerank(json!({"documents": []})).await;
    for (line, value) in [
        ("rerank_requests_total{model=\"default\",dialect=\"native\",outcome=\"ok\"}", 2.0),
        ("rerank_requests_total{model=\"default\",dialect=\"native\",outcome=\"upstream_unauthorized\"}", 1.0),
        ("rerank_requests_total{model=\"none\",dialect=\"native\",outcome=\"invalid_request\"}", 1.0),
        ("rerank_request_duration_seconds_count{model=\"default\"}", 3.0),
        ("rerank_requests_in_flight", 0.0),
        ("rerank_pairs_total{outcome=\"hit\"}", 2.0),
        ("rerank_pairs_total{outcome=\"scored\"}", 2.0),
        ("rerank_upstream_attempts_total{upstream=\"up\",outcome=\"ok\"}", 1.0),
        ("rerank_upstream_attempts_total{upstream=\"up\",outcome=\"upstream_unavailable\"}", 1.0),
        ("rerank_upstream_attempt_duration_seconds_count{upstream=\"up\",outcome=\"ok\"}", 1.0),
        ("rerank_upstream_retries_total{upstream=\"up\"}", 1.0),
        ("rerank_billed_units_total{upstream=\"up\",unit=\"search_units\"}", 1.0),
        ("rerank_cost_usd_total{upstream=\"up\",model=\"rerank-v3.5\"}", 0.002),
        ("rerank_saved_usd_total{upstream=\"up\",model=\"rerank-v3.5\"}", 0.002),
        ("rerank_cache_queries", 1.0),
    ] {
        assert_eq!(gateway.metric(line).await, value, "{line}");
    }
    assert!(gateway.metric("rerank_cache_size_bytes").await > 100.0);
}

#[tokio::test]
async fn invented_model_names_never_become_metric_labels() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    for model in ["up/invented-1", "invented-2", "up/rerank-v3.5"] {
        gateway.try_rerank(json!({"query": "q", "documents": ["a"], "model": model})).await;
    }
    let exposition = gateway.get_text("/metrics").await;
    assert!(!exposition.contains("invented"), "{exposition}");
    assert!(exposition.contains("model=\"up/rerank-v3.5\""));
}
