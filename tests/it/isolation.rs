//! Law 13: one caller's requests change another's answers, calls and cost only through capacity.

use std::time::Duration;

use serde_json::json;

use crate::support::{FakeUpstream, Gateway, expected, provenance, scores};

/// Seconds that a slow provider takes: more than an impatient caller has, far less than a patient one.
const SLOW: Duration = Duration::from_millis(400);

/// A gateway before one slow provider.
async fn slow() -> (FakeUpstream, Gateway) {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_late(SLOW);
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    (fake, gateway)
}

/// A caller whose own deadline is shorter than what the provider takes gets no answer.
async fn ask_impatiently(gateway: &Gateway, query: String, milliseconds: u64) {
    let body = json!({"query": query, "documents": ["a"], "timeout_ms": milliseconds});
    let answer = gateway.try_rerank(body).await;
    assert!(
        ["deadline_exceeded", "upstream_circuit_open"].contains(&answer.body["code"].as_str().unwrap()),
        "{answer:?}"
    );
}

/// Attack 3: the deadlines of one caller opened the circuit for all.
#[tokio::test]
async fn law_13_a_callers_own_deadlines_are_no_failures_of_the_provider() {
    let (fake, gateway) = slow().await;
    for index in 0..3 {
        // More than a second, after which silence used to be a failure where nothing is known; the provider takes longer still.
        fake.answer_late(4 * SLOW);
        let asking = (0..4).map(|each| ask_impatiently(&gateway, format!("impatient {index} {each}"), 1_010));
        futures_util::future::join_all(asking.collect::<Vec<_>>()).await;
        fake.answer_late(SLOW);
        let answer = gateway.rerank(&format!("patient {index}"), &["a", "b"]).await;
        assert_eq!(scores(&answer), expected(&format!("patient {index}"), &["a", "b"]));
        assert_eq!(provenance(&answer)["attempts"], 1);
        assert_eq!(gateway.metric("rerank_upstream_circuit_open{upstream=\"up\"}").await, 0.0);
        assert_eq!(gateway.metric("rerank_upstream_concurrency_limit{upstream=\"up\"}").await, 64.0);
    }
}
