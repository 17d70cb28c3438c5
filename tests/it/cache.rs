//! Law 1 and the cache: known scores are reused, and only for the caller, model and options they belong to.

use serde_json::json;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, provenance, scores};

#[tokio::test]
async fn an_overlapping_request_sends_only_its_unknown_passages() {
    let upstream = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &upstream.url()).await;

    let first = gateway.rerank("q", &["a", "b", "a"]).await;
    assert_eq!(upstream.passages(), ["a", "b"], "equal passages are sent once");
    assert_eq!(
        provenance(&first)["pairs"],
        json!({"total": 2, "hit": 0, "coalesced": 0, "scored": 2, "stale": 0, "unscored": 0})
    );
    assert_eq!(scores(&first), expected("q", &["a", "b", "a"]));

    let second = gateway.rerank("q", &["c", "b", "a", "d"]).await;
    assert_eq!(upstream.calls()[1].passages(), ["c", "d"]);
    assert_eq!(
        provenance(&second)["pairs"],
        json!({"total": 4, "hit": 2, "coalesced": 0, "scored": 2, "stale": 0, "unscored": 0})
    );
    assert_eq!(scores(&second), expected("q", &["c", "b", "a", "d"]), "law 7: a mixed cache gives the same scores");

    let third = gateway.rerank("q", &["d", "a"]).await;
    assert_eq!(upstream.calls().len(), 2, "nothing was unknown");
    assert_eq!(scores(&third), expected("q", &["d", "a"]));
    assert_eq!(provenance(&third)["attempts"], 0);
    assert_eq!(provenance(&third)["cost"]["spent_usd"], 0.0);
    assert_eq!(third["meta"]["billed_units"]["search_units"], 0);

    assert_eq!(gateway.metric("rerank_pairs_total{outcome=\"hit\"}").await, 4.0);
    assert_eq!(gateway.metric("rerank_pairs_total{outcome=\"scored\"}").await, 4.0);
}

#[tokio::test]
async fn another_query_model_or_option_misses_the_cache() {
    let upstream = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &upstream.url()).await;
    for (calls, body) in (1..).zip([
        json!({"query": "q", "documents": ["ab", "c"]}),
        json!({"query": "q2", "documents": ["ab", "c"]}),
        json!({"query": "q", "documents": ["a", "bc"]}),
        json!({"query": "q", "documents": ["ab", "c"], "model": "up/rerank-v4.0-pro"}),
        json!({"query": "q", "documents": ["ab", "c"], "max_tokens_per_doc": 100}),
        json!({"query": "q", "documents": ["ab", "c"], "instruction": "i"}),
    ]) {
        gateway.rerank_with(body.clone()).await;
        assert_eq!(upstream.calls().len(), calls, "{body}");
        gateway.rerank_with(body.clone()).await;
        assert_eq!(upstream.calls().len(), calls, "{body} is known now");
    }
}

#[tokio::test]
async fn cache_control_directives_are_obeyed() {
    let upstream = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &upstream.url()).await;
    let send = async |directive: &str| {
        let body = json!({"query": "q", "documents": ["a"]}).to_string();
        gateway.send(gateway.post("/rerank").header("cache-control", directive).body(body)).await
    };
    let answer = send("only-if-cached").await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (504, Some("not_cached")));
    assert_eq!(upstream.calls().len(), 0);
    send("no-store").await;
    send("no-store").await;
    assert_eq!(upstream.calls().len(), 2, "nothing was kept");
    send("no-cache").await;
    assert_eq!(upstream.calls().len(), 3);
    assert_eq!(send("only-if-cached").await.status, 200, "no-cache stored it");
    send("no-cache").await;
    assert_eq!(upstream.calls().len(), 4, "no-cache scores afresh");
}

#[tokio::test]
async fn disabled_cache_scores_every_request() {
    let upstream_ = FakeUpstream::start("cohere").await;
    let config = format!(
        "[cache]\nenabled = false\n{}{}",
        upstream("up", "cohere", &upstream_.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    gateway.rerank("q", &["a"]).await;
    gateway.rerank("q", &["a"]).await;
    assert_eq!(upstream_.calls().len(), 2);
}

/// Law 1: two tenants share scores only if configured to.
#[tokio::test]
async fn law_1_callers_share_scores_only_if_configured_to() {
    for (shared, calls) in [(false, 2), (true, 1)] {
        let upstream_ = FakeUpstream::start("cohere").await;
        let config = format!(
            "[server]\napi_keys = ['env:KEY', 'env:OTHER']\n[cache]\nshared_between_callers = {shared}\n{}{}",
            upstream("up", "cohere", &upstream_.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        let gateway = Gateway::start(&config).await;
        for key in ["test-key", "other-key", "test-key"] {
            let body = json!({"query": "q", "documents": ["a"]}).to_string();
            let answer = gateway.send(gateway.post("/rerank").bearer_auth(key).body(body)).await;
            assert_eq!(answer.status, 200);
        }
        assert_eq!(upstream_.calls().len(), calls, "shared: {shared}");
    }
}

/// Law 3: unknown models count as listwise; declared ones do not.
#[tokio::test]
async fn law_3_unknown_models_are_cached_by_the_whole_list() {
    let upstream_ = FakeUpstream::start("jina").await;
    let config = format!(
        "{}[providers.jina.models.declared]\nscoring = 'pointwise'\n{}{}",
        upstream("up", "jina", &upstream_.url()),
        targets("default", &[("up", "declared")]),
        targets("undeclared", &[("up", "somebodys-model")])
    );
    let gateway = Gateway::start(&config).await;
    let rerank = async |model: &str, documents: &[&str]| {
        gateway.rerank_with(json!({"model": model, "query": "q", "documents": documents})).await
    };
    let answer = rerank("undeclared", &["a", "b", "a"]).await;
    assert_eq!(upstream_.calls()[0].passages(), ["a", "b", "a"], "duplicates are part of a list");
    assert!(provenance(&answer)["warnings"][0].as_str().unwrap().contains("declare its scoring"), "{answer}");
    rerank("undeclared", &["a", "b", "a"]).await;
    assert_eq!(upstream_.calls().len(), 1, "the same list is known");
    rerank("undeclared", &["a", "b"]).await;
    assert_eq!(upstream_.calls()[1].passages(), ["a", "b"], "another list is not");
    rerank("declared", &["a", "b"]).await;
    rerank("declared", &["b", "c"]).await;
    assert_eq!(upstream_.calls()[3].passages(), ["c"]);
}

/// Law 3: a cache too small for a whole list keeps a part of it, which is of no use: the model scores the list as a
/// whole.
#[tokio::test]
async fn law_3_partly_cached_list_is_scored_again_as_a_whole() {
    let fake = FakeUpstream::start("jina").await;
    let config = format!(
        "[cache]\nmax_bytes = 1048576\n{}max_passages = 10000\n{}",
        upstream("up", "jina", &fake.url()),
        targets("default", &[("up", "jina-reranker-v3")])
    );
    let gateway = Gateway::start(&config).await;
    let texts: Vec<_> = (0..2_500).map(|index| format!("passage {index}")).collect();
    let documents: Vec<_> = texts.iter().map(String::as_str).collect();
    for calls in 1..=2 {
        let answer = gateway.rerank("q", &documents).await;
        assert_eq!(scores(&answer), expected("q", &documents));
        assert_eq!(fake.calls().len(), calls);
        assert_eq!(fake.calls()[calls - 1].passages(), documents, "the whole list in one call");
    }
}

/// Law 3: a list that is refused for its size is an error. Two halves would have other scores.
#[tokio::test]
async fn law_3_refused_list_returns_error_without_split() {
    let too_many = json!({"message": "too many documents"}).to_string();
    for refusal in [Reply::status(413), Reply::Status(400, Vec::new(), too_many)] {
        let fake = FakeUpstream::scripted("jina", [refusal.clone()]).await;
        let gateway = Gateway::in_front_of("jina", "jina-reranker-v3", &fake.url()).await;
        let body = json!({"query": "q", "documents": ["a", "b", "c", "d"]});
        let answer = gateway.try_rerank(body.clone()).await;
        assert!(!answer.status.is_success(), "{refusal:?}: {}", answer.body);
        assert_eq!(fake.calls().len(), 1, "{refusal:?}");
        let answer = gateway.rerank_with(body).await;
        assert_eq!(scores(&answer), expected("q", &["a", "b", "c", "d"]));
        assert_eq!(provenance(&answer)["pairs"]["hit"], 0, "nothing of the refused list was kept");
        assert_eq!(fake.calls()[1].passages(), ["a", "b", "c", "d"], "and nothing was learnt that would cut it");
    }
}
