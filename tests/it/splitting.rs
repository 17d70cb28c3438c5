//! Batches over a provider's limits are split, in parallel, and the answer is that of one call.

use serde_json::json;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, order, provenance, score_of, scores};

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("passage {index}")).collect()
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn tei_list_of_100_is_sent_as_concurrent_calls_of_at_most_32() {
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
async fn calls_beyond_max_concurrency_wait() {
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
async fn voyage_token_cap_splits_long_lists() {
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
async fn scores_of_successful_calls_are_kept_when_another_call_fails() {
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
async fn law_5_blank_passages_rank_last_and_have_null_score_on_logit_scale() {
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

#[tokio::test]
async fn chunk_max_scores_a_long_passage_by_its_best_chunk() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "{}long_passages = 'chunk_max'\nmax_passage_tokens = 16\n{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let long = (0..40).map(|index| format!("word{index} ")).collect::<Vec<_>>().concat();
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["short", long, "short"]})).await;
    let sent = fake.passages();
    assert_eq!(sent[0], "short");
    assert_eq!(sent[1..].concat(), long, "nothing is lost");
    let best = sent[1..].iter().map(|chunk| score_of("q", chunk)).fold(0.0, f64::max);
    let found = scores(&answer);
    assert!(found.contains(&(1, best)) && found.contains(&(0, score_of("q", "short"))), "{found:?}");
    let pairs = provenance(&answer)["pairs"]["total"].as_u64().unwrap();
    assert_eq!(usize::try_from(pairs).unwrap(), sent.len(), "a chunk is a pair");
    // Chunks are cached one by one: the same passage with a new end sends its end alone.
    let longer = format!("{long}and a new end that makes one more chunk of its own");
    gateway.rerank_with(json!({"query": "q", "documents": [longer]})).await;
    assert!(fake.calls()[1].passages().len() < sent.len() - 1, "{:?}", fake.calls()[1].passages());
}

#[tokio::test]
async fn truncate_sends_only_the_start_of_a_long_passage() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "{}long_passages = 'truncate'\nmax_passage_tokens = 16\n{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let long = "some words of a long passage ".repeat(9);
    let answer = gateway.rerank_with(json!({"query": "q", "documents": [long]})).await;
    let sent = fake.passages();
    assert!(sent.len() == 1 && long.starts_with(&sent[0]) && sent[0].len() < 48, "{sent:?}");
    assert_eq!(scores(&answer), [(0, score_of("q", &sent[0]))]);
}

/// Law 3: what a listwise model reads is its whole list.
#[tokio::test]
async fn law_3_listwise_passages_are_never_chunked() {
    let fake = FakeUpstream::start("jina").await;
    let config = format!(
        "{}long_passages = 'chunk_max'\nmax_passage_tokens = 16\n{}",
        upstream("up", "jina", &fake.url()),
        targets("default", &[("up", "jina-reranker-v3")])
    );
    let gateway = Gateway::start(&config).await;
    let long = "some words of a long passage ".repeat(9);
    gateway.rerank_with(json!({"query": "q", "documents": [long]})).await;
    assert_eq!(fake.passages(), [long]);
}

#[tokio::test]
async fn refused_call_is_split_and_limit_learned_after_two_refusals() {
    let fake = FakeUpstream::start("tei").await;
    let body = r#"{"error":"batch size 8 > maximum allowed batch size 5","error_type":"Validation"}"#;
    fake.refuse_if(|call| call.passages().len() > 5, Reply::Status(422, Vec::new(), body.into()));
    let gateway = Gateway::in_front_of("tei", "tei", &fake.url()).await;
    let texts = texts(8);
    for (query, sizes) in [("q", vec![8, 5, 3]), ("another", vec![8, 5, 3]), ("a third", vec![5, 3])] {
        let before = fake.calls().len();
        let answer = gateway.rerank(query, &refs(&texts)).await;
        assert_eq!(scores(&answer), expected(query, &refs(&texts)));
        assert_eq!(provenance(&answer)["degraded"], json!([]));
        let asked: Vec<_> = fake.calls()[before..].iter().map(|call| call.passages().len()).collect();
        assert_eq!(asked, sizes, "{query}");
    }
    // The upstream is well: no retry, no open circuit.
    assert_eq!(gateway.metric("rerank_upstream_retries_total{upstream=\"up\"}").await, 0.0);
}

#[tokio::test]
async fn law_5_one_passage_that_is_too_large_does_not_fail_the_others() {
    let fake = FakeUpstream::start("cohere").await;
    fake.refuse_over(40);
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let poison = "x".repeat(60);
    let mut texts = texts(9);
    texts[4] = poison;
    let request = gateway.post("/rerank").body(json!({"query": "q", "documents": texts, "explain": true}).to_string());
    let answer = gateway.send(request).await;
    assert_eq!(answer.headers["x-rerankd-degraded"], "passages_refused");
    let results = answer.body["results"].as_array().unwrap();
    let last = results.last().unwrap();
    assert_eq!(
        (&last["index"], &last["relevance_score"], &last["source"]),
        (&json!(4), &json!(null), &json!("refused"))
    );
    let right = expected("q", &refs(&texts));
    for result in &results[..8] {
        assert!(right.contains(&(result["index"].as_u64().unwrap(), result["relevance_score"].as_f64().unwrap())));
    }
    assert_eq!(provenance(&answer.body)["pairs"]["unscored"], 1);
    assert!(provenance(&answer.body)["warnings"][0].as_str().unwrap().contains("stand last"), "{}", answer.body);
}

#[tokio::test]
async fn list_refused_as_a_whole_returns_upstream_rejected_within_64_calls() {
    let fake = FakeUpstream::start("cohere").await;
    fake.refuse_over(0);
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let texts = texts(500);
    let answer = gateway.try_rerank(json!({"query": "q", "documents": texts})).await;
    assert_eq!(answer.body["code"], "upstream_rejected");
    assert!(fake.calls().len() <= 64, "{} calls", fake.calls().len());
}

/// One large request takes its turn with others instead of filling the queue and being turned away by it.
#[tokio::test]
async fn request_of_more_calls_than_queue_capacity_is_answered() {
    let fake = FakeUpstream::start("tei").await;
    let config = format!(
        "{}max_concurrency = 2\nmax_queue = 1\nmax_passages = 1\n{}",
        upstream("up", "tei", &fake.url()),
        targets("default", &[("up", "tei")])
    );
    let gateway = Gateway::start(&config).await;
    let texts = texts(30);
    assert_eq!(scores(&gateway.rerank("q", &refs(&texts)).await), expected("q", &refs(&texts)));
    assert_eq!(fake.calls().len(), 30);
}

#[tokio::test]
async fn law_5_many_passages_that_are_too_large_do_not_fail_the_others() {
    let fake = FakeUpstream::start("cohere").await;
    fake.refuse_over(400);
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let mut texts = texts(100);
    let poison = [3, 17, 18, 40, 55, 71, 72, 73, 90, 99];
    for index in poison {
        texts[index] = format!("{index} {}", "x".repeat(500));
    }
    let answer = gateway.rerank("q", &refs(&texts)).await;
    assert_eq!(provenance(&answer)["degraded"], json!(["passages_refused"]));
    let last: Vec<_> = order(&answer)[90..].iter().map(|index| usize::try_from(*index).unwrap()).collect();
    assert_eq!(last, poison);
}
