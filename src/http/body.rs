//! The request's body: whole, in time, within its limit, and text.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind};
use crate::text::is_utf_16;

/// Most bytes that are set aside because a client announced them; more is made room for as it comes.
const MAX_RESERVED_BYTES: usize = 4 << 20;

/// Reads the body. A body that is announced as too large is refused before it is read.
///
/// # Errors
/// `body_too_large`, `body_timeout`, `unsupported_encoding` or `invalid_json`.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Instant,
) -> Result<ByteString, Error> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("unreadable"));
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        let message = "compressed bodies are not read; send the JSON as it is, without Content-Encoding";
        return Err(Error::new(ErrorKind::UnsupportedEncoding, message));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let bytes = timeout_at(deadline, collect(body, length, limit)).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::BodyTimeout, "the body did not arrive in full before the deadline"))
    })?;
    let is_utf_16 = is_utf_16(&bytes);
    ByteString::try_from(bytes).map_err(|_| {
        let message = if is_utf_16 { "the body is UTF-16; send it as UTF-8" } else { "the body is not UTF-8" };
        Error::new(ErrorKind::InvalidJson, message)
    })
}

async fn collect(mut body: Body, length: Option<usize>, limit: usize) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| Error::new(ErrorKind::InvalidJson, "the connection broke before the whole body was here");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if whole.is_empty() {
            if length == Some(data.len()) {
                return Ok(data);
            }
            whole.reserve(length.unwrap_or(0).min(MAX_RESERVED_BYTES));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn too_large(limit: usize) -> Error {
    let message =
        format!("the body is larger than {limit} bytes (server.max_body_bytes); send fewer or shorter documents");
    Error::new(ErrorKind::BodyTooLarge, message)
}
