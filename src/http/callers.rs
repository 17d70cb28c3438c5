//! Who may ask, and whose scores they may see.

use http::{HeaderMap, HeaderName, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::cache::key::CacheScope;
use crate::config::settings::ApiKey;
use crate::dialect::Dialect;
use crate::error::{Error, ErrorKind};

const API_KEY_HEADERS: [HeaderName; 2] = [HeaderName::from_static("x-api-key"), HeaderName::from_static("api-key")];

/// The keys that open the door. Without any, it stands open.
#[derive(Debug, Default)]
pub struct Callers(Vec<(SecretString, Caller)>);

/// Whoever asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Whose scores may be used.
    pub scope: CacheScope,
    /// The dialect that the configuration binds to the key.
    pub dialect: Option<&'static dyn Dialect>,
}

impl Caller {
    /// Whoever asks where no key is needed.
    pub const ANYBODY: Self = Self { scope: CacheScope::SHARED, dialect: None };
}

impl Callers {
    /// The callers with these keys; with `shared` they use each other's scores.
    #[must_use]
    pub fn new(keys: &[ApiKey], shared: bool) -> Self {
        let caller = |ApiKey { key, dialect }: &ApiKey| {
            let scope = if shared { CacheScope::SHARED } else { CacheScope::of_caller(key.expose_secret()) };
            (key.clone(), Caller { scope, dialect: *dialect })
        };
        Self(keys.iter().map(caller).collect())
    }

    /// Whether a request must show a key.
    #[must_use]
    pub fn are_asked(&self) -> bool {
        !self.0.is_empty()
    }

    /// The bearer of these headers.
    ///
    /// # Errors
    /// `unauthorized` if keys are asked for and none of them is shown.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        if !self.are_asked() {
            return Ok(Caller::ANYBODY);
        }
        let shown = shown_keys(headers);
        if shown.is_empty() {
            return Err(Error::new(ErrorKind::Unauthorized, "a key is needed; send it as Authorization: Bearer KEY"));
        }
        // All keys are compared, each in constant time, so that time tells nothing about them.
        let is_shown = |key: &SecretString| {
            let same = |shown: &&str| key.expose_secret().as_bytes().ct_eq(shown.as_bytes());
            shown.iter().fold(false, |found, shown| found | bool::from(same(shown)))
        };
        let known = self.0.iter().filter(|(key, _)| is_shown(key)).fold(None, |_, (_, caller)| Some(*caller));
        known.ok_or_else(|| Error::new(ErrorKind::Unauthorized, "the key is not one of server.api_keys"))
    }
}

/// The keys in `Authorization` (any case of the scheme, or no scheme) and in the other usual headers. Clients that were given no key for the
/// one often send a placeholder there and the key in another.
fn shown_keys(headers: &HeaderMap) -> Vec<&str> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = text(&header::AUTHORIZATION).map(|value| {
        let (scheme, key) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        if scheme.eq_ignore_ascii_case("bearer") { key.trim() } else { value }
    });
    bearer.into_iter().chain(API_KEY_HEADERS.iter().filter_map(text)).filter(|key| !key.is_empty()).collect()
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
