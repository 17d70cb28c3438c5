//! The keys of an upstream: one is used until the provider turns it away, then the next.
//!
//! A refusal (401, 402, 403) can be about the key or about the call: firewalls of providers answer 403 to texts that they do not like. What one
//! caller sends must not take keys from others, so the call itself finds out: if the next key is taken for it, the first one was to blame and rests;
//! if that is refused alike, the call was, and both are used as before. Until that is known a refusal is a suspicion, and
//! another call falls back on the key rather than fail.

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
    /// Why each key is left alone, if it is.
    resting: Vec<Option<Rest>>,
}

/// A key is left alone.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    /// Whether it is open if the key was refused, or a call.
    is_suspicion: bool,
}

/// A key that was refused for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusedKey {
    number: usize,
    status: u16,
}

/// How a key was turned away.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnedAway {
    pub(super) number: usize,
    pub(super) status: u16,
    pub(super) kind: ErrorKind,
    pub(super) retry_after: Option<Duration>,
}

impl KeyRing {
    /// # Errors
    /// A sentence: a key cannot stand in a header.
    pub(crate) fn new(keys: &[SecretString]) -> Result<Self, String> {
        let keys: Vec<_> = keys.iter().map(|key| Ok((key.clone(), bearer(key)?))).collect::<Result<_, String>>()?;
        let state = State { current: 0, resting: vec![None; keys.len()] };
        Ok(Self { keys, state: Mutex::new(state) })
    }

    /// The key to show now for a call for which `refused` were refused before, and its number; `None` if there are no keys.
    pub(super) fn choose(&self, refused: &[RefusedKey], now: Instant) -> Option<(usize, HeaderValue)> {
        let state = self.state.lock();
        let is_refused = refused.iter().any(|refused| refused.number == state.current);
        let other = if is_refused { state.other(state.current, refused, now) } else { None };
        let number = other.unwrap_or(state.current);
        self.keys.get(number).map(|(_, header)| (number, header.clone()))
    }

    /// The provider turned a key away for a call, and those of `refused` before, to which it is added. Whether another one is worth a try at once.
    pub(super) fn turned_away(&self, key: TurnedAway, refused: &mut Vec<RefusedKey>, now: Instant) -> bool {
        let TurnedAway { number, status, kind, retry_after } = key;
        let is_refusal = matches!(kind, ErrorKind::UpstreamUnauthorized | ErrorKind::UpstreamQuotaExhausted);
        let rest = match kind {
            ErrorKind::UpstreamRateLimited => retry_after.unwrap_or(RATE_LIMITED),
            _ if is_refusal => REFUSED,
            _ => return false,
        };
        let mut state = self.state.lock();
        let is_known = state.resting[number].is_some_and(|rest| !rest.is_suspicion && now < rest.until);
        if !(is_refusal && is_known) {
            state.resting[number] = Some(Rest { until: now + rest, is_suspicion: is_refusal });
        }
        if is_refusal {
            refused.push(RefusedKey { number, status });
        }
        let is_alike = |other: &RefusedKey| other.number != number && other.status == status;
        let first_alike = refused.iter().find(|other| is_alike(other)).map(|other| other.number);
        if let Some(first) = first_alike.filter(|_| is_refusal) {
            state.wake(refused, status);
            state.current = first;
            return state.other(number, refused, now).is_some();
        }
        // If there is no other, one is shown of which it is open whether it was refused; else the one that is rested first.
        let next = state.other(number, refused, now);
        let rank = |number: &usize| state.resting[*number].map(|rest| (!rest.is_suspicion, rest.until));
        let soonest = || (0..self.keys.len()).min_by_key(rank);
        state.current = next.or_else(soonest).unwrap_or(number);
        next.is_some()
    }

    /// A key was taken for a call for which all of `refused` were not: it is they that were refused, and not the call.
    pub(super) fn taken(&self, number: usize, refused: &[RefusedKey], now: Instant) {
        let mut state = self.state.lock();
        for key in refused.iter().filter(|key| key.number != number) {
            state.resting[key.number] = Some(Rest { until: now + REFUSED, is_suspicion: false });
        }
        state.resting[number] = None;
        state.current = number;
    }

    /// Every key, so that none of them is ever told to a client.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(key, _)| key.expose_secret())
    }
}

impl State {
    /// The next key after `number` that was not refused for the call: one that is rested, or else one of which it is not known whether it, or a
    /// call, was refused.
    fn other(&self, number: usize, refused: &[RefusedKey], now: Instant) -> Option<usize> {
        let count = self.resting.len();
        let is_untried = |next: &usize| refused.iter().all(|key| key.number != *next);
        let others: Vec<usize> = (1..count).map(|step| (number + step) % count).filter(is_untried).collect();
        let is_rested = |next: &&usize| self.resting[**next].is_none_or(|rest| rest.until <= now);
        let is_suspicion = |next: &&usize| self.resting[**next].is_some_and(|rest| rest.is_suspicion);
        others.iter().find(is_rested).or_else(|| others.iter().find(is_suspicion)).copied()
    }

    /// Several keys were refused alike for one call: it is the call that was.
    fn wake(&mut self, refused: &[RefusedKey], status: u16) {
        for key in refused.iter().filter(|key| key.status == status) {
            let rest = &mut self.resting[key.number];
            *rest = rest.filter(|rest| !rest.is_suspicion);
        }
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

    /// One call: shows keys until one is taken or there is no other, and returns those that were shown.
    fn call(ring: &KeyRing, answer: impl Fn(usize) -> u16) -> Vec<usize> {
        let mut shown = Vec::new();
        let mut refused = Vec::new();
        loop {
            let now = Instant::now();
            let (number, _) = ring.choose(&refused, now).unwrap();
            shown.push(number);
            let status = answer(number);
            if status == 200 {
                if !refused.is_empty() {
                    ring.taken(number, &refused, now);
                }
                return shown;
            }
            let kind = super::super::error::kind_of_status(status);
            let key = TurnedAway { number, status, kind, retry_after: None };
            if !ring.turned_away(key, &mut refused, now) {
                return shown;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_used_until_it_is_turned_away() {
        let ring = ring(&["a", "b", "c"]);
        for status in [401, 402, 403, 429] {
            let turns_first_away = |number| if number == 0 { status } else { 200 };
            assert_eq!(call(&ring, turns_first_away), [0, 1], "{status}");
            assert_eq!(call(&ring, turns_first_away), [1], "{status}");
            tokio::time::advance(REFUSED).await;
            assert_eq!(call(&ring, |number| if number == 1 { 401 } else { 200 }), [1, 2], "{status}");
            assert_eq!(call(&ring, |number| if number == 2 { 429 } else { 200 }), [2, 0], "{status}");
            tokio::time::advance(REFUSED).await;
        }
        assert_eq!(call(&ring, |_| 503), [0], "that is not the key's fault");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_used_too_often_come_back_when_they_are_rested() {
        let ring = ring(&["a", "b"]);
        assert_eq!(call(&ring, |number| if number == 0 { 401 } else { 200 }), [0, 1]);
        assert_eq!(call(&ring, |_| 429), [1], "the other one is refused");
        assert_eq!(call(&ring, |_| 200), [1], "it is rested first");
    }

    /// One caller's texts, forbidden by a firewall of the provider, took keys from everybody for five minutes.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_refused_with_two_keys_is_itself_to_blame() {
        for status in [402, 403] {
            let two = ring(&["a", "b"]);
            let three = ring(&["a", "b", "c"]);
            for _ in 0..3 {
                assert_eq!(call(&two, |_| status), [0, 1]);
                assert_eq!(call(&two, |_| 200), [0], "as before");
                assert_eq!(call(&three, |_| status), [0, 1, 2]);
                assert_eq!(call(&three, |_| 200), [0], "as before");
            }
            assert_eq!(call(&two, |number| if number == 0 { 429 } else { 200 }), [0, 1], "none rests");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_others_prove_wrong_is_not_woken() {
        let ring = ring(&["a", "b", "c"]);
        assert_eq!(call(&ring, |number| if number == 2 { 200 } else { 403 }), [0, 1, 2]);
        assert_eq!(call(&ring, |_| 403), [2], "the two others are known to be wrong");
        assert_eq!(call(&ring, |_| 200), [2]);
        tokio::time::advance(REFUSED).await;
        assert_eq!(call(&ring, |_| 403), [2, 0, 1]);
    }

    /// A call that could not be tried again left a key under suspicion. Others need not fail for that.
    #[tokio::test(start_paused = true)]
    async fn a_key_under_suspicion_is_better_than_none() {
        let ring = ring(&["a", "b"]);
        let key = TurnedAway { number: 0, status: 403, kind: ErrorKind::UpstreamUnauthorized, retry_after: None };
        assert!(ring.turned_away(key, &mut Vec::new(), Instant::now()));
        assert_eq!(call(&ring, |number| if number == 1 { 402 } else { 200 }), [1, 0]);
        assert_eq!(call(&ring, |_| 200), [0]);
        assert_eq!(call(&ring, |number| if number == 0 { 403 } else { 200 }), [0], "the other one is used up");
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_stays_and_no_key_is_none() {
        let one = ring(&["a"]);
        assert_eq!(call(&one, |_| 401), [0]);
        assert_eq!(call(&one, |_| 200), [0]);
        assert!(ring(&[]).choose(&[], Instant::now()).is_none());
    }
}
