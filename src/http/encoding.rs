//! `Content-Encoding`: reading the header, and decompressing the bodies of requests within limits.

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use bytes::{Bytes, BytesMut};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use rerankd_core::error::{Error, ErrorKind};

use super::body::too_large;
use super::memory::Reservation;

/// Values of `Content-Encoding` that mean no compression: `identity`, and the character sets and media types that some
/// clients send.
const PLAIN: [&str; 17] = [
    "",
    "identity",
    "none",
    "utf-8",
    "utf8",
    "utf_8",
    "ascii",
    "us-ascii",
    "iso-8859-1",
    "latin1",
    "7bit",
    "8bit",
    "binary",
    "text",
    "text/plain",
    "json",
    "application/json",
];

/// Size of the buffer that a decoder writes to.
const OUTPUT_CHUNK_BYTES: usize = 64 << 10;
/// Compressed bytes between two calls of `is_wanted`: tens of milliseconds' work at worst.
const INPUT_CHUNK_BYTES: usize = 8 << 10;
/// Compressed bytes that may be read beyond twice the output so far. Real compression makes a body shorter; a body of
/// more input than output is made to cost time, by gzip members or blocks without content.
const MAX_EMPTY_BYTES: usize = 64 << 10;

/// The compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which HTTP calls `deflate`, or the bare stream of RFC 1951, which many clients send under that name.
    Zlib,
}

/// The compression that the headers declare; `None` for a plain body.
///
/// # Errors
/// `unsupported_encoding` for an unknown compression, or for two.
pub(super) fn compression(headers: &HeaderMap) -> Result<Option<Compression>, Error> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| unsupported("is not readable"))?;
        for word in value.split(',') {
            let word = word.trim().trim_matches('"').to_ascii_lowercase();
            let compression = match word.as_str() {
                word if PLAIN.contains(&word) || word.starts_with("charset=") => continue,
                "gzip" | "x-gzip" => Compression::Gzip,
                "deflate" => Compression::Zlib,
                _ => return Err(unsupported("is of another kind")),
            };
            if found.replace(compression).is_some() {
                return Err(unsupported("is named twice, and a body that is compressed twice is not read"));
            }
        }
    }
    Ok(found)
}

/// Decompresses a body, until `is_wanted` returns false. The bytes of output are added to the reservation.
///
/// # Errors
/// `body_too_large` above `max_bytes` of output, `overloaded`, or `invalid_json` for a body that cannot be
/// decompressed.
pub(super) fn decompress(
    compressed: &[u8],
    compression: Compression,
    max_bytes: usize,
    reservation: &mut Reservation,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Bytes, Error> {
    // Shared by input and output, because a decoder owns the input while it writes the output.
    let output_bytes = Cell::new(0);
    let mut input = CompressedInput { left: compressed, taken: 0, output_bytes: &output_bytes, is_wanted };
    let chunk = vec![0; OUTPUT_CHUNK_BYTES];
    let mut output = Output { bytes: BytesMut::new(), chunk, max_bytes, length: &output_bytes, reservation };
    match compression {
        Compression::Zlib if has_zlib_header(compressed) => output.read_from(&mut ZlibDecoder::new(input))?,
        Compression::Zlib => output.read_from(&mut DeflateDecoder::new(input))?,
        // A gzip file may consist of several members (RFC 1952, section 2.2).
        Compression::Gzip => loop {
            let mut member = GzDecoder::new(input);
            output.read_from(&mut member)?;
            input = member.into_inner();
            if input.left.is_empty() {
                break;
            }
        },
    }
    Ok(output.bytes.freeze())
}

/// The decompressed bytes so far, and their limits.
struct Output<'a> {
    bytes: BytesMut,
    /// The buffer that a decoder writes to.
    chunk: Vec<u8>,
    max_bytes: usize,
    /// Length of `bytes`, which [`CompressedInput`] compares with its own count.
    length: &'a Cell<usize>,
    reservation: &'a mut Reservation,
}

impl Output<'_> {
    /// Reads a decoder to its end.
    fn read_from(&mut self, decoder: &mut dyn Read) -> Result<(), Error> {
        loop {
            let length = match decoder.read(&mut self.chunk) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Or `CompressedInput` has given up: on input made to cost time, or because nobody waits for an answer.
                Err(_) => {
                    let message =
                        "the body is not what Content-Encoding says, or it was cut off; send it again, or uncompressed";
                    return Err(Error::new(ErrorKind::InvalidJson, message));
                }
            };
            if self.bytes.len() + length > self.max_bytes {
                return Err(too_large(self.max_bytes));
            }
            self.reservation.grow(length)?;
            self.bytes.extend_from_slice(&self.chunk[..length]);
            self.length.set(self.bytes.len());
        }
    }
}

/// A reader of the compressed bytes, in chunks. It fails once they have yielded too little output, or once nobody waits
/// for it. A decoder reads on inside one call while no output comes, so the checks must be here.
struct CompressedInput<'a> {
    /// The bytes that were not read yet.
    left: &'a [u8],
    /// Number of bytes that were read, over all members of a gzip file.
    taken: usize,
    /// Number of bytes that were decompressed, also over all members. [`Output`] sets it.
    output_bytes: &'a Cell<usize>,
    /// Returns false once nobody waits. It is asked before each chunk.
    is_wanted: &'a dyn Fn() -> bool,
}

impl BufRead for CompressedInput<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken > self.output_bytes.get().saturating_mul(2).saturating_add(MAX_EMPTY_BYTES) {
            return Err(io::Error::other("too little comes out"));
        }
        if !(self.is_wanted)() {
            return Err(io::Error::other("nobody waits"));
        }
        Ok(&self.left[..self.left.len().min(INPUT_CHUNK_BYTES)])
    }

    fn consume(&mut self, length: usize) {
        self.left = &self.left[length..];
        self.taken += length;
    }
}

impl Read for CompressedInput<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

/// Returns true if bytes begin with the header of RFC 1950 (section 2.2: method 8, and both bytes together a multiple
/// of 31), and not with a bare stream of RFC 1951.
fn has_zlib_header(bytes: &[u8]) -> bool {
    matches!(bytes, [method, check, ..] if method & 0x0F == 8 && u16::from_be_bytes([*method, *check]) % 31 == 0)
}

/// The `unsupported_encoding` error. `fault` completes "the body's Content-Encoding …".
fn unsupported(fault: &str) -> Error {
    let message = format!(
        "the body's Content-Encoding {fault}; send the JSON as it is, or compressed once, with gzip or deflate"
    );
    Error::new(ErrorKind::UnsupportedEncoding, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use flate2::Compression as Level;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::super::memory::MemoryBudget;
    use super::*;

    fn compression_of(values: &[&'static str]) -> Result<Option<Compression>, ErrorKind> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        compression(&headers).map_err(|error| error.kind)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn read(compressed: &[u8], compression: Compression, max_bytes: usize) -> Result<Bytes, ErrorKind> {
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let plain = decompress(compressed, compression, max_bytes, &mut budget.reservation(), &|| true);
        plain.map_err(|error| error.kind)
    }

    #[test]
    fn words_for_no_compression_are_understood() {
        for values in [&[][..], &["identity"], &[""], &["utf-8"], &["UTF8"], &["\"utf-8\""], &["identity, utf-8", ""]] {
            assert_eq!(compression_of(values), Ok(None), "{values:?}");
        }
    }

    #[test]
    fn one_compression_is_read_and_no_second() {
        for values in [&["gzip"][..], &["X-GZip"], &["identity, gzip"], &["", "gzip"], &["gzip,"]] {
            assert_eq!(compression_of(values), Ok(Some(Compression::Gzip)), "{values:?}");
        }
        assert_eq!(compression_of(&["deflate"]), Ok(Some(Compression::Zlib)));
        for values in [&["br"][..], &["zstd"], &["gzip, gzip"], &["gzip", "gzip"], &["gzip", "br"], &["gzip;q=1"]] {
            assert_eq!(compression_of(values), Err(ErrorKind::UnsupportedEncoding), "{values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_bytes(b"gz\xffip").unwrap());
        assert_eq!(compression(&headers).unwrap_err().kind, ErrorKind::UnsupportedEncoding);
    }

    #[test]
    fn bombs_and_broken_bodies_are_told() {
        let bomb = gzip(&vec![b' '; 8 << 20]);
        assert!(bomb.len() < 64 << 10);
        assert_eq!(read(&bomb, Compression::Gzip, 1 << 20), Err(ErrorKind::BodyTooLarge));
        assert_eq!(read(&bomb, Compression::Gzip, 8 << 20).unwrap().len(), 8 << 20);
        assert_eq!(read(&bomb[..bomb.len() / 2], Compression::Gzip, 8 << 20), Err(ErrorKind::InvalidJson));
        assert_eq!(read(b"{\"query\": 1}", Compression::Gzip, 1 << 20), Err(ErrorKind::InvalidJson));
        let budget = Arc::new(MemoryBudget::new(1 << 20));
        let refused = decompress(&bomb, Compression::Gzip, 8 << 20, &mut budget.reservation(), &|| true);
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Overloaded);
        assert_eq!(budget.used(), 0);
    }

    /// Number of calls of `is_wanted` until a body that yields nothing is refused.
    fn checks_until_refused(compressed: &[u8], compression: Compression) -> usize {
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let asked = Cell::new(0);
        let is_wanted = || {
            asked.set(asked.get() + 1);
            true
        };
        let refused = decompress(compressed, compression, usize::MAX, &mut budget.reservation(), &is_wanted);
        assert_eq!(refused.unwrap_err().kind, ErrorKind::InvalidJson);
        asked.get()
    }

    #[test]
    fn much_that_stands_for_nothing_is_refused_early() {
        let empty_members = gzip(b"").repeat(200_000);
        assert!(checks_until_refused(&empty_members, Compression::Gzip) < 2 * MAX_EMPTY_BYTES);
        let tiny_members = gzip(b"a").repeat(200_000);
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let refused = decompress(&tiny_members, Compression::Gzip, 1 << 20, &mut budget.reservation(), &|| true);
        assert_eq!(refused.unwrap_err().kind, ErrorKind::InvalidJson);
        // RFC 1951, section 3.2.4: a stored block of no bytes.
        let empty_blocks = [&[0x78, 0x01][..], &[0, 0, 0, 0xff, 0xff].repeat(200_000)].concat();
        assert!(checks_until_refused(&empty_blocks, Compression::Zlib) < 2 * MAX_EMPTY_BYTES / INPUT_CHUNK_BYTES);
    }

    #[test]
    fn nothing_is_decompressed_for_nobody() {
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let long = gzip(&vec![b' '; 64 << 20]);
        let asked = Cell::new(0);
        let is_wanted = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        let stopped = decompress(&long, Compression::Gzip, usize::MAX, &mut budget.reservation(), &is_wanted);
        assert!(stopped.is_err());
        assert_eq!(asked.get(), 3);
        assert!(budget.used() < 64 << 20);
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_out(plain: Vec<u8>, more: Vec<u8>) {
            prop_assert_eq!(read(&zlib(&plain), Compression::Zlib, usize::MAX).unwrap(), plain.clone());
            let mut members = gzip(&plain);
            members.extend(gzip(&more));
            prop_assert_eq!(read(&members, Compression::Gzip, usize::MAX).unwrap(), [plain, more].concat());
        }

        #[test]
        fn nothing_that_arrives_stops_the_server(noise: Vec<u8>) {
            drop(read(&noise, Compression::Gzip, 1 << 16));
            drop(read(&noise, Compression::Zlib, 1 << 16));
        }
    }
}
