//! What the operator's contract with the provider allows: requests and tokens a minute.
//!
//! Over the limit nothing waits: who is told at once when to come back can ask another target or shed load itself. The limiter is governor's
//! (GCRA: a leaky bucket), on the runtime's clock.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// A minute's requests may come in this many bursts.
const BURSTS_A_MINUTE: u32 = 6;
/// A burst holds at least this many requests: the calls of one rerank come together.
const LEAST_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Limits of one upstream; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// Most calls a minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Most tokens a minute, as rerankd estimates them.
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// The rate limit of one upstream.
#[derive(Debug)]
pub struct Rate {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Duration>>;

/// The runtime's clock, which tests can stop.
#[derive(Clone, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rate {
    /// Full buckets.
    #[must_use]
    pub fn new(settings: RateSettings) -> Self {
        let bucket = |quota| Bucket::direct_with_clock(quota, RuntimeClock(Instant::now()));
        // While a full bucket is emptied it fills again, so a large one would let twice the allowance through in the first minute. Tokens come
        // in calls that can be a good part of it, and need the room.
        let burst = |most: NonZeroU32| {
            most.min(NonZeroU32::new(most.get() / BURSTS_A_MINUTE).map_or(LEAST_BURST, |burst| burst.max(LEAST_BURST)))
        };
        let requests = settings.requests_per_minute.map(|most| Quota::per_minute(most).allow_burst(burst(most)));
        Self { requests: requests.map(bucket), tokens: settings.tokens_per_minute.map(Quota::per_minute).map(bucket) }
    }

    /// Takes a request of `tokens` out of the allowance.
    ///
    /// # Errors
    /// How long until there is enough.
    pub fn take(&self, tokens: usize) -> Result<(), Duration> {
        let wanted = u32::try_from(tokens).unwrap_or(u32::MAX);
        // What is turned away by the second bucket was taken out of the first for nothing: one request rather than many tokens.
        take(self.requests.as_ref(), 1)?;
        take(self.tokens.as_ref(), wanted)
    }
}

fn take(bucket: Option<&Bucket>, wanted: u32) -> Result<(), Duration> {
    let (Some(bucket), Some(wanted)) = (bucket, NonZeroU32::new(wanted)) else { return Ok(()) };
    let taken = bucket.check_n(wanted).or_else(|whole| {
        // More than a whole minute's allowance can never be saved up: such a call takes all there is.
        NonZeroU32::new(whole.0).map_or(Ok(Ok(())), |whole| bucket.check_n(whole))
    });
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
