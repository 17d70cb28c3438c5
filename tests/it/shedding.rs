//! Load beyond the limits is shed at once with a `Retry-After`.

use serde_json::json;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, expected, provenance, scores};

async fn gateway(fake: &FakeUpstream, server: &str, limits: &str) -> Gateway {
    let target = targets("default", &[("up", "rerank-v3.5")]);
    Gateway::start(&format!("{server}{}{limits}{target}", upstream("up", "cohere", &fake.url()))).await
}

#[tokio::test]
async fn request_beyond_max_requests_returns_429_before_decoding() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = gateway(&fake, "[server]\nmax_requests = 2\n", "").await;
    fake.hold();
    let ask = |query: &str| {
        let request = gateway.post("/rerank").body(json!({"query": query, "documents": ["a"]}).to_string());
        tokio::spawn(async move { request.send().await.unwrap().status() })
    };
    let under_way = [ask("1"), ask("2")];
    fake.wait_for_arrivals(2).await;
    let sent_away = gateway.send(gateway.post("/tei/rerank").body("this is no JSON")).await;
    assert_eq!((sent_away.status.as_u16(), &sent_away.body["code"]), (429, &json!("overloaded")));
    assert_eq!(sent_away.body["error_type"], "Overloaded", "in the dialect of the path");
    assert_eq!(sent_away.headers["retry-after"], "1");
    assert_eq!(gateway.get_text("/readyz").await, "ready", "probes are no requests");
    fake.release();
    for request in under_way {
        assert_eq!(request.await.unwrap(), 200);
    }
    gateway.rerank("3", &["a"]).await;
    assert_eq!(
        gateway.metric("rerank_requests_total{model=\"none\",dialect=\"tei\",outcome=\"overloaded\"}").await,
        1.0
    );
}

#[tokio::test]
async fn full_queue_sheds_next_call_with_429() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = gateway(&fake, "", "max_concurrency = 1\nmax_queue = 1\n").await;
    fake.hold();
    let ask = |query: &str| {
        let request = gateway.post("/rerank").body(json!({"query": query, "documents": ["a"]}).to_string());
        tokio::spawn(async move { request.send().await.unwrap().status() })
    };
    let first = ask("1");
    fake.wait_for_arrivals(1).await;
    // Of two more, one waits in the queue and the other is sent away, whichever comes first.
    let (mut second, mut third) = (ask("2"), ask("3"));
    let (sent_away, waiting) =
        tokio::select! { status = &mut second => (status, third), status = &mut third => (status, second) };
    assert_eq!(sent_away.unwrap(), 429);
    assert_eq!(fake.calls().len(), 1, "nothing was sent for it");
    fake.release();
    assert_eq!((first.await.unwrap().as_u16(), waiting.await.unwrap().as_u16()), (200, 200));
    assert_eq!(gateway.metric("rerank_upstream_shed_total{upstream=\"up\",reason=\"queue_full\"}").await, 1.0);
}

#[tokio::test]
async fn full_queue_falls_back_and_leaves_circuit_closed() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "{}max_concurrency = 1\nmax_queue = 0\n[models.default]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]",
        upstream("up", "cohere", &fake.url())
    );
    let gateway = Gateway::start(&config).await;
    fake.hold();
    let request = gateway.post("/rerank").body(json!({"query": "1", "documents": ["a"]}).to_string());
    let first = tokio::spawn(async move { request.send().await.unwrap().status() });
    fake.wait_for_arrivals(1).await;
    for index in 0..20 {
        let answer = gateway.rerank(&format!("more {index}"), &["a"]).await;
        assert_eq!(provenance(&answer)["upstream"], "local");
    }
    fake.release();
    assert_eq!(first.await.unwrap(), 200);
    let answer = gateway.rerank("after", &["a"]).await;
    assert_eq!(provenance(&answer)["upstream"], "up", "its circuit is closed");
}

#[tokio::test]
async fn requests_or_tokens_beyond_rate_limit_return_429_with_retry_after() {
    // A word of query and a word of document, of three letters each, are two tokens for each of four documents.
    let documents = ["aaa", "bbb", "ccc", "ddd"];
    for limit in ["requests_per_minute = 2\n", "tokens_per_minute = 16\n"] {
        let fake = FakeUpstream::start("cohere").await;
        let gateway = gateway(&fake, "", limit).await;
        for query in ["one", "two"] {
            assert_eq!(scores(&gateway.rerank(query, &documents).await), expected(query, &documents));
        }
        let answer = gateway.try_rerank(json!({"query": "six", "documents": documents})).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (429, &json!("overloaded")), "{limit}");
        let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((25..=30).contains(&wait), "{limit}: half a minute's worth is missing, {wait} s");
        assert_eq!(fake.calls().len(), 2);
        gateway.rerank("one", &documents).await; // what is known costs nothing
        let shed = "rerank_upstream_shed_total{upstream=\"up\",reason=\"rate_limit\"}";
        assert_eq!(gateway.metric(shed).await, 1.0);
    }
}
