//! The keys of an upstream. One is used until the provider rejects it, then the next.
//!
//! A refusal (401, 402, 403) can be about the key or about the call: firewalls of providers answer 403 to texts that
//! they do not like. One caller's texts must not take keys from others, so the call itself finds out. If the next key
//! is accepted for it, the first key was to blame and rests. If the next key is refused alike, the call was to blame,
//! and both keys are used as before. Until that is known, the refusal is a suspicion, and another call uses the
//! suspected key rather than fail.
//!
//! A key that comes from a file and was refused (401, 403) is read again each time: it may have been rotated. Next to
//! the call that was refused, reading a small file costs nothing.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::key_reader::KeyReader;
use super::response_class::ResponseClass;
use crate::blocking::offload::result_of;
use crate::provider::{KeyPlacement, KeyScheme};

/// Rest of a key that was refused or has no credit. Long enough not to bother the provider, short enough to notice an
/// account that has been mended.
const REFUSED_REST: Duration = Duration::from_mins(5);
/// Rest of a key that was used too often, if the provider sends no `Retry-After`.
const RATE_LIMITED_REST: Duration = Duration::from_secs(5);

/// The keys, in the order of the configuration.
#[derive(Debug)]
pub struct KeyRing {
    state: Mutex<KeyStates>,
    /// Form of the keys in their header.
    scheme: KeyScheme,
    /// Reads a key again that was refused; `None` if no key comes from a file.
    reader: Option<KeyReader>,
    /// Held by the call that reads a file, so that one that hangs takes one thread.
    reading: Arc<Semaphore>,
    /// Name of the upstream, for the log.
    upstream: String,
    /// Name of the setting that holds the keys, for messages: `api_key` or `api_keys`.
    setting: &'static str,
}

#[derive(Debug)]
struct KeyStates {
    /// The keys. A key's number is its index here.
    keys: Vec<Key>,
    /// Number of the key that is used now.
    current: usize,
    /// The latest rest of each key; `None` for a key that was not rejected, or was accepted since.
    rests: Vec<Option<Rest>>,
}

#[derive(Debug)]
struct Key {
    secret: SecretString,
    /// The value of the header that shows it.
    header: HeaderValue,
    /// The secret that this one took the place of, which replies may still quote.
    former: Option<SecretString>,
}

/// A time in which a key is not used.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    /// True while it is unknown if the key was refused, or the call.
    is_suspicion: bool,
}

/// A key that was refused for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedKey {
    number: usize,
    /// Status of the reply. Two keys that are refused with one status show that the call is to blame.
    status: u16,
}

/// A reply that may be about the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyRejection {
    /// Number of the key that the call showed.
    pub(super) number: usize,
    pub(super) status: u16,
    /// Class of the reply; only [`ResponseClass::KeyRefused`] and [`ResponseClass::RateLimited`] are about the key.
    pub(super) class: ResponseClass,
    /// The provider's hint.
    pub(super) retry_after: Option<Duration>,
}

impl KeyRing {
    /// The ring of these keys, of which the first is used first, as `placement` wants them shown.
    ///
    /// # Errors
    /// A sentence: a key cannot stand in a header.
    pub fn new(secrets: &[SecretString], placement: &KeyPlacement) -> Result<Self, String> {
        let scheme = placement.scheme.clone();
        let mut keys = Vec::with_capacity(secrets.len());
        for secret in secrets {
            keys.push(Key { secret: secret.clone(), header: header_value(secret, &scheme)?, former: None });
        }
        let state = KeyStates { keys, current: 0, rests: vec![None; secrets.len()] };
        let reading = Arc::new(Semaphore::new(1));
        Ok(Self {
            state: Mutex::new(state),
            scheme,
            reader: None,
            reading,
            upstream: String::new(),
            setting: "api_key",
        })
    }

    /// The same ring, whose log lines name the upstream, and whose messages the setting of it that holds the keys.
    #[must_use]
    pub fn of_upstream(self, name: &str, setting: &'static str) -> Self {
        Self { upstream: name.to_owned(), setting, ..self }
    }

    /// Name of the setting that holds the keys.
    pub(super) const fn setting(&self) -> &'static str {
        self.setting
    }

    /// The same ring, whose keys are read again by `reader` after a refusal.
    #[must_use]
    pub(super) fn read_again_by(self, reader: Option<KeyReader>) -> Self {
        Self { reader, ..self }
    }

    /// The key to use for a call that `refused` were refused for, as its number and header: one of these again if no
    /// other is at hand. `None` if there are no keys.
    pub(super) fn choose(&self, refused: &[RefusedKey], now: Instant) -> Option<(usize, HeaderValue)> {
        let state = self.state.lock();
        let mut number = state.current;
        if refused.iter().any(|key| key.number == number)
            && let Some(other) = state.other(number, refused, now)
        {
            number = other;
        }
        let key = state.keys.get(number)?;
        Some((number, key.header.clone()))
    }

    /// Returns true if key `number` comes from a file, where another may stand soon.
    pub(super) fn is_of_file(&self, number: usize) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.is_of_file(number))
    }

    /// Returns true if key `number`, which was `shown` and refused, has another value by now. Its file is read again
    /// for that.
    pub(super) async fn is_renewed(&self, number: usize, shown: &HeaderValue) -> bool {
        let Some(reader) = self.reader.clone().filter(|reader| reader.is_of_file(number)) else { return false };
        // Fails only for a semaphore that was closed, and this one never is.
        let turn = self.reading.clone().acquire_owned().await.ok();
        // Another call may have found the new value.
        if self.state.lock().keys[number].header != *shown {
            return true;
        }
        let reading = spawn_blocking(move || {
            let _turn = turn;
            reader.read(number)
        });
        let Some(secret) = result_of(reading).await else { return false };
        let Ok(header) = header_value(&secret, &self.scheme) else { return false };
        let mut state = self.state.lock();
        let count = state.keys.len();
        let key = &mut state.keys[number];
        if key.header == header {
            return header != *shown;
        }
        key.former = Some(std::mem::replace(&mut key.secret, secret));
        key.header = header;
        state.rests[number] = None;
        drop(state);
        self.tell_reloaded(number, count);
        true
    }

    /// Records that the provider rejected a key for a call, and adds it to `refused` if it was refused. Returns true if
    /// another key is worth a try at once.
    pub(super) fn rejected(&self, rejection: KeyRejection, refused: &mut Vec<RefusedKey>, now: Instant) -> bool {
        let KeyRejection { number, status, class, retry_after } = rejection;
        let is_refusal = matches!(class, ResponseClass::KeyRefused { .. });
        let rest_time = match class {
            ResponseClass::KeyRefused { .. } => REFUSED_REST,
            ResponseClass::RateLimited { .. } => retry_after.unwrap_or(RATE_LIMITED_REST),
            // The reply is not about the key.
            _ => return false,
        };
        let mut state = self.state.lock();
        // A key that is known to be wrong does not become a mere suspect again.
        let is_known = state.rests[number].is_some_and(|rest| !rest.is_suspicion && now < rest.until);
        if !(is_refusal && is_known) {
            state.rests[number] = Some(Rest { until: now + rest_time, is_suspicion: is_refusal });
        }
        if is_refusal {
            refused.push(RefusedKey { number, status });
            // Two keys with the same status: the call is to blame, and the first of them is used again.
            if let Some(first) = refused.iter().find(|key| key.number != number && key.status == status) {
                state.clear_suspicions(refused, status);
                state.current = first.number;
                return state.other(number, refused, now).is_some();
            }
        }
        let other = state.other(number, refused, now);
        // Without another one, the next call uses the least bad key.
        state.current = other.unwrap_or_else(|| state.least_bad().unwrap_or(number));
        other.is_some()
    }

    /// Records that key `number` was accepted for a call that `refused` were refused for: those keys are to blame, and
    /// not the call.
    pub(super) fn accepted(&self, number: usize, refused: &[RefusedKey], now: Instant) {
        let mut state = self.state.lock();
        for key in refused {
            if key.number != number {
                state.rests[key.number] = Some(Rest { until: now + REFUSED_REST, is_suspicion: false });
            }
        }
        state.rests[number] = None;
        state.current = number;
        let count = state.keys.len();
        drop(state);
        for key in refused {
            if key.number != number {
                self.tell_retired(key, count);
            }
        }
    }

    /// Logs that one of `count` keys rests because it was refused. Keys are told by their place in the configuration,
    /// from 1.
    fn tell_retired(&self, key: &RefusedKey, count: usize) {
        let upstream = &*self.upstream;
        let place = key.number + 1;
        let status = key.status;
        tracing::warn!(
            event = "key_retired",
            upstream,
            key = place,
            keys = count,
            status,
            "{upstream} refuses key {place} of {count} with status {status}, and takes another: it is tried again in \
             {REFUSED_REST:?}; see upstreams.{upstream}.api_keys"
        );
    }

    /// Logs that key `number` of `count` was read again from its file, and is another.
    fn tell_reloaded(&self, number: usize, count: usize) {
        let upstream = &*self.upstream;
        let place = number + 1;
        tracing::info!(
            event = "key_reloaded",
            upstream,
            key = place,
            keys = count,
            "{upstream} refused key {place} of {count}; its file holds another by now, which is used from here on"
        );
    }

    /// All keys, former ones too, so that replies can be searched for them.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let state = self.state.lock();
        let mut secrets = Vec::with_capacity(state.keys.len());
        for key in &state.keys {
            secrets.push(key.secret.clone());
            secrets.extend(key.former.clone());
        }
        secrets
    }
}

impl KeyStates {
    /// The next key after `number` that was not refused for the call. A rested key comes before a suspected one.
    fn other(&self, number: usize, refused: &[RefusedKey], now: Instant) -> Option<usize> {
        let count = self.rests.len();
        let mut suspected = None;
        for step in 1..count {
            let next = (number + step) % count;
            if refused.iter().any(|key| key.number == next) {
                continue;
            }
            match self.rests[next] {
                Some(rest) if now < rest.until => {
                    if rest.is_suspicion && suspected.is_none() {
                        suspected = Some(next);
                    }
                }
                _ => return Some(next),
            }
        }
        suspected
    }

    /// The key with the best prospects while all rest: a suspected one, or else the one that is rested first. `None` if
    /// there are no keys.
    fn least_bad(&self) -> Option<usize> {
        (0..self.rests.len()).min_by_key(|number| self.rests[*number].map(|rest| (!rest.is_suspicion, rest.until)))
    }

    /// Ends the suspicion against keys that were refused with `status`.
    fn clear_suspicions(&mut self, refused: &[RefusedKey], status: u16) {
        for key in refused {
            let rest = &mut self.rests[key.number];
            if key.status == status && rest.is_some_and(|rest| rest.is_suspicion) {
                *rest = None;
            }
        }
    }
}

/// The value of the header that shows a key, marked as sensitive so that it is not logged.
fn header_value(key: &SecretString, scheme: &KeyScheme) -> Result<HeaderValue, String> {
    let text = match scheme {
        KeyScheme::Bare => key.expose_secret().to_owned(),
        KeyScheme::Word(word) => format!("{word} {}", key.expose_secret()),
        KeyScheme::Basic => format!("Basic {}", STANDARD.encode(key.expose_secret())),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the key holds characters that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::response_class::kind_of_status;
    use super::*;

    fn ring(keys: &[&str]) -> KeyRing {
        let secrets: Vec<_> = keys.iter().map(|key| SecretString::from(*key)).collect();
        KeyRing::new(&secrets, &KeyPlacement::bearer()).unwrap()
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
                    ring.accepted(number, &refused, now);
                }
                return shown;
            }
            let class = ResponseClass::of_status(status, kind_of_status(status), false);
            let rejection = KeyRejection { number, status, class, retry_after: None };
            if !ring.rejected(rejection, &mut refused, now) {
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
            tokio::time::advance(REFUSED_REST).await;
            assert_eq!(call(&ring, |number| if number == 1 { 401 } else { 200 }), [1, 2], "{status}");
            assert_eq!(call(&ring, |number| if number == 2 { 429 } else { 200 }), [2, 0], "{status}");
            tokio::time::advance(REFUSED_REST).await;
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
        tokio::time::advance(REFUSED_REST).await;
        assert_eq!(call(&ring, |_| 403), [2, 0, 1]);
    }

    /// A call that could not be tried again left a key under suspicion. Others need not fail for that.
    #[tokio::test(start_paused = true)]
    async fn a_key_under_suspicion_is_better_than_none() {
        let ring = ring(&["a", "b"]);
        let class = ResponseClass::KeyRefused { has_next_key: false };
        let rejection = KeyRejection { number: 0, status: 403, class, retry_after: None };
        assert!(ring.rejected(rejection, &mut Vec::new(), Instant::now()));
        assert_eq!(call(&ring, |number| if number == 1 { 402 } else { 200 }), [1, 0]);
        assert_eq!(call(&ring, |_| 200), [0]);
        assert_eq!(call(&ring, |number| if number == 0 { 403 } else { 200 }), [0], "the other one is used up");
    }

    #[tokio::test]
    async fn a_key_whose_file_changed_is_taken_anew() {
        let readings = Arc::new(AtomicUsize::new(0));
        let counter = readings.clone();
        let reader = KeyReader::new(vec![true, false], move |_| {
            let reading = counter.fetch_add(1, Ordering::Relaxed);
            Some(SecretString::from(if reading == 0 { "old" } else { "new" }))
        });
        let secrets = ["old", "fixed"].map(SecretString::from);
        let ring = KeyRing::new(&secrets, &KeyPlacement::bearer()).unwrap().read_again_by(Some(reader));
        assert!(ring.is_of_file(0) && !ring.is_of_file(1));
        let (_, old) = ring.choose(&[], Instant::now()).unwrap();
        assert!(!ring.is_renewed(0, &old).await, "the file holds the same");
        assert!(ring.is_renewed(0, &old).await, "it was read a moment ago, and has changed since");
        let (_, new) = ring.choose(&[], Instant::now()).unwrap();
        assert_eq!(new, "Bearer new");
        assert!(ring.is_renewed(0, &old).await, "another call that showed the old one");
        assert_eq!(readings.load(Ordering::Relaxed), 2, "which needs no reading");
        assert!(!ring.is_renewed(0, &new).await);
        assert!(!ring.is_renewed(1, &header_value(&SecretString::from("fixed"), &ring.scheme).unwrap()).await);
        assert_eq!(readings.load(Ordering::Relaxed), 3);
        let secrets: Vec<_> = ring.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect();
        assert_eq!(secrets, ["new", "old", "fixed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_stays_and_no_key_is_none() {
        let one = ring(&["a"]);
        assert_eq!(call(&one, |_| 401), [0]);
        assert_eq!(call(&one, |_| 200), [0]);
        assert!(ring(&[]).choose(&[], Instant::now()).is_none());
    }
}
