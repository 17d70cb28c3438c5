//! Law 9: nothing runs past the deadline, no work is done for a client that left, and a shutdown finishes requests in
//! progress.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, provenance};

/// An attempt that only a deadline or a departure can end while a test lasts.
const LONG_ATTEMPT: &str = "attempt_timeout = '5m'\n";
/// Far above what is tested, far below every other limit.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn law_9_shortest_deadline_returns_504_and_cancels_the_upstream_call() {
    for (config, body, header) in [
        ("150ms", json!({"query": "q", "documents": ["a"]}), None),
        ("5m", json!({"query": "q", "documents": ["a"], "timeout_ms": 150}), None),
        ("5m", json!({"query": "q", "documents": ["a"], "timeout_ms": 200_000}), Some("150")),
    ] {
        let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
        let config = format!(
            "[server]\nrequest_timeout = '{config}'\n{}{LONG_ATTEMPT}{}",
            upstream("up", "cohere", &fake.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        let gateway = Gateway::start(&config).await;
        let mut request = gateway.post("/rerank").body(body.to_string());
        if let Some(header) = header {
            request = request.header("x-request-timeout-ms", header);
        }
        let started = Instant::now();
        let answer = timeout(SOON, gateway.send(request)).await.expect("the deadline ends the request");
        assert_eq!(answer.status, 504);
        assert_eq!(answer.body["code"], "deadline_exceeded");
        assert!(answer.body["detail"].as_str().unwrap().ends_with("of waiting for up"), "{}", answer.body);
        timeout(SOON, fake.wait_for_departures(1)).await.expect("and its call");
        assert!(started.elapsed() >= Duration::from_millis(150), "but not before");
        assert_eq!(fake.calls().len(), 1, "no attempt after the deadline");
    }
}

/// Work before the first call counts towards the deadline, too.
#[tokio::test]
async fn law_9_deadline_before_the_first_call_returns_504_without_a_call() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let large: Vec<_> = (0..900).map(|index| format!("{index} {}", "words and more ".repeat(1_500))).collect();
    let answer = gateway.try_rerank(json!({"query": "q", "documents": large, "timeout_ms": 1})).await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str().unwrap()), (504, "deadline_exceeded"));
    assert!(!answer.body["detail"].as_str().unwrap().contains("waiting for up"), "{}", answer.body);
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn law_9_a_client_that_hangs_up_cancels_the_upstream_call() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
    let config = format!(
        "[server]\nrequest_timeout = '5m'\n{}{LONG_ATTEMPT}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let request = gateway.post("/rerank").body(json!({"query": "q", "documents": ["a"]}).to_string());
    let client = tokio::spawn(request.send());
    fake.wait_for_arrivals(1).await;
    client.abort();
    timeout(SOON, fake.wait_for_departures(1)).await.expect("nothing but the departure ends the call");
    assert!(gateway.app.reranker.flights.is_empty(), "and nobody can join it any more");
    assert_eq!(
        gateway.metric("rerank_requests_total{model=\"default\",dialect=\"native\",outcome=\"abandoned\"}").await,
        1.0
    );
    assert_eq!(gateway.metric("rerank_requests_in_flight").await, 0.0);
}

#[tokio::test]
async fn hanging_target_leaves_time_for_the_fallback() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
    let config = format!(
        "{}[models.default]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]",
        upstream("up", "cohere", &fake.url())
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["a"], "timeout_ms": 500})).await;
    assert_eq!(provenance(&answer)["upstream"], "local");
}

#[tokio::test]
async fn original_order_is_returned_when_the_deadline_passes() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
    let config = format!(
        "{}{}on_failure = 'original_order'",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["a", "b"], "timeout_ms": 100})).await;
    assert_eq!(provenance(&answer)["reranked"], false);
    assert_eq!(crate::support::order(&answer), [0, 1]);
}

#[tokio::test]
async fn invalid_timeout_returns_invalid_request() {
    let gateway = Gateway::start("").await;
    for header in ["0", "-1", "soon", "1.5"] {
        let body = json!({"query": "q", "documents": ["a"]}).to_string();
        let answer = gateway.send(gateway.post("/rerank").header("x-request-timeout-ms", header).body(body)).await;
        assert_eq!(answer.body["code"], "invalid_request", "{header}");
    }
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"], "timeout_ms": 0})).await;
    assert_eq!(answer.body["pointer"], "/timeout_ms");
}

#[tokio::test]
async fn shutdown_finishes_requests_in_progress() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "[server]\ndrain_delay = '200ms'\n{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let mut gateway = Gateway::start(&config).await;
    fake.hold();
    let request = gateway.post("/rerank").body(json!({"query": "q", "documents": ["a"]}).to_string());
    let asking = tokio::spawn(async move { request.send().await.unwrap().status() });
    fake.wait_for_arrivals(1).await;
    assert_eq!(gateway.get_text("/readyz").await, "ready");
    gateway.begin_shutdown();
    while gateway.app.ready.load(std::sync::atomic::Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    let ready = gateway.client.get(gateway.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.headers()["connection"], "close", "a connection that is kept would be closed under a request");
    assert_eq!(ready.text().await.unwrap(), "shutting down", "still answering while the news spreads");
    let ending = tokio::spawn(gateway.shut_down());
    fake.release();
    assert_eq!(asking.await.unwrap(), 200, "the request under way was finished");
    ending.await.unwrap();
}

#[tokio::test]
async fn upstream_error_with_stalled_body_is_reported() {
    let stalled = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 70\r\ncontent-length: 100\r\n\r\n{";
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = server.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(stalled.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &url).await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (429, "70"));
    serving.abort();
}

#[tokio::test]
async fn a_list_of_four_megabytes_is_reranked() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let large: Vec<_> = (0..900).map(|index| format!("{index} {}", "words and more ".repeat(1_500))).collect();
    let answer = gateway.rerank_with(json!({"query": "q", "documents": large, "return_documents": true})).await;
    assert_eq!(provenance(&answer)["pairs"]["scored"], 900);
    assert_eq!(answer["results"].as_array().unwrap().len(), 900);
}
