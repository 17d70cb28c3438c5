//! The embedded lexical scorer: deterministic, and named in the answer.

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, order, provenance};

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

/// A refund passage for "get my money back" had 0.0000, like the two beside it, in silence.
#[tokio::test]
async fn answer_without_a_shared_word_warns_once_and_names_the_way_out() {
    let documents =
        ["We refund purchases within 30 days.", "Opening hours are nine to five.", "Our office is in Busan."];
    let told = async |config: &str, body: Value| {
        let answer = Gateway::start(config).await.rerank_with(body).await;
        let warnings: Vec<String> = serde_json::from_value(provenance(&answer)["warnings"].clone()).unwrap();
        warnings
    };
    let vain = json!({"query": "get my money back", "documents": documents, "top_n": 1});
    let warnings = told("", vain.clone()).await;
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let begin = "no document shares a word with the query, so local/lexical scored all of them 0 and left them in input order; ";
    assert!(warning.starts_with(begin), "{warning}");
    #[cfg(feature = "cross-encoder")]
    {
        assert!(warning.contains("`rerankd model fetch`"), "{warning}");
        let declined = told("[local]\nmodel_dir = 'none'", vain).await;
        assert!(
            declined[0].contains("`rerankd model fetch`") && declined[0].contains("local.model_dir"),
            "{declined:?}"
        );
    }
    // The English weights would be of no use for it.
    let other = told("", json!({"query": "환불 방법", "documents": documents})).await;
    assert!(other[0].starts_with(begin) && other[0].contains("local.scripts = \"any\""), "{other:?}");
    assert!(told("", json!({"query": "refund purchases", "documents": documents})).await.is_empty());
}

/// The same from the cache, and as the fallback of a provider.
#[tokio::test]
async fn warning_without_a_shared_word_is_given_again_from_the_cache_and_by_a_fallback() {
    let fake = FakeUpstream::scripted("cohere", [Reply::status(500)]).await;
    let config = format!(
        "{}max_attempts = 1\n{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5"), ("local", "lexical")])
    );
    let gateway = Gateway::start(&config).await;
    for model in ["default", "local/lexical"] {
        let body = json!({"model": model, "query": "money back", "documents": ["refund", "hours"]});
        let answer = gateway.rerank_with(body).await;
        let warnings = provenance(&answer)["warnings"].to_string();
        assert_eq!(warnings.matches("no document shares a word").count(), 1, "{model}: {warnings}");
    }
}
