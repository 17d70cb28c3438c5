//! The request's `Cache-Control` header (RFC 9111, section 5.2.1), as far as it means something for scores.

use http::{HeaderMap, header};

/// The uses of the cache that the client allows for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheControl {
    /// True if cached scores may be used (`no-cache` forbids it).
    pub read: bool,
    /// True if new scores may be stored (`no-store` forbids it).
    pub store: bool,
    /// True if only cached scores may be used and no upstream may be asked (`only-if-cached`).
    pub only_if_cached: bool,
}

impl Default for CacheControl {
    fn default() -> Self {
        Self { read: true, store: true, only_if_cached: false }
    }
}

impl CacheControl {
    /// The directives of all `Cache-Control` headers. Unknown directives are ignored, as the RFC demands.
    ///
    /// A directive counts even where its form breaks the RFC: with an argument, in quotes, after a semicolon, or beside
    /// bytes that are not text.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            // Read as bytes: `to_str` would drop a whole header, with its `no-store`, for one byte beyond ASCII.
            for directive in value.as_bytes().split(|byte| is_separator(*byte)) {
                let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
                if name.eq_ignore_ascii_case(b"no-cache") {
                    control.read = false;
                } else if name.eq_ignore_ascii_case(b"no-store") {
                    control.store = false;
                } else if name.eq_ignore_ascii_case(b"only-if-cached") {
                    control.only_if_cached = true;
                }
            }
        }
        control
    }
}

/// Returns true for bytes between directives: commas, and those that clients put in their place or around them.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'"') || byte.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parsed(values: &[&'static str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_static(value));
        }
        CacheControl::from_headers(&headers)
    }

    #[test]
    fn directives_are_read_in_any_case_and_from_several_headers() {
        assert_eq!(parsed(&[]), CacheControl::default());
        assert_eq!(parsed(&["max-age=0, foo"]), CacheControl::default());
        assert_eq!(
            parsed(&["No-Cache , max-age=0", "NO-STORE"]),
            CacheControl { read: false, store: false, only_if_cached: false }
        );
        assert!(parsed(&["only-if-cached"]).only_if_cached);
    }

    /// Attack 16, in other spellings: scores were stored although `no-store` was sent.
    #[test]
    fn no_store_is_understood_however_it_is_put() {
        for value in [
            "no-store=1",
            "\"no-store\"",
            "no-store;",
            "max-age=0; no-store",
            "no-cache no-store",
            "private,no-store",
            " \tno-store\t",
            "x=\"\u{e4}\", No-Store",
        ] {
            let mut headers = HeaderMap::new();
            headers.append(header::CACHE_CONTROL, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            assert!(!CacheControl::from_headers(&headers).store, "{value}");
        }
        for value in ["no-storey", "x=no-store", "x-no-store", "store", ""] {
            assert_eq!(parsed(&[value]), CacheControl::default(), "{value}");
        }
    }
}
