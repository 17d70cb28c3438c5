//! The money of an answer: what it cost, and what known scores saved, in the unit in which the provider bills.

use serde_json::{Value, json};

use crate::support::{FakeUpstream, Gateway, provenance};

/// The documents `d0` to `d(count - 1)`.
fn documents(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("d{number}")).collect()
}

async fn cost_of(gateway: &Gateway, query: &str, documents: &[String]) -> Value {
    let answer = gateway.rerank_with(json!({ "query": query, "documents": documents })).await;
    provenance(&answer)["cost"].clone()
}

fn assert_amounts(cost: &Value, spent_usd: f64, saved_usd: f64) {
    for (name, expected) in [("spent_usd", spent_usd), ("saved_usd", saved_usd)] {
        let amount = cost[name].as_f64().unwrap();
        assert!((amount - expected).abs() < 1e-12, "{name} of {cost}, not {expected}");
    }
}

#[tokio::test]
async fn known_pairs_save_whole_units_where_a_search_is_billed() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let cold = cost_of(&gateway, "q", &documents(99)).await;
    assert_amounts(&cold, 0.002, 0.0);
    assert_eq!(cold["saved_is_estimate"], false);
    assert_eq!(cold["currency"], "USD");
    assert_eq!(cold["price_date"], "2026-11-23");
    assert_amounts(&cost_of(&gateway, "q", &documents(100)).await, 0.002, 0.0); // 99 known and a new one: a whole unit
    assert_amounts(&cost_of(&gateway, "q", &documents(100)).await, 0.0, 0.002); // a whole answer
    assert_amounts(&cost_of(&gateway, "q", &documents(250)).await, 0.004, 0.002); // 100 of 250: a started hundred
    let models: Value = serde_json::from_str(&gateway.get_text("/v1/models/default").await).unwrap();
    assert_amounts(&models["cost"], 0.008, 0.004);
}

#[tokio::test]
async fn each_known_pair_saves_its_tokens_where_tokens_are_billed() {
    let fake = FakeUpstream::start("voyage").await;
    let gateway = Gateway::in_front_of("voyage", "rerank-2.5", &fake.url()).await;
    let query = "four bytes a token, 32 in all ..";
    let passages = vec!["a".repeat(48), "b".repeat(168)];
    assert_amounts(&cost_of(&gateway, query, &passages[..1]).await, 0.5e-6, 0.0);
    let mixed = cost_of(&gateway, query, &passages).await;
    assert_amounts(&mixed, 0.5e-6, 20.0 * 0.05e-6); // the query's 8 tokens and the passage's 12
    assert_eq!(mixed["saved_is_estimate"], true);
}

#[tokio::test]
async fn long_documents_make_the_saved_units_an_estimate() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    // Of 1,000 tokens each, so that 50 of them and one more may count as 102 documents.
    let long: Vec<_> = (0..51).map(|number| format!("{number:03}{}", "x".repeat(3_990))).collect();
    cost_of(&gateway, "q", &long[..50]).await;
    let mixed = cost_of(&gateway, "q", &long).await;
    assert_amounts(&mixed, 0.002, 0.002);
    assert_eq!(mixed["saved_is_estimate"], true);
}

#[tokio::test]
async fn unknown_price_is_null_and_no_price_is_zero() {
    let fake = FakeUpstream::start("jina").await;
    let gateway = Gateway::in_front_of("jina", "jina-colbert-v2", &fake.url()).await;
    for _ in 0..2 {
        let cost = cost_of(&gateway, "q", &documents(2)).await;
        assert_eq!((&cost["saved_usd"], &cost["price_date"]), (&Value::Null, &Value::Null));
    }
    let local = gateway.rerank_with(json!({ "query": "q", "documents": ["a"], "model": "local/lexical" })).await;
    assert_amounts(&provenance(&local)["cost"], 0.0, 0.0);
}
