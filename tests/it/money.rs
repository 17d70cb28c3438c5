//! The money of an answer: what it cost, and what known scores saved, in the unit in which the provider bills.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, expected, provenance, scores};

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

/// A gateway whose scores are due for a free refresh after half a second.
async fn refreshing(fake: &FakeUpstream, model: &str) -> Gateway {
    let target = targets("default", &[("up", model)]);
    let config =
        format!("[cache]\nttl = '1s'\nrefresh_ahead = 'free'\n{}{target}", upstream("up", "cohere", &fake.url()));
    Gateway::start(&config).await
}

/// Asks for `a`, `b` and a new passage, time and again, until `a` and `b` are known and the call for the new passage
/// takes some of them along. Returns the passages of that call, and the answer.
async fn first_free_refresh(fake: &FakeUpstream, gateway: &Gateway) -> (Vec<String>, Value) {
    let asking = async {
        for number in 0.. {
            let new = format!("new {number}");
            let calls = fake.calls().len();
            let answer = gateway.rerank("q", &["a", &new, "b"]).await;
            let call = fake.calls()[calls].passages();
            if provenance(&answer)["pairs"]["hit"] == 2 && call.len() > 1 {
                assert_eq!(scores(&answer), expected("q", &["a", &new, "b"]));
                return (call, answer);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        unreachable!("the loop has no end");
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("known pairs are sent along")
}

#[tokio::test]
async fn paid_unit_takes_known_pairs_along_and_charges_no_more() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = refreshing(&fake, "rerank-v3.5").await;
    let (sent, answer) = first_free_refresh(&fake, &gateway).await;
    assert!(sent[0].starts_with("new "), "{sent:?}");
    assert!(sent[1..].iter().all(|passage| passage == "a" || passage == "b"), "{sent:?}");
    assert_eq!(provenance(&answer)["pairs"]["scored"], 1, "the refreshed ones count as hits");
    assert_amounts(&provenance(&answer)["cost"], 0.002, 0.0);
    assert!(gateway.metric("rerank_refreshed_pairs_total").await >= 1.0);
}

#[tokio::test]
async fn call_refused_with_known_pairs_is_sent_without_and_later_ones_carry_none() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = refreshing(&fake, "rerank-v3.5").await;
    gateway.rerank("q", &["a"]).await;
    gateway.rerank("q", &["b"]).await;
    fake.refuse_more_than(1);
    let (refused, answer) = first_free_refresh(&fake, &gateway).await;
    let calls = fake.calls();
    assert_eq!(calls.last().unwrap().passages(), refused[..1], "sent again without the known ones");
    assert_eq!(provenance(&answer)["degraded"], json!([]));
    for number in 0..5 {
        let before = fake.calls().len();
        let answer = gateway.rerank("q", &["a", &format!("later {number}"), "b"]).await;
        // Once they have expired they are asked for by right.
        if provenance(&answer)["pairs"]["hit"] == 2 {
            assert_eq!(fake.calls()[before..].len(), 1);
            assert_eq!(fake.calls()[before].passages().len(), 1);
        }
    }
}

#[tokio::test]
async fn no_known_pair_is_sent_along_where_tokens_are_billed() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = refreshing(&fake, "rerank-v5.0-fast").await;
    gateway.rerank("q", &["a"]).await;
    let asking = async {
        for number in 0.. {
            let before = fake.calls().len();
            let answer = gateway.rerank("q", &["a", &format!("new {number}")]).await;
            if provenance(&answer)["pairs"]["hit"] == 0 {
                return; // expired, though calls were made all the time
            }
            assert_eq!(fake.calls()[before].passages().len(), 1);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("the score expires");
}
