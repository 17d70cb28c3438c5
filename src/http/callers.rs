//! Who may ask, and whose scores they may see.

use http::{HeaderMap, HeaderName, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::cache::key::CacheScope;
use crate::error::{Error, ErrorKind};

const API_KEY_HEADERS: [HeaderName; 2] = [HeaderName::from_static("x-api-key"), HeaderName::from_static("api-key")];

/// The keys that open the door. Without any, it stands open.
#[derive(Debug, Default)]
pub struct Callers(Vec<Caller>);

#[derive(Debug)]
struct Caller {
    key: SecretString,
    scope: CacheScope,
}

impl Callers {
    /// The callers with these keys; with `shared` they use each other's scores.
    #[must_use]
    pub fn new(keys: &[SecretString], shared: bool) -> Self {
        let caller = |key: &SecretString| {
            let scope = if shared { CacheScope::SHARED } else { CacheScope::of_caller(key.expose_secret()) };
            Caller { key: key.clone(), scope }
        };
        Self(keys.iter().map(caller).collect())
    }

    /// Whose scores the bearer of these headers may see.
    ///
    /// # Errors
    /// `unauthorized` if keys are asked for and none of them is shown.
    pub fn identify(&self, headers: &HeaderMap) -> Result<CacheScope, Error> {
        if self.0.is_empty() {
            return Ok(CacheScope::SHARED);
        }
        let shown = shown_key(headers).ok_or_else(|| {
            Error::new(ErrorKind::Unauthorized, "a key is needed; send it as Authorization: Bearer KEY")
        })?;
        // All keys are compared, each in constant time, so that time tells nothing about them.
        let matches = |caller: &&Caller| bool::from(caller.key.expose_secret().as_bytes().ct_eq(shown.as_bytes()));
        let known = self.0.iter().filter(matches).fold(None, |_, caller| Some(caller.scope));
        known.ok_or_else(|| Error::new(ErrorKind::Unauthorized, "the key is not one of server.api_keys"))
    }
}

/// The key in `Authorization` (any case of the scheme, or no scheme) or in one of the usual key headers.
fn shown_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(|value| {
        let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        scheme.map_or(value, |scheme| &value[scheme.len()..]).trim()
    });
    let api_key = || API_KEY_HEADERS.iter().find_map(|name| headers.get(name)?.to_str().ok()).map(str::trim);
    authorization.filter(|key| !key.is_empty()).or_else(api_key)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn callers(shared: bool) -> Callers {
        Callers::new(&[SecretString::from("one"), SecretString::from("two")], shared)
    }

    fn identify(callers: &Callers, name: &'static str, value: &'static str) -> Option<CacheScope> {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        callers.identify(&headers).ok()
    }

    #[test]
    fn a_key_is_found_in_every_usual_place() {
        let callers = callers(false);
        let one = identify(&callers, "authorization", "Bearer one");
        assert!(one.is_some());
        for (name, value) in [
            ("authorization", "bearer one"),
            ("authorization", "BEARER   one "),
            ("authorization", "one"),
            ("x-api-key", "one"),
            ("api-key", "one"),
        ] {
            assert_eq!(identify(&callers, name, value), one, "{name}: {value}");
        }
        for value in ["Bearer three", "Bearer ", "Basic one", "Bearer on", "Bearer oneone"] {
            assert_eq!(identify(&callers, "authorization", value), None, "{value}");
        }
        assert!(callers.identify(&HeaderMap::new()).is_err());
    }

    #[test]
    fn callers_share_scores_only_if_configured_to() {
        let scopes = |shared| ["one", "two"].map(|key| identify(&callers(shared), "api-key", key).unwrap());
        assert_ne!(scopes(false)[0], scopes(false)[1]);
        assert_eq!(scopes(true)[0], scopes(true)[1]);
        assert_eq!(Callers::default().identify(&HeaderMap::new()).unwrap(), CacheScope::SHARED);
    }
}
