//! How an upstream does, from the outcomes of its attempts: what it usually takes, and how it stands beside others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Latencies are remembered for one to two of these.
const GENERATION: Duration = Duration::from_secs(30);
/// Fewer attempts than this say nothing about a quantile.
const MIN_SAMPLES: u64 = 20;
/// Longest latency that is told apart, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;
/// Upper bounds of the size classes in bytes of body; the last class has none.
const SIZE_CLASSES: [usize; 3] = [16 << 10, 128 << 10, 1 << 20];
/// Weight of the newest latency in their average.
const NEWEST: f64 = 0.2;
/// How fast it is lost sight of how slow an upstream was that is not asked any more: slowly, but it must be tried again some day.
const LOSING_SIGHT: Duration = Duration::from_mins(2);
/// How fast a failure is forgotten.
const FORGETTING: Duration = Duration::from_secs(10);
/// What a failed attempt counts as, beside upstreams that answer.
const PENALTY: Duration = Duration::from_secs(5);
/// Longest that a failure counts as, whatever the upstream asks for.
const LONGEST_PENALTY: Duration = Duration::from_mins(5);

/// The vital signs of one upstream.
#[derive(Debug, Default)]
pub struct Vitals {
    classes: [Mutex<Generations>; SIZE_CLASSES.len() + 1],
    bias: Mutex<Bias>,
    under_way: AtomicUsize,
}

/// Latencies of one size class: of this generation and the one before. They grow old only by newer ones: while an upstream gives none, what was usual
/// before is all that is known.
#[derive(Debug, Default)]
struct Generations {
    now: Option<Histogram<u32>>,
    before: Option<Histogram<u32>>,
    since: Option<Instant>,
}

/// What attempts cost, in seconds: a moving average of their latencies, and on top of it what failures added, which fades.
#[derive(Debug, Default)]
struct Bias {
    latency: f64,
    answered: Option<Instant>,
    penalty: f64,
    failed: Option<Instant>,
}

/// Counts an attempt as under way while it lives.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Vitals);

impl Vitals {
    /// An attempt with a body of `bytes` got its scores after `latency`.
    pub fn succeeded(&self, bytes: usize, latency: Duration, now: Instant) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
        self.class(bytes).lock().record(micros, now);
        self.bias.lock().succeeded(latency, now);
    }

    /// An attempt failed. Quick failures must not look like a quick upstream, so each counts as a long wait (Linkerd's load biaser).
    pub fn failed(&self, retry_after: Option<Duration>, now: Instant) {
        self.bias.lock().fail(retry_after.map_or(PENALTY, |hint| hint.clamp(PENALTY, LONGEST_PENALTY)), now);
    }

    /// The latency below which a share of `quantile` of the attempts with such a body stay; `None` if too few are known.
    #[must_use]
    pub fn quantile(&self, bytes: usize, quantile: f64) -> Option<Duration> {
        let latencies = self.class(bytes).lock().merged()?;
        Some(Duration::from_micros(latencies.value_at_quantile(quantile)))
    }

    /// What one more call is likely to cost here, to be compared with other upstreams.
    #[must_use]
    pub fn load(&self, now: Instant) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "attempts under way are few")]
        let queue = self.under_way.load(Ordering::Relaxed) as f64 + 1.0;
        (self.bias.lock().get(now) + 1e-6) * queue
    }

    /// One attempt more is under way until the guard is dropped.
    pub(super) fn enter(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    fn class(&self, bytes: usize) -> &Mutex<Generations> {
        &self.classes[SIZE_CLASSES.iter().filter(|bound| bytes > **bound).count()]
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Generations {
    fn record(&mut self, micros: u64, now: Instant) {
        self.turn(now);
        if self.now.is_none() {
            self.now = histogram();
        }
        if let Some(latencies) = &mut self.now {
            latencies.saturating_record(micros);
        }
    }

    fn merged(&self) -> Option<Histogram<u32>> {
        let mut merged = histogram()?;
        for part in [&self.now, &self.before].into_iter().flatten() {
            merged.add(part).ok()?;
        }
        (merged.len() >= MIN_SAMPLES).then_some(merged)
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age > GENERATION {
            self.before = self.now.take().filter(|_| age <= 2 * GENERATION);
            self.since = Some(now);
        }
    }
}

impl Bias {
    fn succeeded(&mut self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f64();
        let usual = self.usual(now);
        self.latency = if usual > 0.0 { usual * (1.0 - NEWEST) + latency * NEWEST } else { latency };
        self.answered = Some(now);
    }

    fn fail(&mut self, penalty: Duration, now: Instant) {
        self.penalty = self.faded(now).max(penalty.as_secs_f64());
        self.failed = Some(now);
    }

    fn get(&self, now: Instant) -> f64 {
        self.usual(now) + self.faded(now)
    }

    fn usual(&self, now: Instant) -> f64 {
        self.latency * weight(self.answered, now, LOSING_SIGHT)
    }

    fn faded(&self, now: Instant) -> f64 {
        self.penalty * weight(self.failed, now, FORGETTING)
    }
}

/// What is left of something after a while: a part that falls to a third in each `time`.
fn weight(since: Option<Instant>, now: Instant, time: Duration) -> f64 {
    let age = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    (-age.as_secs_f64() / time.as_secs_f64()).exp()
}

/// One significant digit is enough: a quantile is a trigger here, not a report. The bounds are such that it is always made.
fn histogram() -> Option<Histogram<u32>> {
    Histogram::new_with_bounds(1, LONGEST, 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 1_000;

    #[tokio::test(start_paused = true)]
    async fn quantiles_are_of_the_size_class_and_of_lately() {
        let vitals = Vitals::default();
        for index in 1..=100u32 {
            vitals.succeeded(SMALL, Duration::from_millis(index.into()), Instant::now());
            vitals.succeeded(200_000, Duration::from_millis(10 * u64::from(index)), Instant::now());
        }
        let near = |bytes, quantile, milliseconds: f64| {
            let found = vitals.quantile(bytes, quantile).unwrap().as_secs_f64() * 1e3;
            assert!((found / milliseconds - 1.0).abs() < 0.1, "{found} is not about {milliseconds}");
        };
        near(SMALL, 0.5, 50.0);
        near(SMALL, 0.95, 95.0);
        near(200_000, 0.95, 950.0);
        assert_eq!(vitals.quantile(20_000, 0.5), None, "nothing of that size was asked");
        tokio::time::advance(GENERATION + Duration::from_secs(1)).await;
        near(SMALL, 0.95, 95.0);
        tokio::time::advance(3 * GENERATION).await;
        near(SMALL, 0.95, 95.0); // a black hole does not make what was usual unknown
        vitals.succeeded(SMALL, Duration::from_millis(5), Instant::now());
        assert_eq!(vitals.quantile(SMALL, 0.5), None, "that was too long ago, and one call is too few");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_failure_weighs_more_than_a_slow_answer_and_is_forgotten() {
        let (failing, slow) = (Vitals::default(), Vitals::default());
        let load = |vitals: &Vitals| vitals.load(Instant::now());
        slow.succeeded(SMALL, Duration::from_millis(50), Instant::now());
        failing.failed(None, Instant::now());
        assert!(load(&failing) > 10.0 * load(&slow));
        tokio::time::advance(10 * FORGETTING).await;
        assert!(load(&failing) < load(&slow), "worth another try");
        assert!(load(&slow) > 0.02, "but what is slow is slow after a pause too");
        tokio::time::advance(10 * LOSING_SIGHT).await;
        assert!(load(&slow) < 0.001, "until nobody can tell any more");
        failing.failed(Some(Duration::from_hours(24)), Instant::now());
        assert!(load(&failing) <= LONGEST_PENALTY.as_secs_f64() + 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_under_way_weigh_too() {
        let vitals = Vitals::default();
        vitals.succeeded(SMALL, Duration::from_millis(50), Instant::now());
        let idle = vitals.load(Instant::now());
        let busy = [vitals.enter(), vitals.enter()];
        assert!((vitals.load(Instant::now()) / idle - 3.0).abs() < 1e-9);
        drop(busy);
        assert!((vitals.load(Instant::now()) / idle - 1.0).abs() < 1e-9);
    }
}
