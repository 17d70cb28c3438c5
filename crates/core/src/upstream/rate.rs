//! The rate limit that the operator agreed with the provider: requests and tokens per minute.
//!
//! A call over the limit is refused and does not wait: a caller that gets `Retry-After` at once can try another target
//! or shed load itself. The limiter is governor's (GCRA: a leaky bucket), on the runtime's clock.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, Quota, RateLimiter};
use tokio::time::Instant;

/// Bursts in which a minute's requests may come: each is the requests of ten seconds.
const BURSTS_A_MINUTE: u32 = 6;
/// Least requests in a burst, ten: the calls of one rerank come together.
const MIN_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Limits of one upstream; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// Most calls per minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Most tokens per minute, as rerankd estimates them.
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// The rate limit of one upstream.
#[derive(Debug)]
pub struct Rate {
    requests: Option<TokenBucket>,
    tokens: Option<TokenBucket>,
}

type TokenBucket = RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Duration>>;

/// The runtime's clock, which tests can pause.
#[derive(Clone, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rate {
    /// A rate limit with full buckets.
    #[must_use]
    pub fn new(settings: RateSettings) -> Self {
        let mut requests = None;
        if let Some(per_minute) = settings.requests_per_minute {
            requests = Some(bucket(Quota::per_minute(per_minute).allow_burst(request_burst(per_minute))));
        }
        // Not in bursts: one call can hold a good part of a minute's tokens, and needs the whole bucket.
        let mut tokens = None;
        if let Some(per_minute) = settings.tokens_per_minute {
            tokens = Some(bucket(Quota::per_minute(per_minute)));
        }
        Self { requests, tokens }
    }

    /// Takes a request with `tokens` out of the buckets.
    ///
    /// # Errors
    /// The time until there is enough.
    pub fn take(&self, tokens: usize) -> Result<(), Duration> {
        let wanted = u32::try_from(tokens).unwrap_or(u32::MAX);
        // A call that the second bucket refuses has used up the first for nothing: one request, and not many tokens.
        take(self.requests.as_ref(), 1)?;
        take(self.tokens.as_ref(), wanted)
    }
}

/// A full bucket, on the runtime's clock.
fn bucket(quota: Quota) -> TokenBucket {
    TokenBucket::direct_with_clock(quota, RuntimeClock(Instant::now()))
}

/// Size of the bucket of requests. A bucket fills while it is emptied, so one for a whole minute would let twice the
/// limit through in the first minute.
fn request_burst(per_minute: NonZeroU32) -> NonZeroU32 {
    let burst = NonZeroU32::new(per_minute.get() / BURSTS_A_MINUTE).unwrap_or(MIN_BURST);
    burst.max(MIN_BURST).min(per_minute)
}

/// Takes `wanted` out of a bucket, or nothing if there is no bucket.
///
/// # Errors
/// The time until there is enough.
fn take(bucket: Option<&TokenBucket>, wanted: u32) -> Result<(), Duration> {
    let Some(bucket) = bucket else { return Ok(()) };
    let Some(wanted) = NonZeroU32::new(wanted) else { return Ok(()) };
    let mut taken = bucket.check_n(wanted);
    // A call of more than a minute's limit could never be sent, so it takes a full bucket.
    if let Err(InsufficientCapacity(capacity)) = taken
        && let Some(capacity) = NonZeroU32::new(capacity)
    {
        taken = bucket.check_n(capacity);
    }
    match taken {
        Ok(Err(until)) => Err(until.wait_time_from(bucket.clock().now())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32, tokens: u32) -> Rate {
        Rate::new(RateSettings {
            requests_per_minute: NonZeroU32::new(requests),
            tokens_per_minute: NonZeroU32::new(tokens),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_requests_pass_and_then_one_at_a_time() {
        let rate = rate(60, 0);
        assert!((0..10).all(|_| rate.take(1_000_000).is_ok()));
        assert_eq!(rate.take(1), Err(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(rate.take(1).is_ok() && rate.take(1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_counted_and_a_call_over_the_whole_allowance_passes_when_it_is_full() {
        let rate = rate(0, 600);
        assert!(rate.take(500).is_ok());
        assert_eq!(rate.take(200), Err(Duration::from_secs(10)), "100 tokens are missing, at 10 a second");
        assert!(rate.take(100).is_ok());
        assert!(rate.take(5_000).is_err());
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(rate.take(5_000).is_ok(), "or it could never be sent");
        assert!(rate.take(1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_everything_passes() {
        let rate = rate(0, 0);
        assert!((0..10_000).all(|_| rate.take(usize::MAX).is_ok()));
    }
}
