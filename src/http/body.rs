//! The request's body: whole, in time, within its limits, and text.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::encoding::{compression, decompress};
use super::memory::{MemoryBudget, Reservation};
use crate::error::{Error, ErrorKind};
use crate::rerank::offload::{OFFLOAD_WIRE_BYTES, offload};
use crate::text::{is_utf_16, with_surrogates_read};

/// Most bytes that are set aside because a client announced them; more is made room for as it comes.
const MAX_RESERVED_BYTES: usize = 4 << 20;
/// How gzip begins (RFC 1952).
const GZIP_MARK: [u8; 2] = [0x1F, 0x8B];

/// Reads the body. A body that is announced as too large is refused before it is read. Its bytes count for as long as any part of it is
/// in memory.
///
/// # Errors
/// `body_too_large`, `overloaded`, `body_timeout`, `unsupported_encoding` or `invalid_json`.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    memory: &Arc<MemoryBudget>,
    deadline: Instant,
) -> Result<TextBody, Error> {
    let compression = compression(headers)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    memory.check(length.unwrap_or(0))?;
    let mut reservation = memory.reservation();
    let collected = timeout_at(deadline, collect(body, length, limit, &mut reservation)).await;
    let mut bytes = collected.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::BodyTimeout, "the body did not arrive in full before the deadline"))
    })?;
    if let Some(compression) = compression {
        let compressed = reservation.hold(bytes);
        let mut grown = memory.reservation();
        // A few bytes can stand for many, so this goes where large work goes, whatever their number.
        let plain = offload(usize::MAX, OFFLOAD_WIRE_BYTES, move || {
            decompress(&compressed, compression, limit, &mut grown).map(|plain| (plain, grown))
        });
        (bytes, reservation) = plain.await?;
    }
    if is_utf_16(&bytes) {
        return Err(Error::new(ErrorKind::InvalidJson, "the body is UTF-16; send it as UTF-8"));
    }
    let bytes = reservation.hold(bytes);
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
