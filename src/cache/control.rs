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
    /// Reads every `Cache-Control` header; unknown directives are ignored, as the RFC demands.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        let mut control = Self::default();
        for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
            if directive.eq_ignore_ascii_case("no-cache") {
                control.read = false;
            } else if directive.eq_ignore_ascii_case("no-store") {
                control.store = false;
            } else if directive.eq_ignore_ascii_case("only-if-cached") {
                control.only_if_cached = true;
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
}
