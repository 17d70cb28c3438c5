//! A raw HTTP/1.1 client that writes everything before it reads, half-closes, or stops halfway, as no library does.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything takes that works.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A connection.
pub(crate) struct RawClient {
    pub(crate) stream: TcpStream,
    /// Read and not yet looked at.
    unread: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    /// Everything before the body, in lower case.
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(LONG, self.stream.write_all(bytes.as_ref())).await.expect("a write that takes for ever").unwrap();
    }

    /// The next answer that is no interim one.
    pub(crate) async fn answer(&mut self) -> RawAnswer {
        loop {
            let answer = self.next_answer().await;
            if answer.status >= 200 {
                return answer;
            }
        }
    }

    /// The next answer, interim or not.
    pub(crate) async fn next_answer(&mut self) -> RawAnswer {
        let end = self.read_until(|bytes| bytes.windows(4).position(|four| four == b"\r\n\r\n")).await + 4;
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |it| it.parse().unwrap());
        self.read_until(|bytes| (bytes.len() >= length).then_some(length)).await;
        let body: Vec<u8> = self.unread.drain(..length).collect();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        RawAnswer { status, head, body }
    }

    async fn read_until(&mut self, found: impl Fn(&[u8]) -> Option<usize>) -> usize {
        loop {
            if let Some(place) = found(&self.unread) {
                return place;
            }
            let read = timeout(LONG, self.stream.read_buf(&mut self.unread)).await.expect("no answer").unwrap();
            assert!(read > 0, "the connection ended before the answer: {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Waits until the server ends the connection, whatever it says before.
    pub(crate) async fn ends(&mut self) {
        let mut dropped = vec![0; 1 << 16];
        let end = async { while self.stream.read(&mut dropped).await.is_ok_and(|read| read > 0) {} };
        timeout(LONG, end).await.expect("the connection does not end");
    }
}

/// The headers of a request to rerank with a body of this length.
pub(crate) fn rerank_head(length: usize) -> String {
    format!("POST /rerank HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")
}

/// A small request to rerank.
pub(crate) fn rerank_request(query: &str) -> String {
    let body = serde_json::json!({ "query": query, "documents": ["a"] }).to_string();
    format!("{}{body}", rerank_head(body.len()))
}
