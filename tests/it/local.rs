//! The embedded lexical scorer: deterministic, and named in the answer.

use serde_json::json;

use crate::support::{Gateway, order, provenance};

#[tokio::test]
async fn default_configuration_answers_with_the_lexical_scorer() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "fast charging of batteries", "documents": ["A cake recipe", "Batteries that charge fast"], "instruction": "i"});
    let cold = gateway.rerank_with(body.clone()).await;
    assert_eq!(cold["results"][0]["index"], 1);
    assert_eq!(provenance(&cold)["upstream"], "local");
    assert_eq!(provenance(&cold)["upstream_model"], "lexical");
    assert_eq!(provenance(&cold)["score_scale"], "lexical");
    assert_eq!(provenance(&cold)["cost"]["spent_usd"], 0.0);
    assert_eq!(provenance(&cold)["warnings"], json!(["local/lexical takes no instruction; it was ignored"]));
    let warm = gateway.rerank_with(body).await;
    assert_eq!(warm["results"], cold["results"], "law 7");
    assert_eq!(provenance(&warm)["pairs"]["hit"], 2);
}

#[tokio::test]
async fn overlong_passage_is_scored_by_its_first_256_kib_with_a_warning() {
    let gateway = Gateway::start("").await;
    let long = format!("apple {}needle", "\u{AC00}\u{B098} ".repeat(100_000));
    let answer = gateway.rerank("needle", &[&long, "a needle"]).await;
    assert_eq!(order(&answer), [1, 0]);
    assert_eq!(answer["results"][1]["relevance_score"], 0.0);
    let told = "local/lexical reads the first 262144 bytes of a document; 1 is longer";
    assert_eq!(provenance(&answer)["warnings"], json!([told]));
}
