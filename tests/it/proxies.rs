//! Proxies: calls that go through them, calls that never do, and the source of an error. Entries of `NO_PROXY` are
//! tested in `src/config/proxy.rs`.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::gateway::{Answer, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, scores};

/// Answer to one request with these environment variables and the upstream at `base_url`.
async fn ask(variables: &[(&str, &str)], base_url: &str) -> Answer {
    let config = format!(
        "{}max_attempts = 1\n{}",
        upstream("up", "cohere", base_url),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start_in(variables, &config).await;
    gateway.try_rerank(json!({"query": "cat", "documents": ["a cat"]})).await
}

/// A proxy that gives this answer to a `CONNECT`, and the request that it got.
async fn tunnel(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    (address, serving)
}

/// Key, query and passages went to the proxy, and its 503 read like the upstream's.
#[tokio::test]
async fn loopback_upstream_bypasses_the_proxy() {
    let fake = FakeUpstream::start("cohere").await;
    let proxy = FakeUpstream::start("cohere").await;
    let port = fake.address().port();
    for host in ["127.0.0.1", "localhost"] {
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            let answer = ask(&[(name, &proxy.url())], &format!("http://{host}:{port}")).await;
            assert_eq!(answer.status, 200, "{host} {name}: {}", answer.body);
        }
    }
    assert_eq!((proxy.connections(), fake.calls().len()), (0, 6));
}

#[tokio::test]
async fn remote_upstream_is_called_through_the_proxy() {
    let proxy = FakeUpstream::start("cohere").await;
    let with_password = proxy.url().replace("http://", "http://user:s3cret@");
    let answer = ask(&[("HTTP_PROXY", &with_password)], "http://up.test:81/v2").await;
    assert_eq!(scores(&answer.body), expected("cat", &["a cat"]));
    let call = &proxy.calls()[0];
    assert_eq!((&*call.path, &call.headers["host"]), ("/v2/rerank", &"up.test:81".parse().unwrap()));
    assert_eq!(call.headers["proxy-authorization"], "Basic dXNlcjpzM2NyZXQ=");
}

#[tokio::test]
async fn a_failure_behind_a_proxy_names_the_proxy() {
    for (status, code) in
        [(503, "upstream_unavailable"), (407, "upstream_misconfigured"), (404, "upstream_misconfigured")]
    {
        let proxy = FakeUpstream::scripted("cohere", [Reply::status(status)]).await;
        let with_password = proxy.url().replace("http://", "http://user:s3cret@");
        let answer = ask(&[("HTTP_PROXY", &with_password)], "http://up.test").await;
        let detail = answer.body["detail"].as_str().unwrap();
        assert_eq!((answer.body["code"].as_str().unwrap(), answer.status.as_u16()), (code, 502), "{detail}");
        assert!(detail.contains(&format!("through the proxy {}", proxy.url())), "{detail}");
        assert!(detail.contains(&status.to_string()) && !detail.contains("s3cret"), "{detail}");
    }
}

#[tokio::test]
async fn refused_connect_tunnel_names_the_proxy_in_the_error() {
    for (reply, cause) in [
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "tunnel"),
        ("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "authorization"),
    ] {
        let (address, serving) = tunnel(reply).await;
        let answer = ask(&[("HTTPS_PROXY", &format!("user:s3cret@{address}"))], "https://up.test").await;
        let detail = answer.body["detail"].as_str().unwrap();
        let start = format!("up cannot be connected to through the proxy http://{address}: ");
        assert!(detail.starts_with(&start) && detail.contains(cause) && !detail.contains("s3cret"), "{detail}");
        let asked = serving.await.unwrap();
        assert!(asked.starts_with("CONNECT up.test:443 ") && !asked.contains("test-key"), "{asked}");
    }
    let answer = ask(&[("HTTPS_PROXY", "127.0.0.1:1")], "https://up.test").await;
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("up cannot be connected to through the proxy http://127.0.0.1:1: "), "{detail}");
}

/// Attack 15: nothing said that key, query and passages go to the proxy.
#[tokio::test]
async fn unencrypted_upstream_behind_proxy_logs_a_warning_at_start() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), upstream("up", "cohere", "http://up.test")).unwrap();
    let mut server = tokio::process::Command::new(env!("CARGO_BIN_EXE_rerankd"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config", config.path().to_str().unwrap()])
        .env_clear()
        .env("KEY", "test-key")
        .env("http_proxy", "http://user:s3cret@proxy.test:3128")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let warning = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the server ended");
            assert!(!line.contains("s3cret"), "{line}");
            if line.contains("calls to upstreams.up go through the proxy http://proxy.test:3128 without encryption") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), warning).await.unwrap();
}
