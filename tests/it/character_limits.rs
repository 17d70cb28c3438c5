//! Declared limits in characters: calls are cut by them, and nothing that is over one is sent. Characters are counted
//! and not bytes, so most letters here take three.

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, expected, order, provenance, scores};

/// A gateway before `fake`, a Cohere-like upstream of pointwise scores, with `limits` of the upstream.
async fn limited(fake: &FakeUpstream, limits: &str) -> Gateway {
    let config =
        format!("{}{limits}\n{}", upstream("up", "cohere", &fake.url()), targets("default", &[("up", "rerank-v3.5")]));
    Gateway::start(&config).await
}

/// Sizes of the calls in passages, largest first.
fn call_sizes(fake: &FakeUpstream) -> Vec<usize> {
    let mut sizes: Vec<_> = fake.calls().iter().map(|call| call.passages().len()).collect();
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    sizes
}

/// The only warning of an answer.
fn warning(answer: &Value) -> &str {
    let warnings = provenance(answer)["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings[0].as_str().unwrap()
}

#[tokio::test]
async fn calls_are_cut_by_characters_with_the_query_once_in_each() {
    let passages: Vec<_> = (0..7).map(|number| format!("{number}{}", "가".repeat(9))).collect();
    let texts: Vec<_> = passages.iter().map(String::as_str).collect();
    for (query, sizes) in [("질문", vec![3, 3, 1]), ("긴질문", vec![2, 2, 2, 1])] {
        let fake = FakeUpstream::start("cohere").await;
        let gateway = limited(&fake, "max_call_characters = 32").await;
        let answer = gateway.rerank(query, &texts).await;
        assert_eq!(call_sizes(&fake), sizes, "{query}");
        assert_eq!(scores(&answer), expected(query, &texts));
        assert_eq!(provenance(&answer)["warnings"], json!([]));
    }
}

#[tokio::test]
async fn a_passage_over_its_limit_has_no_score_and_costs_no_call() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = limited(&fake, "max_passage_characters = 20").await;
    let fits = "가".repeat(20);
    let long = "가".repeat(21);
    let answer = gateway.rerank("질문", &["a cat", &long, &fits]).await;
    assert_eq!(fake.calls().len(), 1);
    assert_eq!(fake.passages(), ["a cat", &fits]);
    assert_eq!(order(&answer).last(), Some(&1));
    assert_eq!(answer["results"][2]["relevance_score"], Value::Null);
    assert_eq!(provenance(&answer)["degraded"], json!(["passages_refused"]));
    assert_eq!(
        warning(&answer),
        "documents that were refused stand last, without a score: up takes at most 20 characters of a document \
         (upstreams.up.max_passage_characters), and one has 21; send a shorter one, or have long ones cut \
         (long_passages)"
    );
    // What was refused is not cached, and what was scored is.
    let again = gateway.rerank("질문", &["a cat", &long, &fits]).await;
    assert_eq!((fake.calls().len(), &provenance(&again)["pairs"]["hit"]), (1, &json!(2)));
    assert_eq!(again["results"], answer["results"]);
}

#[tokio::test]
async fn passages_that_are_all_over_their_limit_fail_without_a_call() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = limited(&fake, "max_passage_characters = 3").await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["four", "fives"]})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("upstream_rejected")));
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_long_passage_is_scored_by_its_chunks_where_long_passages_are_cut() {
    let fake = FakeUpstream::start("cohere").await;
    let cut = "max_passage_characters = 90\nlong_passages = 'chunk_max'\nmax_passage_tokens = 30";
    let gateway = limited(&fake, cut).await;
    let answer = gateway.rerank("word", &[&"word ".repeat(60)]).await;
    assert!(fake.passages().len() > 1 && fake.passages().iter().all(|chunk| chunk.len() <= 90));
    assert!(answer["results"][0]["relevance_score"].is_number());
    assert_eq!(provenance(&answer)["degraded"], json!([]));
}

#[tokio::test]
async fn a_listwise_list_with_a_passage_over_its_limit_is_not_sent() {
    let fake = FakeUpstream::start("jina").await;
    let config = format!(
        "{}max_passage_characters = 3\nmax_call_characters = 5\n{}",
        upstream("up", "jina", &fake.url()),
        targets("default", &[("up", "jina-reranker-v3")])
    );
    let gateway = Gateway::start(&config).await;
    let refused = gateway.try_rerank(json!({"query": "q", "documents": ["one", "four"]})).await;
    assert_eq!(refused.body["code"], "upstream_rejected");
    assert!(refused.body["detail"].as_str().unwrap().contains("the whole list"), "{}", refused.body);
    assert!(fake.calls().is_empty());
    gateway.rerank("q", &["one", "two", "six"]).await;
    assert_eq!(call_sizes(&fake), [3], "a whole list is never cut");
}

#[tokio::test]
async fn a_query_over_its_limit_fails_at_once_or_goes_to_the_next_target() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = limited(&fake, "max_query_characters = 4").await;
    let refused = gateway.try_rerank(json!({"query": "다섯글자!", "documents": ["a", "b"]})).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!("upstream_rejected")));
    assert_eq!(
        refused.body["detail"],
        "up takes at most 4 characters of a query (upstreams.up.max_query_characters), and one has 5; send a shorter \
         one"
    );
    assert!(fake.calls().is_empty());
    gateway.rerank("네글자!", &["a", "b"]).await;
    assert_eq!(fake.calls().len(), 1);

    let config = format!(
        "{}max_query_characters = 4\n[models.default]\ntargets = [{{ upstream = 'up', model = 'rerank-v3.5' }}, \
         {{ upstream = 'local', model = 'lexical' }}]\n",
        upstream("up", "cohere", &fake.url())
    );
    let falling_back = Gateway::start(&config).await;
    let answer = falling_back.rerank("a long query", &["a long answer", "b"]).await;
    assert_eq!((&provenance(&answer)["upstream"], &provenance(&answer)["fallbacks"]), (&json!("local"), &json!(1)));
    assert!(warning(&answer).contains("max_query_characters"));
    assert_eq!(fake.calls().len(), 1);
}

/// The query counts as it is sent: with the instruction that stands before it.
#[tokio::test]
async fn an_instruction_counts_with_the_query_that_it_stands_before() {
    let fake = FakeUpstream::start("voyage").await;
    let config = format!(
        "{}max_query_characters = 10\n{}",
        upstream("up", "voyage", &fake.url()),
        targets("default", &[("up", "rerank-2.5")])
    );
    let gateway = Gateway::start(&config).await;
    gateway.rerank_with(json!({"query": "query", "documents": ["a"]})).await;
    let refused = gateway.try_rerank(json!({"query": "query", "documents": ["a"], "instruction": "in order"})).await;
    assert_eq!(refused.body["code"], "upstream_rejected");
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn a_models_most_passages_win_over_its_providers_and_the_upstreams_over_both() {
    for (limits, sizes) in [("", vec![2, 2, 1]), ("max_passages = 4\n", vec![4, 1])] {
        let fake = FakeUpstream::start("cohere").await;
        let config = format!(
            "{}{limits}[providers.cohere.models.\"rerank-v3.5\"]\nmax_passages = 2\n{}",
            upstream("up", "cohere", &fake.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        let gateway = Gateway::start(&config).await;
        let answer = gateway.rerank("q", &["a", "b", "c", "d", "e"]).await;
        assert_eq!(call_sizes(&fake), sizes, "{limits}");
        assert_eq!(scores(&answer), expected("q", &["a", "b", "c", "d", "e"]));
    }
}
