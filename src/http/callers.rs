//! Callers: the keys that admit a request, and the share of the cache that each key may use.

use http::{HeaderMap, HeaderName, header};
use rerankd_core::cache::key::CacheScope;
use rerankd_core::error::{Error, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::dialect::Dialect;
use crate::http::settings::ApiKey;

/// Headers that carry a key, beside `Authorization`.
const API_KEY_HEADERS: [HeaderName; 2] = [HeaderName::from_static("x-api-key"), HeaderName::from_static("api-key")];

/// The keys of `server.api_keys` with their callers. Without any key, every request is admitted.
#[derive(Debug, Default)]
pub struct Callers(Vec<(SecretString, Caller)>);

/// The owner of a key.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The part of the cache that the caller reads and writes.
    pub scope: CacheScope,
    /// The dialect that the configuration binds to the key.
    pub dialect: Option<&'static dyn Dialect>,
}

impl Caller {
    /// The caller of a request that needs no key.
    pub const ANYBODY: Self = Self { scope: CacheScope::SHARED, dialect: None };
}

impl Callers {
    /// The callers with these keys. With `shared` they all use one cache scope.
    #[must_use]
    pub fn new(keys: &[ApiKey], shared: bool) -> Self {
        let mut callers = Vec::with_capacity(keys.len());
        for ApiKey { key, dialect } in keys {
            let scope = if shared { CacheScope::SHARED } else { CacheScope::of_caller(key.expose_secret()) };
            callers.push((key.clone(), Caller { scope, dialect: *dialect }));
        }
        Self(callers)
    }

    /// Returns true if a request must show a key.
    #[must_use]
    pub fn are_asked(&self) -> bool {
        !self.0.is_empty()
    }

    /// The caller whose key is in `headers`.
    ///
    /// # Errors
    /// `unauthorized` if a key is needed and none of the known ones is shown.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        if !self.are_asked() {
            return Ok(Caller::ANYBODY);
        }
        let shown = shown_keys(headers);
        if shown.is_empty() {
            return Err(Error::new(ErrorKind::Unauthorized, "a key is needed; send it as Authorization: Bearer KEY"));
        }
        // Every key is compared with every shown one, each in constant time and without an early end, so that the
        // time taken reveals nothing about the keys.
        let mut known = None;
        for (key, caller) in &self.0 {
            let mut is_shown = false;
            for candidate in &shown {
                is_shown |= bool::from(key.expose_secret().as_bytes().ct_eq(candidate.as_bytes()));
            }
            if is_shown {
                known = Some(*caller);
            }
        }
        known.ok_or_else(|| Error::new(ErrorKind::Unauthorized, "the key is not one of server.api_keys"))
    }
}

/// The keys in `Authorization` and in the other usual headers. All of them count: a client without a key for the first
/// often sends a placeholder there and the key in another.
fn shown_keys(headers: &HeaderMap) -> Vec<&str> {
    let mut keys = Vec::with_capacity(1 + API_KEY_HEADERS.len());
    if let Some(value) = header_text(headers, &header::AUTHORIZATION) {
        let (scheme, key) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        // Some clients send the key without a scheme, others with `bearer` in any case.
        keys.push(if scheme.eq_ignore_ascii_case("bearer") { key.trim() } else { value });
    }
    for name in &API_KEY_HEADERS {
        if let Some(key) = header_text(headers, name) {
            keys.push(key);
        }
    }
    keys.retain(|key| !key.is_empty());
    keys
}

/// The value of a header without blanks around it; `None` if it is missing or not visible ASCII.
fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.trim())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn callers(shared: bool) -> Callers {
        let key = |key: &str| ApiKey { key: SecretString::from(key), dialect: None };
        Callers::new(&[key("one"), key("two")], shared)
    }

    fn identify(callers: &Callers, name: &'static str, value: &'static str) -> Option<CacheScope> {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        callers.identify(&headers).ok().map(|caller| caller.scope)
    }

    #[test]
    fn a_key_is_found_in_every_usual_place() {
        let callers = callers(false);
        let one = identify(&callers, "authorization", "Bearer one");
        assert!(one.is_some());
        for (name, value) in [
            ("authorization", "bearer one"),
            ("authorization", "BEARER   one "),
            ("authorization", "Bearer\tone"),
            ("authorization", "one"),
            ("x-api-key", "one"),
            ("api-key", "one"),
        ] {
            assert_eq!(identify(&callers, name, value), one, "{name}: {value}");
        }
        for placeholder in ["Bearer", "Bearer None", "Bearer fake-api-key"] {
            let headers = [("authorization", placeholder), ("x-api-key", "one")];
            let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let scope = callers.identify(&HeaderMap::from_iter(headers)).unwrap().scope;
            assert_eq!(Some(scope), one, "{placeholder}");
        }
        for value in ["Bearer three", "Bearer", "Basic one", "Bearer on", "Bearer oneone"] {
            assert_eq!(identify(&callers, "authorization", value), None, "{value}");
        }
        assert!(callers.identify(&HeaderMap::new()).is_err());
    }

    #[test]
    fn callers_share_scores_only_if_configured_to() {
        let scopes = |shared| ["one", "two"].map(|key| identify(&callers(shared), "api-key", key).unwrap());
        assert_ne!(scopes(false)[0], scopes(false)[1]);
        assert_eq!(scopes(true)[0], scopes(true)[1]);
        assert_eq!(Callers::default().identify(&HeaderMap::new()).unwrap().scope, CacheScope::SHARED);
    }
}
