//! Law 10 over real sockets: which failures are retried and which are not. The policy's timing is tested beside the
//! policy.

use serde_json::json;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, provenance, scores};

#[tokio::test]
async fn transient_failure_is_retried_to_success() {
    for failure in [
        Reply::status(500),
        Reply::status(503),
        Reply::status_after(429, "retry-after", "0"),
        Reply::status_after(429, "retry-after-ms", "5"),
        Reply::status_after(503, "retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
        Reply::Close,
        Reply::Truncate,
        Reply::body("{\"results\": [{\"index\": 0, \"relev"),
        Reply::body("<html>captive portal</html>"),
    ] {
        // "too many requests" without a hint would wait for up to a second; hints of zero do not.
        let fake = FakeUpstream::scripted("cohere", [failure.clone()]).await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
        let answer = gateway.rerank("q", &["a", "b"]).await;
        assert_eq!(scores(&answer), expected("q", &["a", "b"]), "{failure:?}");
        assert_eq!(provenance(&answer)["attempts"], 2, "{failure:?}");
        assert_eq!(fake.calls()[0].text, fake.calls()[1].text, "the same bytes again");
        assert_eq!(gateway.metric("rerank_upstream_retries_total{upstream=\"up\"}").await, 1.0);
    }
}

#[tokio::test]
async fn permanent_failure_sends_one_attempt() {
    for status in [400, 401, 402, 403, 404, 413, 422, 501] {
        let fake = FakeUpstream::scripted("cohere", [Reply::status(status)]).await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
        let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
        assert!(!answer.status.is_success());
        assert_eq!(fake.calls().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn persistent_503_stops_at_max_attempts() {
    let fake = FakeUpstream::scripted("cohere", vec![Reply::status(503); 3]).await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert_eq!((answer.status.as_u16(), fake.calls().len()), (502, 3));
    assert_eq!(answer.body["code"], "upstream_unavailable");
}

#[tokio::test]
async fn a_long_retry_after_is_handed_to_the_client() {
    let fake = FakeUpstream::scripted("cohere", [Reply::status_after(429, "retry-after", "86400")]).await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert_eq!((answer.status.as_u16(), fake.calls().len()), (429, 1));
    assert_eq!(answer.headers["retry-after"], "86400");
}

#[tokio::test]
async fn attempt_beyond_attempt_timeout_is_retried() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
    let config = format!(
        "{}attempt_timeout = '100ms'\n{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.rerank("q", &["a"]).await;
    assert_eq!(provenance(&answer)["attempts"], 2);
    assert_eq!(
        gateway.metric("rerank_upstream_attempts_total{upstream=\"up\",outcome=\"upstream_timeout\"}").await,
        1.0
    );
}

#[tokio::test]
async fn unreachable_upstream_returns_error_with_its_cause() {
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", "http://127.0.0.1:1").await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert_eq!(answer.body["code"], "upstream_unavailable");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("up cannot be connected to: Connection refused"), "{detail}");
}

#[tokio::test]
async fn upstream_connections_are_reused() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    for index in 0..5 {
        gateway.rerank(&index.to_string(), &["a"]).await;
    }
    assert!(fake.connections() < 5, "{}", fake.connections());
}

#[tokio::test]
async fn open_circuit_reports_the_status_that_opened_it() {
    let fake = FakeUpstream::start("cohere").await;
    for (status, code) in [(429, "upstream_rate_limited"), (500, "upstream_circuit_open")] {
        fake.answer_always(Some(Reply::status(status)));
        let config = format!(
            "{}max_attempts = 1\n{}",
            upstream("up", "cohere", &fake.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        let gateway = Gateway::start(&config).await;
        let body = json!({"query": "q", "documents": ["a"]});
        for _ in 0..5 {
            gateway.try_rerank(body.clone()).await;
        }
        let calls = fake.calls().len();
        let answer = gateway.try_rerank(body).await;
        assert_eq!((answer.body["code"].as_str().unwrap(), fake.calls().len()), (code, calls));
        assert!(answer.headers.contains_key("retry-after"));
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.ends_with(&format!("last failure: it answered with status {status}")), "{detail}");
    }
}
