//! Law 6: replies are hostile. Never a made-up score, always a typed error, never more memory than allowed.

use std::io::Write;

use serde_json::json;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply};

async fn gateway_with_one_attempt(fake: &FakeUpstream) -> Gateway {
    let config = format!(
        "{}max_attempts = 1\nmax_response_bytes = 65536\n{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    Gateway::start(&config).await
}

#[tokio::test]
async fn law_6_invalid_reply_returns_502_and_caches_nothing() {
    let results = |results: &str| Reply::body(format!("{{\"results\": [{results}]}}"));
    for reply in [
        results(""),
        results(r#"{"index":0,"relevance_score":0.5}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":0,"relevance_score":0.6}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":2,"relevance_score":0.6}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":-1,"relevance_score":0.6}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":99999999999999999999,"relevance_score":0.6}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":1.5,"relevance_score":0.6}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":1,"relevance_score":NaN}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":1,"relevance_score":1e999}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":1,"relevance_score":"0.6"}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":1,"relevance_score":null}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"index":1}"#),
        results(r#"{"index":0,"relevance_score":0.5},{"relevance_score":0.5}"#),
        results(
            r#"{"index":0,"relevance_score":0.5},{"index":1,"relevance_score":0.5},{"index":1,"relevance_score":0.5}"#,
        ),
        Reply::body(""),
        Reply::body("null"),
        Reply::body("[]"),
        Reply::body("<html><body>200 but no API</body></html>"),
        Reply::body(r#"{"error":{"message":"overloaded"}}"#),
        Reply::body("[".repeat(60_000)),
        Reply::Truncate,
        Reply::Endless,
        Reply::body(" ".repeat(100_000)),
        Reply::Status(204, Vec::new(), String::new()),
        Reply::Status(302, vec![("location", "http://127.0.0.1:1/".into())], String::new()),
    ] {
        let fake = FakeUpstream::scripted("cohere", [reply.clone()]).await;
        let gateway = gateway_with_one_attempt(&fake).await;
        let body = json!({"query": "q", "documents": ["a", "b"]});
        let answer = gateway.try_rerank(body.clone()).await;
        assert_eq!(answer.status, 502, "{reply:?}: {}", answer.body);
        let code = answer.body["code"].as_str().unwrap();
        assert!(matches!(code, "upstream_invalid_reply" | "upstream_unavailable"), "{reply:?}: {code}");
        gateway.rerank_with(body).await;
        assert_eq!(fake.calls().len(), 2, "nothing of {reply:?} was cached");
    }
}

#[tokio::test]
async fn law_6_a_gzip_bomb_is_refused_at_the_limit() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 17, "{} bytes that unpack to 64 MiB", bomb.len());
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = server.accept().await.unwrap();
        let mut request = vec![0; 65_536];
        let _ = stream.read(&mut request).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream.write_all(&bomb).await); // the client may well have left
    });
    let config = format!(
        "{}max_attempts = 1\nmax_response_bytes = 65536\n{}",
        upstream("up", "cohere", &url),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert_eq!(answer.body["code"], "upstream_invalid_reply");
    assert_eq!(answer.body["detail"], "up sent more than 65536 bytes (max_response_bytes)");
    serving.await.unwrap();
}

#[tokio::test]
async fn law_6_unsorted_reply_is_sorted_and_cut_to_top_n() {
    let reply = r#"{"results":[{"index":2,"relevance_score":0.1},{"index":0,"relevance_score":0.5},{"index":1,"relevance_score":0.9},{"index":3,"relevance_score":0.5}]}"#;
    let fake = FakeUpstream::scripted("cohere", [Reply::body(reply)]).await;
    let gateway = gateway_with_one_attempt(&fake).await;
    let answer = gateway.rerank_with(json!({"query": "q", "documents": ["a", "b", "c", "d"], "top_n": 3})).await;
    assert_eq!(crate::support::order(&answer), [1, 0, 3], "law 4: ties keep the input order");
}
