//! Selectors: models that name the passages that they pick, and give no scores.

use serde_json::{Value, json};

use crate::support::gateway::{NO_BREAKER, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, order, provenance};

/// A provider's model as a selector. Its wire shape has a score, which is that of the pick's rank.
pub(crate) const PICKER: &str = "[providers.cohere.models.picker]\nscoring = 'selector'\n";

/// A reply that picks these positions, best first.
pub(crate) fn picks(positions: &[usize]) -> Reply {
    let mut results = Vec::new();
    for (rank, position) in positions.iter().enumerate() {
        results.push(json!({"index": position, "relevance_score": 1.0 / f64::from(u32::try_from(rank).unwrap() + 1)}));
    }
    Reply::body(json!({ "results": results }).to_string())
}

async fn selector_before(fake: &FakeUpstream, more: &str) -> Gateway {
    let up = upstream("up", "cohere", &fake.url());
    Gateway::start(&format!("{NO_BREAKER}{PICKER}{up}{more}{}", targets("default", &[("up", "picker")]))).await
}

fn nulls(answer: &Value) -> bool {
    answer["results"].as_array().unwrap().iter().all(|result| result["relevance_score"] == Value::Null)
}

#[tokio::test]
async fn picks_come_first_in_their_order_without_scores_and_the_rest_in_input_order() {
    let fake = FakeUpstream::scripted("cohere", [picks(&[3, 1])]).await;
    let gateway = selector_before(&fake, "").await;
    let answer = gateway.rerank("q", &["a", "b", "c", "d", "e"]).await;
    assert_eq!(order(&answer), [3, 1, 0, 2, 4]);
    assert!(nulls(&answer), "{answer}");
    assert_eq!(provenance(&answer)["score_scale"], "none");
    assert_eq!(provenance(&answer)["reranked"], true);
    assert_eq!(provenance(&answer)["degraded"], json!([]));
    let models: Value = serde_json::from_str(&gateway.get_text("/v1/models/default").await).unwrap();
    assert_eq!(models["score_scale"], "none");
    let cut = json!({"query": "q", "documents": ["a", "b", "c", "d", "e"], "top_n": 3, "raw_scores": true});
    let answer = gateway.rerank_with(cut).await;
    assert_eq!(order(&answer), [3, 1, 0], "the same list is known, whatever is cut");
    assert!(nulls(&answer), "{answer}");
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn a_selection_of_nothing_leaves_the_input_order() {
    let fake = FakeUpstream::scripted("cohere", [picks(&[])]).await;
    let gateway = selector_before(&fake, "").await;
    let answer = gateway.rerank("q", &["a", "b"]).await;
    assert_eq!((order(&answer), nulls(&answer)), (vec![0, 1], true));
    assert_eq!(provenance(&answer)["reranked"], true);
}

/// Law 3: a selection holds for its list alone.
#[tokio::test]
async fn law_3_selections_are_cached_by_the_whole_list_and_never_by_pair() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(picks(&[1])));
    let gateway = selector_before(&fake, "").await;
    for (documents, calls) in
        [(&["a", "b", "b"][..], 1), (&["a", "b", "b"], 1), (&["a", "b"], 2), (&["b", "a"], 3), (&["a", "b", "b"], 3)]
    {
        let answer = gateway.rerank("q", documents).await;
        assert_eq!(order(&answer)[0], 1);
        assert_eq!(fake.calls().len(), calls, "{documents:?}");
    }
    assert_eq!(fake.calls()[0].passages(), ["a", "b", "b"], "equal documents are part of the list");
}

#[tokio::test]
async fn a_list_over_max_passages_is_refused_and_never_split() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = selector_before(&fake, "max_passages = 2\n").await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a", "b", "c"]})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("too_many_documents")));
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("picks from a list as a whole and takes at most 2 documents at once"), "{detail}");
    assert!(!detail.contains("pointwise"), "{detail}");
    assert!(fake.calls().is_empty());
}

/// Law 6: what a selector names was sent, and is named once. Documents that it does not name are no fault.
#[tokio::test]
async fn law_6_picks_that_were_not_sent_or_come_twice_are_refused() {
    for (positions, fault) in [(&[0, 2][..], "index 2 was never sent"), (&[1, 0, 1], "index 1 came back twice")] {
        let fake = FakeUpstream::start("cohere").await;
        fake.answer_always(Some(picks(positions)));
        let gateway = selector_before(&fake, "max_attempts = 1\n").await;
        let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a", "b"]})).await;
        assert_eq!(answer.body["code"], "upstream_invalid_reply");
        assert!(answer.body["detail"].as_str().unwrap().contains(fault), "{}", answer.body);
    }
}

#[tokio::test]
async fn law_5_blank_documents_that_are_not_sent_stand_last() {
    let fake = FakeUpstream::scripted("cohere", [picks(&[1])]).await;
    let config = format!(
        "[providers.cohere]\nblank_passages = 'rejected'\n{PICKER}{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "picker")])
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank("q", &[" ", "a", "b"]).await;
    assert_eq!((order(&answer), nulls(&answer)), (vec![2, 1, 0], true));
    assert_eq!(fake.calls()[0].passages(), ["a", "b"]);
}

#[tokio::test]
async fn an_explanation_tells_why_there_is_no_score() {
    let fake = FakeUpstream::scripted("cohere", [picks(&[1])]).await;
    let gateway = selector_before(&fake, "").await;
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["a", "b"], "explain": true})).await;
    let results = answer["results"].as_array().unwrap();
    assert_eq!((&results[0]["index"], &results[0]["explain"]["picked"]), (&json!(1), &json!(true)));
    assert_eq!((&results[1]["index"], &results[1]["explain"]["picked"]), (&json!(0), &json!(false)));
    assert!(nulls(&answer), "{answer}");
    let warnings = provenance(&answer)["warnings"].to_string();
    assert!(warnings.contains("up/picker is a selector: it picks documents and gives no scores"), "{warnings}");
}

/// A selector is a fallback like any other, and no model of scores is one of its score space.
#[tokio::test]
async fn a_selector_and_a_model_of_scores_stand_in_for_each_other_by_whole_answers() {
    let fake = FakeUpstream::scripted("cohere", [Reply::status(500), Reply::Score]).await;
    let up = upstream("up", "cohere", &fake.url());
    let chain = targets("default", &[("up", "picker"), ("up", "rerank-v3.5")]);
    let gateway = Gateway::start(&format!("{NO_BREAKER}{PICKER}{up}max_attempts = 1\n{chain}")).await;
    let answer = gateway.rerank("q", &["a", "b"]).await;
    assert_eq!((&provenance(&answer)["score_scale"], nulls(&answer)), (&json!("probability"), false));
    fake.then([picks(&[1])]);
    let answer = gateway.rerank("q", &["a", "b"]).await;
    assert_eq!((&provenance(&answer)["score_scale"], nulls(&answer)), (&json!("none"), true));
}
