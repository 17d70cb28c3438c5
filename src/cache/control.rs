//! The request's `Cache-Control` header (RFC 9111, section 5.2.1), as far as it means something for scores.

use http::{HeaderMap, header};

/// What the client allows the cache to do for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheControl {
    /// Known scores may be used (`no-cache` forbids it).
    pub read: bool,
    /// New scores may be kept (`no-store` forbids it).
    pub store: bool,
    /// Only known scores may be used, nothing may be asked upstream (`only-if-cached`).
    pub only_if_cached: bool,
}

impl Default for CacheControl {
    fn default() -> Self {
        Self { read: true, store: true, only_if_cached: false }
    }
}

impl CacheControl {
    /// Reads every `Cache-Control` header; unknown directives are ignored, as the RFC demands. Who asks for nothing to be kept is
    /// understood even if it is not put as the RFC has it: with an argument, in quotes, behind a semicolon, beside bytes that are no text.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            let is_between = |byte: &u8| matches!(byte, b',' | b';' | b'"') || byte.is_ascii_whitespace();
            for directive in value.as_bytes().split(is_between) {
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

    /// Attack 16, in other spellings: what was asked not to be kept was kept.
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
