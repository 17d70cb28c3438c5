//! Batches over a provider's limits are split, in parallel, and the answer is that of one call.

use serde_json::json;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, provenance, scores};

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("passage {index}")).collect()
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn tei_gets_at_most_its_32_passages_a_call_and_all_calls_at_once() {
    let fake = FakeUpstream::start("tei").await;
    let gateway = Gateway::in_front_of("tei", "tei", &fake.url()).await;
    let texts = texts(100);
    fake.hold();
    let asking = async { gateway.rerank("q", &refs(&texts)).await };
    let answering = async {
        fake.wait_for_arrivals(4).await; // all four are under way together
        fake.release();
    };
    let (answer, ()) = tokio::join!(asking, answering);
    let mut sizes: Vec<_> = fake.calls().iter().map(|call| call.passages().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [4, 32, 32, 32]);
    assert_eq!(scores(&answer), expected("q", &refs(&texts)));
    assert_eq!(provenance(&answer)["attempts"], 4);
    assert_eq!(answer["usage"]["total_tokens"], 4 * 17);
}

#[tokio::test]
async fn calls_wait_for_the_upstreams_concurrency_limit() {
    let fake = FakeUpstream::start("tei").await;
    let config = format!(
        "{}max_concurrency = 2\nmax_passages = 10\n{}",
        upstream("up", "tei", &fake.url()),
        targets("default", &[("up", "tei")])
    );
    let gateway = Gateway::start(&config).await;
    let texts = texts(60);
    fake.hold();
    let asking = async { gateway.rerank("q", &refs(&texts)).await };
    let answering = async {
        fake.wait_for_arrivals(2).await;
        // Nothing more arrives while both places are taken: give it every chance.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(fake.calls().len(), 2);
        fake.release();
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(fake.calls().len(), 6);
    assert_eq!(scores(&answer), expected("q", &refs(&texts)));
}

#[tokio::test]
async fn voyages_cap_on_tokens_splits_long_lists() {
    let fake = FakeUpstream::start("voyage").await;
    let gateway = Gateway::in_front_of("voyage", "rerank-2.5", &fake.url()).await;
    // 300 passages of about 4,000 estimated tokens are twice what one call may hold.
    let texts: Vec<_> = (0..300).map(|index| format!("{index} {}", "word ".repeat(2_400))).collect();
    let answer = gateway.rerank("q", &refs(&texts)).await;
    let calls = fake.calls();
    assert_eq!(calls.len(), 3, "{:?}", calls.iter().map(|call| call.passages().len()).collect::<Vec<_>>());
    assert_eq!(scores(&answer), expected("q", &refs(&texts)));
    assert_eq!(answer["usage"]["total_tokens"], 3_000, "usage is added up");
}

#[tokio::test]
async fn a_listwise_list_is_never_split() {
    let fake = FakeUpstream::start("jina").await;
    let config = format!(
        "{}max_passages = 10\n{}",
        upstream("up", "jina", &fake.url()),
        targets("default", &[("up", "jina-reranker-v3")])
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": texts(11)})).await;
    assert_eq!(answer.body["code"], "too_many_documents");
    assert!(answer.body["detail"].as_str().unwrap().contains("at most 10"), "{}", answer.body);
    assert!(fake.calls().is_empty());
    gateway.rerank("q", &refs(&texts(10))).await;
}

#[tokio::test]
async fn what_good_calls_brought_is_kept_when_another_fails() {
    let fake = FakeUpstream::start("tei").await;
    let config = format!(
        "{}max_concurrency = 1\nmax_passages = 2\nmax_attempts = 1\n{}",
        upstream("up", "tei", &fake.url()),
        targets("default", &[("up", "tei")])
    );
    let gateway = Gateway::start(&config).await;
    fake.then([Reply::Score, Reply::status(500)]);
    let body = json!({"query": "q", "documents": ["a", "b", "c", "d"]});
    assert_eq!(gateway.try_rerank(body.clone()).await.status, 502);
    let answer = gateway.rerank_with(body).await;
    assert_eq!(provenance(&answer)["pairs"]["hit"], 2);
    assert_eq!(scores(&answer), expected("q", &["a", "b", "c", "d"]));
}

/// Law 5: blank passages and very long ones keep their index and never fail the batch.
#[tokio::test]
async fn law_5_blanks_and_duplicates_keep_their_index() {
    for provider in ["cohere", "tei"] {
        let fake = FakeUpstream::start(provider).await;
        let model = if provider == "cohere" { "rerank-v3.5" } else { "tei" };
        let gateway = Gateway::in_front_of(provider, model, &fake.url()).await;
        let answer = gateway.rerank("q", &["a", "", "a", " \n"]).await;
        let found = scores(&answer);
        let mut indices: Vec<_> = found.iter().map(|(index, _)| *index).collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2, 3], "{provider}");
        if provider == "cohere" {
            assert_eq!(fake.passages(), ["a"], "cohere refuses blank documents");
            assert_eq!(found[2..], [(1, 0.0), (3, 0.0)]);
            assert_eq!(provenance(&answer)["pairs"]["unscored"], 2);
            assert!(provenance(&answer)["warnings"][0].as_str().unwrap().contains("blank"));
        } else {
            assert_eq!(fake.passages(), ["a", "", " \n"]);
        }
    }
}

#[tokio::test]
async fn law_5_blanks_stand_last_among_equals_and_have_no_score_on_a_scale_without_a_floor() {
    let reply = |score: f64| Reply::body(json!({"results": [{"index": 0, "relevance_score": score}]}).to_string());
    let fake = FakeUpstream::scripted("cohere", [reply(0.0), reply(-3.5)]).await;
    let config = format!(
        "{}[providers.cohere.models.logits]\nscoring = 'pointwise'\nscale = 'logit'\n{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")]),
        targets("logits", &[("up", "logits")])
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank("q", &["", "x"]).await;
    assert_eq!(scores(&answer), [(1, 0.0), (0, 0.0)]);
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["", "x"], "model": "logits"})).await;
    assert_eq!(crate::support::order(&answer), [1, 0]);
    assert_eq!(answer["results"][1]["relevance_score"], serde_json::Value::Null);
}
