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
