//! Providers that never finish: they send a byte of the status, the headers or the body now and then.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::support::Gateway;
use crate::support::gateway::{targets, upstream};

const DRIP: Duration = Duration::from_millis(20);

/// Reads a request, answers with `opening` at once, and then with `drip` again and again for as long as it is read.
async fn dripping_server(opening: &'static str, drip: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, opening, drip));
        }
    });
    (url, serving)
}

async fn answer(mut stream: TcpStream, opening: &str, drip: &str) {
    let _ = stream.read(&mut [0; 4096]).await;
    let mut result = stream.write_all(opening.as_bytes()).await;
    while result.is_ok() {
        sleep(DRIP).await;
        result = stream.write_all(drip.as_bytes()).await;
    }
}

#[tokio::test]
async fn dripping_upstream_is_abandoned_at_attempt_timeout() {
    let cases = [
        ("", "H"),
        ("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        ("HTTP/1.1 200 OK\r\nx: ", "y"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n", " "),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"results\": [", " "),
    ];
    join_all(cases.map(async |(opening, drip)| {
        let (url, serving) = dripping_server(opening, drip).await;
        let config = format!(
            "{}attempt_timeout = '150ms'\nmax_attempts = 2\n[models.default]\ntargets = [{{ upstream = 'up' }}]\n\
             [models.safe]\ntargets = [{{ upstream = 'up' }}, {{ upstream = 'local' }}]\n",
            upstream("up", "cohere", &url)
        );
        let gateway = Gateway::start(&config).await;
        let started = Instant::now();
        let body = json!({"query": "q", "documents": ["a"]});
        let answer = gateway.try_rerank(body).await;
        assert!(matches!(answer.status.as_u16(), 502 | 504), "{opening:?} {drip:?}: {}", answer.body);
        let safe = json!({"query": "q", "documents": ["a"], "model": "safe"});
        assert_eq!(gateway.try_rerank(safe).await.status, 200, "{opening:?} {drip:?}: the next target answers");
        assert!(started.elapsed() < Duration::from_secs(10), "{opening:?} {drip:?}: far below request_timeout");
        serving.abort();
    }))
    .await;
}

/// The status of an error suffices; rerankd does not wait for a body that drips.
#[tokio::test]
async fn error_status_with_dripping_body_returns_without_waiting_for_it() {
    let (url, serving) =
        dripping_server("HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\n \r\n").await;
    let config = format!(
        "{}attempt_timeout = '300ms'\nmax_attempts = 1\n{}",
        upstream("up", "cohere", &url),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let started = Instant::now();
    let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert!(matches!(answer.status.as_u16(), 400 | 502 | 504), "{}", answer.body);
    assert!(started.elapsed() < Duration::from_secs(10));
    serving.abort();
}
