//! The request's body: whole, in time, within its limits, and text.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::encoding::{Compression, compression, decompress};
use super::memory::{MemoryBudget, Reservation};
use crate::error::{Error, ErrorKind};
use crate::rerank::offload::{OFFLOAD_WIRE_BYTES, offload, offload_while_wanted};
use crate::text::{is_utf_16, with_surrogates_read};

/// Most bytes that are set aside because a client announced them; more is made room for as it comes.
const MAX_RESERVED_BYTES: usize = 64 << 10;
/// How gzip begins (RFC 1952).
const GZIP_MARK: [u8; 2] = [0x1F, 0x8B];

/// A body as it came.
pub(super) struct Received {
    bytes: Bytes,
    compression: Option<Compression>,
    /// Holds the bytes' place in memory.
    reservation: Reservation,
}

/// Waits for the whole body. A body that is announced as too large is refused before it is read. Its bytes count for as long as any part of it
/// is in memory.
///
/// # Errors
/// `body_too_large`, `overloaded`, `body_timeout`, `unsupported_encoding` or `invalid_json`.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    memory: &Arc<MemoryBudget>,
    deadline: Instant,
) -> Result<Received, Error> {
    let compression = compression(headers)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    memory.check(length.unwrap_or(0))?;
    let mut reservation = memory.reservation();
    let collected = timeout_at(deadline, collect(body, length, limit, &mut reservation)).await;
    let bytes = collected.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::BodyTimeout, "the body did not arrive in full before the deadline"))
    })?;
    Ok(Received { bytes, compression, reservation })
}

impl Received {
    /// The body's text, decompressed. That can be much work for few bytes, so whoever calls this holds a place among the requests under way.
    ///
    /// # Errors
    /// `body_too_large`, `overloaded`, `deadline_exceeded` or `invalid_json`.
    pub(super) async fn text(
        self,
        limit: usize,
        memory: &Arc<MemoryBudget>,
        deadline: Instant,
    ) -> Result<TextBody, Error> {
        let Some(compression) = self.compression else { return text(self.reservation.hold(self.bytes), memory).await };
        let compressed = self.reservation.hold(self.bytes);
        let mut grown = memory.reservation();
        // A few bytes can stand for many, so this goes where large work goes, whatever their number.
        let decompressed = offload_while_wanted(move |is_wanted| {
            let plain = decompress(&compressed, compression, limit, &mut grown, is_wanted)?;
            Ok(grown.hold(plain))
        });
        let late = || Error::new(ErrorKind::DeadlineExceeded, "the deadline passed while the body was decompressed");
        let plain = timeout_at(deadline, decompressed).await.unwrap_or_else(|_| Err(late()))?;
        text(plain, memory).await
    }
}

/// The text of a body that is not compressed any more.
async fn text(bytes: Bytes, memory: &Arc<MemoryBudget>) -> Result<TextBody, Error> {
    if is_utf_16(&bytes) {
        return Err(Error::new(ErrorKind::InvalidJson, "the body is UTF-16; send it as UTF-8"));
    }
    if let Ok(text) = ByteString::try_from(bytes.clone()) {
        return Ok(TextBody { text, halves: 0 });
    }
    let is_gzip = bytes.starts_with(&GZIP_MARK);
    let no_text = || {
        let message = if is_gzip {
            "the body is compressed with gzip; say so with Content-Encoding: gzip, or send it as it is"
        } else {
            "the body is not UTF-8"
        };
        Error::new(ErrorKind::InvalidJson, message)
    };
    let read = offload(bytes.len(), OFFLOAD_WIRE_BYTES, move || with_surrogates_read(&bytes)).await;
    let (text, halves) = read.ok_or_else(no_text)?;
    let mut reservation = memory.reservation();
    reservation.grow(text.len())?;
    let text = ByteString::try_from(reservation.hold(text.into())).map_err(|_| no_text())?;
    Ok(TextBody { text, halves })
}

/// A body that is text.
pub(super) struct TextBody {
    /// The text.
    pub(super) text: ByteString,
    /// How many halves of surrogate pairs stood in it as bytes; U+FFFD stands for each.
    pub(super) halves: usize,
}

async fn collect(
    mut body: Body,
    length: Option<usize>,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| Error::new(ErrorKind::InvalidJson, "the connection broke before the whole body was here");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        reservation.grow(data.len())?;
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

pub(super) fn too_large(limit: usize) -> Error {
    let message =
        format!("the body is larger than {limit} bytes (server.max_body_bytes); send fewer or shorter documents");
    Error::new(ErrorKind::BodyTooLarge, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    #[tokio::test]
    async fn the_deadline_ends_decompression() {
        let memory = Arc::new(MemoryBudget::new(usize::MAX));
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b' '; 64 << 20]).unwrap();
        let bytes = Bytes::from(encoder.finish().unwrap());
        let received = Received { bytes, compression: Some(Compression::Gzip), reservation: memory.reservation() };
        let late = received.text(usize::MAX, &memory, Instant::now()).await;
        assert_eq!(late.err().map(|error| error.kind), Some(ErrorKind::DeadlineExceeded));
    }
}
