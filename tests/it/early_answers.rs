//! Answers that are sent before the body is read arrive, even at clients that write the whole body before they read.

use std::future::poll_fn;
use std::time::Instant;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::gateway::{targets, upstream};
use crate::support::raw::{LONG, RawClient, rerank_head, rerank_request};
use crate::support::{FakeUpstream, Gateway};

const MEGABYTE: usize = 1_000_000;

/// Sends a request with this first line, these headers and a body of this length, and only then reads.
async fn write_first(client: &mut RawClient, line: &str, headers: &str, length: usize) {
    client.write(format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n")).await;
    client.write(vec![b' '; length]).await;
}

#[tokio::test]
async fn oversized_body_returns_413_to_client_that_writes_it_all_first() {
    let gateway = Gateway::start("").await;
    let mut client = RawClient::connect(gateway.address).await;
    write_first(&mut client, "POST /rerank", "", 34 * MEGABYTE).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.body["code"]), (413, &json!("body_too_large")));
    client.write(rerank_request("q")).await;
    assert_eq!(client.answer().await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn refusal_reaches_client_that_writes_its_body_first() {
    let open = Gateway::start("").await;
    let keyed = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    for (gateway, line, headers, status, code) in [
        (&keyed, "POST /rerank", "", 401, "unauthorized"),
        (&open, "POST /rerank", "origin: https://evil.example\r\n", 403, "forbidden"),
        (&open, "POST /nowhere", "", 404, "not_found"),
        (&open, "POST /docs/nowhere", "", 405, "method_not_allowed"),
        (&open, "POST /healthz", "", 405, "method_not_allowed"),
        (&open, "PUT /rerank", "", 405, "method_not_allowed"),
        (&open, "POST /rerank", "content-encoding: br\r\n", 415, "unsupported_encoding"),
        (&open, "POST /rerank", "x-request-timeout-ms: soon\r\n", 400, "invalid_request"),
    ] {
        let mut client = RawClient::connect(gateway.address).await;
        write_first(&mut client, line, headers, 8 * MEGABYTE).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{line} {headers}");
    }
}

#[tokio::test]
async fn status_429_with_retry_after_reaches_client_that_writes_its_body_first() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "[server]\nmax_requests = 1\n{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    fake.hold();
    let request = gateway.post("/rerank").body(json!({"query": "q", "documents": ["a"]}).to_string());
    let first = tokio::spawn(async move { request.send().await.unwrap().status() });
    fake.wait_for_arrivals(1).await;
    let mut client = RawClient::connect(gateway.address).await;
    write_first(&mut client, "POST /rerank", "", 8 * MEGABYTE).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.body["code"]), (429, &json!("overloaded")));
    assert!(answer.head.contains("\r\nretry-after: 1\r\n"), "{}", answer.head);
    fake.release();
    assert_eq!(first.await.unwrap(), 200);
}

/// The length of such a body is not known before it was read.
#[tokio::test]
async fn oversized_chunked_body_returns_413_and_keeps_connection() {
    let gateway = Gateway::start("[server]\nmax_body_bytes = 1024").await;
    let mut client = RawClient::connect(gateway.address).await;
    client.write("POST /rerank HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    for _ in 0..8 {
        client.write(&chunk).await;
    }
    client.write("0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 413);
    client.write(rerank_request("q")).await;
    assert_eq!(client.answer().await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn discarded_body_is_bounded_in_bytes() {
    let gateway = Gateway::start("[server]\nmax_body_bytes = 1024").await;
    let mut client = RawClient::connect(gateway.address).await;
    client.write(rerank_head(1 << 40)).await;
    assert_eq!(client.answer().await.status, 413);
    let piece = vec![b' '; 1 << 20];
    let mut pieces = 0;
    while timeout(LONG, client.stream.write_all(&piece)).await.expect("a write that takes for ever").is_ok() {
        pieces += 1;
        assert!(pieces < 512, "half a gigabyte is read for nothing");
    }
    assert!(pieces >= 32, "{pieces}");
}

#[tokio::test]
async fn discarded_body_is_bounded_in_time() {
    let gateway = Gateway::start("[server]\nmax_body_bytes = 1024").await;
    let mut client = RawClient::connect(gateway.address).await;
    client.write(rerank_head(1 << 20)).await;
    assert_eq!(client.answer().await.status, 413);
    let since = Instant::now();
    client.ends().await;
    assert!(since.elapsed().as_secs() >= 2, "a client that pauses is waited for");
}

#[tokio::test]
async fn refused_expect_100_continue_returns_final_status_without_100() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    let head = |key: &str, length: usize| {
        format!(
            "POST /rerank HTTP/1.1\r\nhost: localhost\r\nauthorization: {key}\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let mut waits = RawClient::connect(gateway.address).await;
    waits.write(head("wrong", 8 * MEGABYTE)).await;
    let answer = waits.next_answer().await;
    assert_eq!(answer.status, 401, "no leave is given for a body that nobody reads");
    assert!(answer.head.contains("\r\nconnection: close\r\n"), "{}", answer.head);
    let mut does_not_wait = RawClient::connect(gateway.address).await;
    does_not_wait.write(head("wrong", 34 * MEGABYTE)).await;
    does_not_wait.write(vec![b' '; 34 * MEGABYTE]).await;
    assert_eq!(does_not_wait.next_answer().await.status, 401);
    let body = json!({"query": "q", "documents": ["a"]}).to_string();
    let mut good = RawClient::connect(gateway.address).await;
    good.write(head("test-key", body.len())).await;
    assert_eq!(good.next_answer().await.status, 100);
    good.write(body).await;
    assert_eq!(good.next_answer().await.status, 200);
    good.write(head("test-key", 2)).await;
    assert_eq!(good.next_answer().await.status, 100, "the connection goes on");
}

/// Requests that hyper answers itself before it closes the connection.
#[tokio::test]
async fn malformed_http_returns_400_or_431_to_client_that_writes_first() {
    let gateway = Gateway::start("").await;
    let long = format!("POST /rerank HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(MEGABYTE));
    for (head, status) in [
        ("POST /rerank HTTP/1.1\r\nhost: localhost\r\ncontent-length: many\r\n\r\n", 400),
        ("POST /rerank HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n", 400),
        (&long, 431),
    ] {
        let mut client = RawClient::connect(gateway.address).await;
        client.write(head).await;
        client.write(vec![b' '; 8 * MEGABYTE]).await;
        assert_eq!(client.answer().await.status, status);
    }
}

#[tokio::test]
async fn oversized_http2_body_returns_413() {
    let gateway = Gateway::start("").await;
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for length in [34 * MEGABYTE, 40 * MEGABYTE] {
        let request = client.post(gateway.url("/rerank")).body(vec![b' '; length]);
        let answer = gateway.send(request).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (413, &json!("body_too_large")));
    }
}

/// Many HTTP/2 clients treat a stream reset during their upload as a failure and lose the answer.
#[tokio::test]
async fn refused_http2_body_is_read_to_its_end_without_reset() {
    let gateway = Gateway::start("").await;
    for (path, length, status) in [("/nowhere", 8 * MEGABYTE, 404), ("/rerank", 34 * MEGABYTE, 413)] {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post(gateway.url(path)).header("content-length", length).body(()).unwrap();
        let (answer, mut body) = client.ready().await.unwrap().send_request(request, false).unwrap();
        let mut left = length;
        while left > 0 {
            body.reserve_capacity(left.min(1 << 16));
            let granted = timeout(LONG, poll_fn(|context| body.poll_capacity(context))).await.unwrap();
            let granted = granted.expect("the stream is not reset").unwrap();
            left -= granted;
            body.send_data(vec![b' '; granted].into(), left == 0).unwrap();
        }
        assert_eq!(timeout(LONG, answer).await.unwrap().unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_client_that_half_closes_after_sending_gets_its_answer() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    for query in ["now", "later"] {
        fake.hold();
        let mut client = RawClient::connect(gateway.address).await;
        client.write(rerank_request(query)).await;
        if query == "later" {
            fake.wait_for_arrivals(2).await;
        }
        client.stream.shutdown().await.unwrap();
        fake.wait_for_arrivals(1).await;
        fake.release();
        assert_eq!(client.answer().await.status, 200, "{query}");
        client.ends().await;
    }
    let mut client = RawClient::connect(gateway.address).await;
    client
        .write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    client.stream.shutdown().await.unwrap();
    client.ends().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_after_sending_cancels_its_call() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    fake.hold();
    for (number, version) in [(1, "HTTP/1.1"), (2, "HTTP/1.0")] {
        let mut client = RawClient::connect(gateway.address).await;
        client.write(rerank_request(version).replacen("HTTP/1.1", version, 1)).await;
        fake.wait_for_arrivals(number).await;
        drop(client);
        fake.wait_for_departures(number).await;
    }
    fake.release();
}

#[tokio::test]
async fn truncated_body_returns_400_to_half_closed_client() {
    let gateway = Gateway::start("").await;
    let mut client = RawClient::connect(gateway.address).await;
    client.write(rerank_head(1_000)).await;
    client.write("{\"query\":").await;
    client.stream.shutdown().await.unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_json")));
    client.ends().await;
}
