//! Compressed bodies are read, within the limits of all bodies.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::support::{Gateway, order};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn body() -> String {
    json!({"query": "apple", "documents": ["pear", "apple"]}).to_string()
}

#[tokio::test]
async fn body_in_supported_or_meaningless_encoding_is_read() {
    let gateway = Gateway::start("").await;
    let plain = body().into_bytes();
    for (encoding, bytes) in [
        ("gzip", gzip(&plain)),
        ("x-gzip", gzip(&plain)),
        ("GZIP", gzip(&plain)),
        ("deflate", zlib(&plain)),
        ("identity, gzip", gzip(&plain)),
        ("identity", plain.clone()),
        ("utf-8", plain.clone()),
        ("UTF-8", plain.clone()),
        ("", plain.clone()),
    ] {
        let answer = gateway.send(gateway.post("/rerank").header("content-encoding", encoding).body(bytes)).await;
        assert_eq!(answer.status, 200, "{encoding:?}: {}", answer.body);
        assert_eq!(order(&answer.body), [1, 0]);
    }
    assert_eq!(gateway.app.memory.used(), 0);
}

#[tokio::test]
async fn unsupported_content_encoding_returns_415() {
    let gateway = Gateway::start("").await;
    for encodings in [&["br"][..], &["zstd"], &["gzip", "gzip"], &["gzip, deflate"], &["identity", "br"]] {
        let mut request = gateway.post("/rerank").body(body());
        for encoding in encodings {
            request = request.header("content-encoding", *encoding);
        }
        let answer = gateway.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (415, &json!("unsupported_encoding")),
            "{encodings:?}"
        );
        assert!(answer.body["detail"].as_str().unwrap().ends_with("compressed once, with gzip or deflate"));
    }
}

#[tokio::test]
async fn body_limit_applies_to_decompressed_bytes() {
    let gateway = Gateway::start("[server]\nmax_body_bytes = 1048576").await;
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let refused = gateway.send(gateway.post("/rerank").header("content-encoding", "gzip").body(bomb)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (413, &json!("body_too_large")));
    let cut = gzip(body().as_bytes());
    let broken = gateway.post("/rerank").header("content-encoding", "gzip").body(cut[..cut.len() - 12].to_vec());
    let broken = gateway.send(broken).await;
    assert_eq!((broken.status.as_u16(), &broken.body["code"]), (400, &json!("invalid_json")));
    assert_eq!(gateway.app.memory.used(), 0);
}
