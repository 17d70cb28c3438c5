//! A package index, or a server of files, that says what a test has written down.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

/// A server that gives each connection the next of its replies, and the heads of the requests that it got.
pub(super) struct ScriptedIndex {
    pub(super) address: SocketAddr,
    pub(super) heads: Arc<Mutex<Vec<String>>>,
}

impl ScriptedIndex {
    pub(super) fn start(replies: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                seen.lock().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
                stream.write_all(&reply).unwrap();
            }
        });
        Self { address, heads }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// The requested ranges, one for each request for the wheel.
    pub(super) fn ranges(&self) -> Vec<String> {
        let mut ranges = Vec::new();
        for head in &*self.heads.lock() {
            if let Some(range) = head.lines().find_map(|line| line.strip_prefix("range: bytes=")) {
                ranges.push(range.to_owned());
            }
        }
        ranges
    }
}

/// A reply of this status and these headers. `length` is announced, whatever `body` has.
pub(super) fn reply(head: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let mut reply = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").into_bytes();
    reply.extend(body);
    reply
}
