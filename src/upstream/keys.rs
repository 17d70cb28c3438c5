//! The keys of an upstream: one is used until the provider turns it away, then the next.

use std::time::Duration;

use http::HeaderValue;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::error::ErrorKind;

/// How long a key is left alone that was refused or is used up: long enough not to be a nuisance, short enough to notice a mended account.
const REFUSED: Duration = Duration::from_mins(5);
/// How long a key is left alone that was used too often, if the provider does not say.
const RATE_LIMITED: Duration = Duration::from_secs(5);

/// The keys, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: Vec<(SecretString, HeaderValue)>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: usize,
    /// Until when each key is left alone.
    resting: Vec<Option<Instant>>,
}

impl KeyRing {
    /// # Errors
    /// A sentence: a key cannot stand in a header.
    pub(crate) fn new(keys: &[SecretString]) -> Result<Self, String> {
        let keys: Vec<_> = keys.iter().map(|key| Ok((key.clone(), bearer(key)?))).collect::<Result<_, String>>()?;
        let state = State { current: 0, resting: vec![None; keys.len()] };
        Ok(Self { keys, state: Mutex::new(state) })
    }

    /// The key to show now, and its number; `None` if there are no keys.
    pub(super) fn current(&self) -> Option<(usize, HeaderValue)> {
        let current = self.state.lock().current;
        self.keys.get(current).map(|(_, header)| (current, header.clone()))
    }

    /// The provider turned key `number` away. Whether another one is worth a try at once.
    pub(super) fn turned_away(
        &self,
        number: usize,
        kind: ErrorKind,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> bool {
        let rest = match kind {
            ErrorKind::UpstreamRateLimited => retry_after.unwrap_or(RATE_LIMITED),
            ErrorKind::UpstreamUnauthorized | ErrorKind::UpstreamQuotaExhausted => REFUSED,
            _ => return false,
        };
        let mut state = self.state.lock();
        let State { current, resting } = &mut *state;
        resting[number] = Some(now + rest);
        let is_rested = |number: usize| resting[number].is_none_or(|until| until <= now);
        let count = self.keys.len();
        let next = (1..count).map(|step| (number + step) % count).find(|next| is_rested(*next));
        // If none is rested the one that is so first is shown.
        let soonest = || (0..count).min_by_key(|number| resting[*number]).unwrap_or(number);
        *current = next.unwrap_or_else(soonest);
        next.is_some()
    }

    /// Every key, so that none of them is ever told to a client.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(key, _)| key.expose_secret())
    }
}

fn bearer(key: &SecretString) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
        .map_err(|_| "the key holds characters that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::new(&keys.iter().map(|key| SecretString::from(*key)).collect::<Vec<_>>()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_used_until_it_is_turned_away() {
        let ring = ring(&["a", "b", "c"]);
        let current = || ring.current().unwrap().0;
        let away = |number, kind| ring.turned_away(number, kind, None, Instant::now());
        assert_eq!(current(), 0);
        assert!(away(0, ErrorKind::UpstreamUnauthorized));
        assert_eq!(current(), 1);
        assert!(away(1, ErrorKind::UpstreamRateLimited));
        assert!(away(1, ErrorKind::UpstreamRateLimited), "a late word about the same key");
        assert_eq!(current(), 2);
        assert!(!away(2, ErrorKind::UpstreamQuotaExhausted), "all rest");
        assert_eq!(current(), 1, "the one that is rested first");
        tokio::time::advance(REFUSED).await;
        assert!(away(1, ErrorKind::UpstreamRateLimited));
        assert!(!away(2, ErrorKind::UpstreamUnavailable), "that is not the key's fault");
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_stays_and_no_key_is_none() {
        let one = ring(&["a"]);
        assert!(!one.turned_away(0, ErrorKind::UpstreamUnauthorized, None, Instant::now()));
        assert_eq!(one.current().unwrap().0, 0);
        assert!(ring(&[]).current().is_none());
    }
}
