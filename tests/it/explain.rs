//! `explain`: for each result, the text that was scored and the move in rank.

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway};

/// The explanations of an answer, by the position of the document.
fn explanations(answer: &Value) -> Vec<Value> {
    let results = answer["results"].as_array().unwrap();
    let mut by_position = vec![Value::Null; results.len()];
    for (at, result) in results.iter().enumerate() {
        let position = usize::try_from(result["index"].as_u64().unwrap()).unwrap();
        assert_eq!(result["explain"]["rank_before"], position + 1);
        assert_eq!(result["explain"]["rank_after"], at + 1);
        by_position[position] = result["explain"].clone();
    }
    by_position
}

async fn explained(gateway: &Gateway, body: Value) -> Value {
    let mut body = body;
    body["query"] = "capital of Korea".into();
    body["explain"] = true.into();
    gateway.rerank_with(body).await
}

#[tokio::test]
async fn explanation_counts_the_characters_that_rank_fields_leave() {
    let gateway = Gateway::start("").await;
    let documents = json!(["Séoul", {"title": "Seoul is a capital", "body": "and a long text"}, "The port of Busan"]);
    let body = json!({"documents": documents, "rank_fields": ["title"], "model": "local/lexical"});
    let explanations = explanations(&explained(&gateway, body).await);
    assert_eq!(explanations[0]["scored_characters"], 5);
    assert_eq!(explanations[0]["matched_words"], json!([]));
    assert_eq!(explanations[0]["truncated"], false);
    let titled = explanations[1]["scored_characters"].as_u64().unwrap();
    assert!((18..30).contains(&titled), "{titled}");
    assert_eq!(explanations[1]["matched_words"], json!(["capital"]));
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["a"], "model": "local/lexical"})).await;
    assert_eq!(answer["results"][0].get("explain"), None, "only where it is asked for");
}

#[tokio::test]
async fn explanation_names_the_cut_and_the_chunk_that_counts() {
    let fake = FakeUpstream::start("tei").await;
    let long = "words that are many and few at once ".repeat(20);
    for rule in ["truncate", "chunk_max"] {
        let config = format!(
            "{}long_passages = '{rule}'\nmax_passage_tokens = 64\n{}",
            upstream("up", "tei", &fake.url()),
            targets("default", &[("up", "m")])
        );
        let gateway = Gateway::start(&config).await;
        let answer = explained(&gateway, json!({"documents": ["short", long]})).await;
        let explanations = explanations(&answer);
        assert_eq!(explanations[0]["scored_characters"], 5);
        assert_eq!(explanations[0].get("matched_words"), None, "only of the lexical scorer");
        let scored = usize::try_from(explanations[1]["scored_characters"].as_u64().unwrap()).unwrap();
        assert!(scored < 64 * 3 && scored < long.len(), "{scored}");
        if rule == "truncate" {
            assert_eq!(explanations[1]["truncated"], true);
            assert_eq!(explanations[1].get("chunk"), None);
        } else {
            assert_eq!(explanations[1]["truncated"], false);
            let sent = fake.calls().pop().unwrap().passages();
            let chunk = &explanations[1]["chunk"];
            assert_eq!(chunk["of"], sent.len() - 1, "all but the short one are chunks");
            let best = usize::try_from(chunk["number"].as_u64().unwrap()).unwrap();
            assert_eq!(sent[best].chars().count(), scored, "the short one stands first");
        }
    }
}

#[tokio::test]
async fn explanation_of_an_answer_in_input_order_scores_nothing() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(crate::support::Reply::status(401)));
    let config = format!(
        "{}{}on_failure = 'original_order'\n",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let explanations = explanations(&explained(&gateway, json!({"documents": ["a", "b"]})).await);
    assert_eq!(explanations[1], json!({"rank_before": 2, "rank_after": 2, "scored_characters": 0, "truncated": false}));
}

/// No provider tells that it cut a passage, so of long ones nothing is known.
#[tokio::test]
async fn explanation_of_a_provider_answer_does_not_claim_that_long_passages_were_read_whole() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let documents = json!(["short", "a word or two ".repeat(200), "some words"]);
    let explanations = explanations(&explained(&gateway, json!({"documents": documents})).await);
    assert_eq!([0, 1, 2].map(|at| explanations[at]["truncated"].clone()), [json!(false), Value::Null, json!(false)]);
    assert_eq!(explanations[1]["scored_characters"], 14 * 200);
    let limited = json!({"documents": ["short", "some more words"], "max_tokens_per_doc": 3});
    let explanations = self::explanations(&explained(&gateway, limited).await);
    assert_eq!([0, 1].map(|at| explanations[at]["truncated"].clone()), [json!(false), Value::Null]);
}

/// The embedded cross-encoder knows where it cuts; in the hybrid it reads the head alone.
#[tokio::test]
async fn explanation_names_the_cut_of_the_cross_encoder() {
    let model = crate::contract::repository("tests/golden/local/tiny");
    let config = format!("[local]\nmodel_dir = '{}'\nmax_tokens = 16\nhead = 2\n", model.display());
    let gateway = Gateway::start(&config).await;
    let long = "heat ".repeat(30);
    let tail = "pump ".repeat(30);
    for (model, truncated) in [("local/cross-encoder", [false, true, true]), ("local/hybrid", [false, true, false])] {
        let body = json!({"query": "heat", "documents": ["heat", long, tail], "model": model, "explain": true});
        let answer = gateway.rerank_with(body).await;
        let explanations = explanations(&answer);
        for (explanation, truncated) in explanations.iter().zip(truncated) {
            assert_eq!(explanation["truncated"], truncated, "{model}: {answer}");
        }
        let read = explanations[1]["scored_characters"].as_u64().unwrap();
        assert_eq!(read, 12 * 5 - 1, "{model}: room for twelve words");
    }
}
