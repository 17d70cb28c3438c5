//! The body of a request: received before the deadline, within its limits, decompressed and checked to be text.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use faststr::FastStr;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use rerankd_core::blocking::offload::{OFFLOAD_WIRE_BYTES, offload, offload_while_wanted};
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::text::{is_utf_16, with_surrogates_read};
use tokio::time::{Instant, timeout_at};

use super::encoding::{Compression, compression, decompress};
use super::memory::{MemoryBudget, Reservation};

/// The first two bytes of a gzip stream (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// A body as the client sent it, perhaps compressed.
pub(super) struct Received {
    bytes: Bytes,
    compression: Option<Compression>,
    /// The part of the memory budget that `bytes` take.
    reservation: Reservation,
}

/// Receives the whole body. A `Content-Length` above the limit is refused before anything is read. The bytes count in
/// the memory budget for as long as any part of them is in memory.
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
    let length = content_length(headers);
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    // Nothing is taken yet: a client that announces a large body and does not send it takes no room from others.
    memory.check(length.unwrap_or(0))?;
    let mut reservation = memory.reservation();
    let Ok(collected) = timeout_at(deadline, collect(body, length, limit, &mut reservation)).await else {
        return Err(Error::new(ErrorKind::BodyTimeout, "the body did not arrive in full before the deadline"));
    };
    Ok(Received { bytes: collected?, compression, reservation })
}

/// The announced length of the body in bytes; `None` if there is no such header or it is no number. hyper
/// delivers no more than that.
fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Received {
    /// Decompresses the body and checks that it is text. A few bytes can mean much work, so the caller must hold a
    /// permit of `App::in_flight_limit`.
    ///
    /// # Errors
    /// `body_too_large`, `overloaded`, `deadline_exceeded` or `invalid_json`.
    pub(super) async fn text(
        self,
        limit: usize,
        memory: &Arc<MemoryBudget>,
        deadline: Instant,
    ) -> Result<TextBody, Error> {
        let received = self.reservation.hold(self.bytes);
        let Some(compression) = self.compression else { return text(received, memory).await };
        let mut reservation = memory.reservation();
        // Always on another thread: the compressed size says nothing about the work.
        let decompression = offload_while_wanted(move |is_wanted| -> Result<Bytes, Error> {
            let plain = decompress(&received, compression, limit, &mut reservation, is_wanted)?;
            Ok(reservation.hold(plain))
        });
        let Ok(decompressed) = timeout_at(deadline, decompression).await else {
            return Err(Error::new(ErrorKind::DeadlineExceeded, "the deadline passed while the body was decompressed"));
        };
        text(decompressed?, memory).await
    }
}

/// Checks that a body without compression is text, and repairs the surrogates in it.
///
/// # Errors
/// `invalid_json` if it is no text, or `overloaded` if there is no memory for a repaired copy.
async fn text(bytes: Bytes, memory: &Arc<MemoryBudget>) -> Result<TextBody, Error> {
    if is_utf_16(&bytes) {
        return Err(Error::new(ErrorKind::InvalidJson, "the body is UTF-16; send it as UTF-8"));
    }
    if let Ok(text) = FastStr::from_bytes(bytes.clone()) {
        return Ok(TextBody { text, lone_surrogates: 0 });
    }
    // A second check, only of what failed the first: that one is quick, but does not say where it failed.
    let valid_bytes = match std::str::from_utf8(&bytes) {
        Ok(text) => text.len(),
        Err(fault) => fault.valid_up_to(),
    };
    let is_gzip = bytes.starts_with(&GZIP_MAGIC);
    if !starts_with_surrogate(&bytes[valid_bytes..]) {
        return Err(not_text(is_gzip));
    }
    // The repaired text is a copy, for which as many bytes are allocated as the body has. Repair makes none longer.
    let length = bytes.len();
    let mut reservation = memory.reservation();
    reservation.grow(length)?;
    // The reservation goes along: a client that disconnects ends this future, but not the thread that holds the copy.
    let repair = offload(length, OFFLOAD_WIRE_BYTES, move || {
        let (repaired, lone_surrogates) = with_surrogates_read(&bytes)?;
        Some((reservation.hold(repaired.into()), lone_surrogates))
    });
    let Some((repaired, lone_surrogates)) = repair.await else { return Err(not_text(is_gzip)) };
    let text = FastStr::from_bytes(repaired).map_err(|_| not_text(is_gzip))?;
    Ok(TextBody { text, lone_surrogates })
}

/// Returns true if bytes begin with a surrogate that is encoded as if it were a character. No other fault is repaired.
fn starts_with_surrogate(bytes: &[u8]) -> bool {
    matches!(bytes, [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..])
}

/// The error of a body that is not UTF-8. Clients that forget `Content-Encoding` are told so.
fn not_text(is_gzip: bool) -> Error {
    let message = if is_gzip {
        "the body is compressed with gzip; say so with Content-Encoding: gzip, or send it as it is"
    } else {
        "the body is not UTF-8"
    };
    Error::new(ErrorKind::InvalidJson, message)
}

/// A body after all checks of its bytes.
pub(super) struct TextBody {
    /// The decompressed body, which counts in the memory budget.
    pub(super) text: FastStr,
    /// Number of lone surrogates that were encoded as bytes; each is now U+FFFD.
    pub(super) lone_surrogates: usize,
}

/// Collects the frames of a body into one buffer, within `limit` bytes and the reservation's budget.
async fn collect(
    mut body: Body,
    length: Option<usize>,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Error> {
    let mut whole = reservation.buffer();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Error::new(ErrorKind::InvalidJson, "the connection broke before the whole body was here"));
        };
        // Trailers.
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        reservation.grow(data.len())?;
        // Most bodies arrive in one frame and need no copy.
        if whole.as_ref().is_empty() && length == Some(data.len()) {
            return Ok(data);
        }
        whole.extend(&data, length);
    }
    Ok(Bytes::from_owner(whole))
}

/// The error of a body above `limit` bytes, compressed or not.
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
    async fn a_body_is_repaired_only_if_the_budget_has_room_for_the_copy() {
        // The second one has a fault after the surrogate, so that it cannot be repaired in the end.
        let surrogate = Bytes::from_static(b"\"\xed\xa0\x80 in a body of more than 30 bytes\"");
        let surrogate_and_fault = Bytes::from_static(b"\"\xed\xa0\x80\xff in a body of more than 30 bytes\"");
        let roomy = Arc::new(MemoryBudget::new(surrogate.len()));
        let repaired = text(surrogate.clone(), &roomy).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (&*repaired.text, repaired.lone_surrogates, roomy.used()),
            ("\"\u{fffd} in a body of more than 30 bytes\"", 1, surrogate.len())
        );
        drop(repaired);
        assert_eq!(roomy.used(), 0);
        let full = Arc::new(MemoryBudget::new(1));
        for bytes in [surrogate, surrogate_and_fault] {
            let refused = text(bytes, &full).await;
            assert_eq!(refused.err().map(|error| error.kind), Some(ErrorKind::Overloaded));
            assert_eq!(full.used(), 0);
        }
        let other_fault = text(Bytes::from_static(b"\"\xff\""), &full).await;
        assert_eq!(other_fault.err().map(|error| error.kind), Some(ErrorKind::InvalidJson), "nothing is copied");
    }

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
