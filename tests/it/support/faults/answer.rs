//! Whole answers: what the proxy says in the provider's place, and what the provider said.

use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::json;

use super::fault::{Fault, RetryAfter};

/// More than any reranker's client should take for an answer.
const BOMB_BYTES: usize = 64 << 20;

const DAY: Duration = Duration::from_hours(24);

/// Headers that are about one connection, or about how the body stands on it.
const HOP_BY_HOP: [HeaderName; 4] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, HeaderName::from_static("keep-alive")];

static BOMB: LazyLock<Bytes> = LazyLock::new(|| {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let packed = bomb.write_all(&vec![b' '; BOMB_BYTES]).and_then(|()| bomb.finish());
    packed.map(Bytes::from).unwrap_or_default() // writing to memory does not fail
});

/// An answer as it would be sent if nothing went wrong.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    /// Takes over the upstream's answer to a forwarded request.
    pub(super) fn of_upstream(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let kept = headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name));
        let text = |(name, value): (&HeaderName, &http::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self { status: status.as_u16(), headers: kept.map(text).collect(), body }
    }

    /// The answer that a fault stands for, if it is an answer.
    pub(super) fn of_fault(fault: &Fault) -> Option<Self> {
        let json = "application/json";
        Some(match fault {
            Fault::Html => Self::new(200, &[("content-type", "text/html")], PAGE),
            Fault::ErrorInside => {
                let body = json!({ "error": { "message": "overloaded" } }).to_string();
                Self::new(200, &[("content-type", json)], body)
            }
            Fault::Status { status, headers, body } => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                Self::new(*status, &headers, body.clone())
            }
            Fault::RetryAfter(hint) => Self::too_many_requests(*hint),
            Fault::GzipBomb => Self::new(200, &[("content-type", json), ("content-encoding", "gzip")], BOMB.clone()),
            _ => return None,
        })
    }

    fn too_many_requests(hint: RetryAfter) -> Self {
        let value = match hint {
            RetryAfter::Seconds(seconds) => Some(seconds.to_string()),
            RetryAfter::Date(from_now) => Some(httpdate::fmt_http_date(SystemTime::now() + from_now)),
            RetryAfter::InBody(_) => None,
            RetryAfter::Day => Some(DAY.as_secs().to_string()),
            RetryAfter::Zero => Some("0".to_owned()),
            RetryAfter::Nonsense => Some("when the stars align".to_owned()),
        };
        let message = match hint {
            RetryAfter::InBody(seconds) => format!("Too many requests. Please try again in {seconds} seconds."),
            _ => "Too many requests.".to_owned(),
        };
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(value.as_deref().map(|value| ("retry-after", value)));
        Self::new(429, &headers, json!({ "message": message }).to_string())
    }

    fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, headers, body: body.into() }
    }

    /// Status line and headers, which announce the whole body.
    pub(super) fn head(&self) -> Vec<u8> {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Unknown"));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        head.into_bytes()
    }
}

const PAGE: &str =
    "<!doctype html><html><head><title>Just a moment</title></head><body><h1>Checking your browser</h1></body></html>";
