//! Request smuggling: bytes whose request boundaries a proxy in front could read differently. An ambiguous request is
//! refused or closes the connection, so that no part of it becomes another client's request.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::Gateway;

const PATIENCE: Duration = Duration::from_secs(20);
const HEAD: &str = "POST /rerank HTTP/1.1\r\nhost: 127.0.0.1\r\n";
const BODY: &str = r#"{"query":"q","documents":["a"]}"#;
/// Answered with 200 if it is taken for a request.
const SMUGGLED: &str = "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
/// An honest last request, answered with 404 if the connection is still open; then it is closed.
const LAST: &str = "GET /nowhere HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";

/// The statuses that come back for `bytes` and [`LAST`], until the server closes the connection.
async fn statuses(address: SocketAddr, bytes: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have closed before all was written.
    drop(stream.write_all(format!("{bytes}{LAST}").as_bytes()).await);
    let mut answers = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answers.extend_from_slice(&buffer[..count]);
        }
    };
    timeout(PATIENCE, read).await.expect("the server closes the connection");
    let text = String::from_utf8(answers).unwrap();
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

fn sized(head: &str, body: &str) -> String {
    format!("{HEAD}{head}content-length: {}\r\n\r\n{body}", body.len())
}

fn chunked(head: &str, body: &str) -> String {
    format!("{HEAD}{head}transfer-encoding: chunked\r\n\r\n{body}")
}

fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

#[tokio::test]
async fn request_inside_body_is_read_as_body() {
    let gateway = Gateway::start("").await;
    for (bytes, expected) in [
        (sized("", BODY), vec![200, 404]),
        (sized("", SMUGGLED), vec![400, 404]),
        (chunked("", &format!("{}0\r\n\r\n", chunk(BODY))), vec![200, 404]),
        (chunked("", &format!("{}0\r\n\r\n", chunk(SMUGGLED))), vec![400, 404]),
        // An extension of a chunk says nothing, and neither do trailers.
        (chunked("", &format!("1f;a=b;c=\"d\"\r\n{BODY}\r\n0;e\r\n\r\n")), vec![200, 404]),
        (chunked("", &format!("{}0\r\ncontent-length: 5\r\nx: y\r\n\r\n", chunk(BODY))), vec![200, 404]),
    ] {
        assert_eq!(statuses(gateway.address, &bytes).await, expected, "{bytes}");
    }
}

/// Covers answers that are sent before the body is read.
#[tokio::test]
async fn request_inside_body_of_refused_request_is_not_served() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    let stolen = format!("{}{BODY}", sized("authorization: Bearer test-key\r\n", ""));
    for body in [SMUGGLED, &stolen, &SMUGGLED.repeat(5_000)] {
        for bytes in [sized("", body), chunked("", &format!("{}0\r\n\r\n", chunk(body)))] {
            let answers = statuses(gateway.address, &bytes).await;
            assert!(matches!(answers[..], [] | [401] | [401, 401]), "{answers:?}");
        }
    }
}

#[tokio::test]
async fn ambiguous_content_length_returns_400_and_closes_connection() {
    let gateway = Gateway::start("").await;
    let length = BODY.len();
    let mut through = Vec::new();
    for head in [
        format!("content-length: {length}\r\ncontent-length: {}\r\n", length - 1),
        format!("content-length: 0\r\ncontent-length: {length}\r\n"),
        format!("content-length: +{length}\r\n"),
        format!("content-length: -{length}\r\n"),
        format!("content-length: 0x{length:x}\r\n"),
        format!("content-length: {length}, {}\r\n", length - 1),
        format!("content-length: {length} {length}\r\n"),
        "content-length: \r\n".to_owned(),
        "content-length: 18446744073709551648\r\n".to_owned(),
        format!("content-length : {length}\r\n"),
        format!("content-length: {length}\r\ntransfer-encoding: identity\r\n"),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        "transfer-encoding:\x0bchunked\r\n".to_owned(),
        // A line that goes on in the next one.
        format!("x: a\r\n content-length: {length}\r\ncontent-length: {length}\r\n"),
        format!("x: a\r\n\tb\r\ncontent-length: {length}\r\n"),
        // Ends of lines that are none.
        format!("x: a\ncontent-length: 5\r\ncontent-length: {length}\r\n"),
        format!("x: a\rcontent-length: 5\r\ncontent-length: {length}\r\n"),
        format!("x: a\0b\r\ncontent-length: {length}\r\n"),
        format!("x\0: a\r\ncontent-length: {length}\r\n"),
    ] {
        let bytes = format!("{HEAD}{head}\r\n{BODY}{SMUGGLED}");
        let answers = statuses(gateway.address, &bytes).await;
        if answers != [400] {
            through.push((head, answers));
        }
    }
    assert!(through.is_empty(), "{through:#?}");
}

#[tokio::test]
async fn content_length_beside_chunked_encoding_returns_400_and_closes_connection() {
    let gateway = Gateway::start("").await;
    let empty = format!("0\r\n\r\n{SMUGGLED}");
    let full = format!("{}0\r\n\r\n", chunk(SMUGGLED));
    for (body, length) in [(&empty, empty.len()), (&full, 4), (&full, full.len())] {
        for head in [
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
            format!("content-length: {length}\r\nTransfer-Encoding: Chunked\r\n"),
        ] {
            let answers = statuses(gateway.address, &format!("{HEAD}{head}\r\n{body}")).await;
            assert_eq!(answers, [400], "{head}{body}: RFC 9112, section 6.1");
        }
    }
}

#[tokio::test]
async fn malformed_chunks_close_the_connection() {
    let gateway = Gateway::start("").await;
    for body in [
        format!("fffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n"),
        format!("-1\r\n{BODY}\r\n0\r\n\r\n"),
        format!("0x1f\r\n{BODY}\r\n0\r\n\r\n"),
        format!("1f \n{BODY}\r\n0\r\n\r\n"),
        format!("1e\r\n{BODY}\r\n0\r\n\r\n"),
        format!("1f\r\n{BODY}0\r\n\r\n"),
        format!("1f;a\nb\r\n{BODY}\r\n0\r\n\r\n"),
        format!("1f;{}\r\n{BODY}\r\n0\r\n\r\n", "a".repeat(100_000)),
        format!("\r\n1f\r\n{BODY}\r\n0\r\n\r\n"),
    ] {
        let answers = statuses(gateway.address, &chunked("", &format!("{body}{SMUGGLED}"))).await;
        assert!(matches!(answers[..], [] | [400]), "{answers:?} for {}", &body[..body.len().min(60)]);
    }
    assert_eq!(gateway.get_text("/readyz").await, "ready");
}
