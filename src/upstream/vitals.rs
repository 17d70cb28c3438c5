//! How an upstream does, from the outcomes of its attempts: what it usually takes, and how it stands beside others.
//!
//! Callers with deadlines shorter than what the upstream takes see its quick answers only. Were those learnt from, an
//! upstream would look quicker than it is, and what is usual for everybody else would look late. So attempts are told
//! apart by the time that their deadline left them: where many end at the deadline, those that are answered before it
//! say nothing (in statistics: a censored sample).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::key::CacheScope;

/// Latencies are remembered for one to two of these.
const GENERATION: Duration = Duration::from_secs(30);
/// Fewer attempts than this say nothing about a quantile.
const MIN_SAMPLES: u64 = 20;
/// Longest latency that is told apart, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;
/// Upper bounds of the size classes in bytes of body; the last class has none.
const SIZE_CLASSES: [usize; 3] = [16 << 10, 128 << 10, 1 << 20];
/// What is usual: the latency below which this share of the attempts stays.
const USUAL: f64 = 0.99;
/// Kinds of attempts by the time that they are allowed: from one power of two of milliseconds to the next, the last
/// without end.
const ALLOWANCES: usize = 16;
/// One attempt cut off for so many that are answered is too many for the answered ones to say what is usual.
const ANSWERED_FOR_EACH_CUT_OFF: u32 = 4;
/// Weight of the newest body in the average of their sizes.
const NEWEST_SIZE: f64 = 0.05;
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
    /// Moving average of the bodies' sizes in bytes.
    size: f64,
    deadlines: Deadlines,
}

/// How often attempts ended at their own deadline lately, by the time that they were allowed.
#[derive(Debug, Default)]
struct Deadlines {
    counts: [Ends; ALLOWANCES],
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    answered: u32,
    cut_off: u32,
}

/// What attempts cost, in seconds: a moving average of their latencies, and on top of it what failures added, which fades.
#[derive(Debug, Default)]
struct Bias {
    latency: f64,
    answered: Option<Instant>,
    penalty: Penalty,
    /// For failures that may be about what a caller sent: its own alone.
    penalties: HashMap<CacheScope, Penalty>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Penalty {
    seconds: f64,
    failed: Option<Instant>,
}

/// Counts an attempt as under way while it lives.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Vitals);

impl Vitals {
    /// An attempt with a body of `bytes` got its scores after `latency`; the deadline of whoever waited would have
    /// allowed it `allowed`.
    pub fn succeeded(&self, bytes: usize, latency: Duration, allowed: Duration, now: Instant) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
        let is_telling = {
            let mut class = self.class(bytes).lock();
            let is_telling = class.deadlines.answered(allowed, now);
            if is_telling {
                class.record(bytes, micros, now);
            }
            is_telling
        };
        if is_telling {
            self.bias.lock().succeeded(latency, now);
        }
    }

    /// An attempt with a body of `bytes` ended at the deadline of whoever waited, which had allowed it `allowed`.
    pub fn cut_off(&self, bytes: usize, allowed: Duration, now: Instant) {
        self.class(bytes).lock().deadlines.cut_off(allowed, now);
    }

    /// An attempt failed. Quick failures must not look like a quick upstream, so each counts as a long wait (Linkerd's load biaser).
    /// It is held against the upstream when `caller` asks, or anybody.
    pub fn failed(&self, retry_after: Option<Duration>, caller: Option<CacheScope>, now: Instant) {
        let penalty = retry_after.map_or(PENALTY, |hint| hint.clamp(PENALTY, LONGEST_PENALTY));
        let mut bias = self.bias.lock();
        match caller {
            Some(caller) => bias.penalties.entry(caller).or_default().add(penalty, now),
            None => bias.penalty.add(penalty, now),
        }
    }

    /// The latency below which a share of `quantile` of the attempts with such a body stay; `None` if too few are known.
    #[must_use]
    pub fn quantile(&self, bytes: usize, quantile: f64) -> Option<Duration> {
        let latencies = self.class(bytes).lock().merged()?;
        Some(Duration::from_micros(latencies.value_at_quantile(quantile)))
    }

    /// What almost every attempt with such a body takes; `None` if too few are known. A body larger than those that are
    /// known may take longer in proportion: the long lists of one caller are not late because another's are short.
    #[must_use]
    pub fn usual(&self, bytes: usize) -> Option<Duration> {
        let class = self.class(bytes).lock();
        let latencies = class.merged()?;
        #[expect(clippy::cast_precision_loss, reason = "sizes of bodies")]
        let times_larger = (bytes as f64 / class.size.max(1.0)).max(1.0);
        Some(Duration::from_micros(latencies.value_at_quantile(USUAL)).mul_f64(times_larger))
    }

    /// What one more call of `caller` is likely to cost here, to be compared with other upstreams.
    #[must_use]
    pub fn load(&self, caller: CacheScope, now: Instant) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "attempts under way are few")]
        let queue = self.under_way.load(Ordering::Relaxed) as f64 + 1.0;
        (self.bias.lock().get(caller, now) + 1e-6) * queue
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
    fn record(&mut self, bytes: usize, micros: u64, now: Instant) {
        self.turn(now);
        #[expect(clippy::cast_precision_loss, reason = "sizes of bodies")]
        let bytes = bytes as f64;
        self.size = if self.size > 0.0 { self.size * (1.0 - NEWEST_SIZE) + bytes * NEWEST_SIZE } else { bytes };
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

impl Deadlines {
    /// An attempt was answered in time. Whether attempts that were allowed as much say what is usual.
    fn answered(&mut self, allowed: Duration, now: Instant) -> bool {
        let ends = self.ends(allowed, now);
        ends.answered = ends.answered.saturating_add(1);
        ends.answered >= ends.cut_off.saturating_mul(ANSWERED_FOR_EACH_CUT_OFF)
    }

    fn cut_off(&mut self, allowed: Duration, now: Instant) {
        let ends = self.ends(allowed, now);
        ends.cut_off = ends.cut_off.saturating_add(1);
    }

    /// The counts of attempts that are allowed about as much. All counts are halved once a generation.
    fn ends(&mut self, allowed: Duration, now: Instant) -> &mut Ends {
        if now.saturating_duration_since(*self.since.get_or_insert(now)) > GENERATION {
            self.since = Some(now);
            for ends in &mut self.counts {
                *ends = Ends { answered: ends.answered / 2, cut_off: ends.cut_off / 2 };
            }
        }
        let milliseconds = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX).max(1);
        &mut self.counts[(milliseconds.ilog2() as usize).min(ALLOWANCES - 1)]
    }
}

impl Bias {
    fn succeeded(&mut self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f64();
        let usual = self.usual(now);
        self.latency = if usual > 0.0 { usual * (1.0 - NEWEST) + latency * NEWEST } else { latency };
        self.answered = Some(now);
    }

    fn get(&self, caller: CacheScope, now: Instant) -> f64 {
        let own = self.penalties.get(&caller).map_or(0.0, |penalty| penalty.faded(now));
        self.usual(now) + self.penalty.faded(now).max(own)
    }

    fn usual(&self, now: Instant) -> f64 {
        self.latency * weight(self.answered, now, LOSING_SIGHT)
    }
}

impl Penalty {
    fn add(&mut self, penalty: Duration, now: Instant) {
        self.seconds = self.faded(now).max(penalty.as_secs_f64());
        self.failed = Some(now);
    }

    fn faded(&self, now: Instant) -> f64 {
        self.seconds * weight(self.failed, now, FORGETTING)
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
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn quantiles_are_of_the_size_class_and_of_lately() {
        let vitals = Vitals::default();
        for index in 1..=100u32 {
            vitals.succeeded(SMALL, Duration::from_millis(index.into()), LONG, Instant::now());
            vitals.succeeded(200_000, Duration::from_millis(10 * u64::from(index)), LONG, Instant::now());
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
        vitals.succeeded(SMALL, Duration::from_millis(5), LONG, Instant::now());
        assert_eq!(vitals.quantile(SMALL, 0.5), None, "that was too long ago, and one call is too few");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_failure_weighs_more_than_a_slow_answer_and_is_forgotten() {
        let (failing, slow) = (Vitals::default(), Vitals::default());
        let load = |vitals: &Vitals| vitals.load(CacheScope::SHARED, Instant::now());
        slow.succeeded(SMALL, Duration::from_millis(50), LONG, Instant::now());
        failing.failed(None, None, Instant::now());
        assert!(load(&failing) > 10.0 * load(&slow));
        tokio::time::advance(10 * FORGETTING).await;
        assert!(load(&failing) < load(&slow), "worth another try");
        assert!(load(&slow) > 0.02, "but what is slow is slow after a pause too");
        tokio::time::advance(10 * LOSING_SIGHT).await;
        assert!(load(&slow) < 0.001, "until nobody can tell any more");
        failing.failed(Some(Duration::from_hours(24)), None, Instant::now());
        assert!(load(&failing) <= LONGEST_PENALTY.as_secs_f64() + 1.0);
    }

    /// Texts of one caller at which the upstream fails sent the others elsewhere.
    #[tokio::test(start_paused = true)]
    async fn a_failure_that_may_be_the_callers_weighs_for_that_caller() {
        let vitals = Vitals::default();
        let hostile = CacheScope::of_caller("hostile");
        vitals.failed(None, Some(hostile), Instant::now());
        assert!(vitals.load(hostile, Instant::now()) > 4.0);
        assert!(vitals.load(CacheScope::SHARED, Instant::now()) < 0.001);
        vitals.failed(None, None, Instant::now());
        assert!(vitals.load(CacheScope::SHARED, Instant::now()) > 4.0);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_under_way_weigh_too() {
        let vitals = Vitals::default();
        vitals.succeeded(SMALL, Duration::from_millis(50), LONG, Instant::now());
        let idle = vitals.load(CacheScope::SHARED, Instant::now());
        let busy = [vitals.enter(), vitals.enter()];
        assert!((vitals.load(CacheScope::SHARED, Instant::now()) / idle - 3.0).abs() < 1e-9);
        drop(busy);
        assert!((vitals.load(CacheScope::SHARED, Instant::now()) / idle - 1.0).abs() < 1e-9);
    }

    /// A caller who waits for a tenth of what is usual makes the upstream no quicker than it is.
    #[tokio::test(start_paused = true)]
    async fn what_short_deadlines_let_through_does_not_say_what_is_usual() {
        let vitals = Vitals::default();
        let short = Duration::from_millis(60);
        for index in 0..2_000u32 {
            if index % 10 == 9 {
                vitals.succeeded(SMALL, Duration::from_millis(50), short, Instant::now());
            } else {
                vitals.cut_off(SMALL, short, Instant::now());
            }
        }
        assert_eq!(vitals.usual(SMALL), None, "nothing is known");
        assert!(vitals.load(CacheScope::SHARED, Instant::now()) < 0.001);
        (0..20).for_each(|_| vitals.succeeded(SMALL, Duration::from_millis(500), LONG, Instant::now()));
        assert!(vitals.usual(SMALL).unwrap() > Duration::from_millis(450));
        assert!(vitals.load(CacheScope::SHARED, Instant::now()) > 0.45);
    }

    /// Where one in twenty is late what is usual can be told all the same, and after a black hole again.
    #[tokio::test(start_paused = true)]
    async fn short_deadlines_that_are_mostly_kept_say_what_is_usual() {
        let vitals = Vitals::default();
        let short = Duration::from_millis(300);
        let day = || {
            for index in 0..200u32 {
                if index.is_multiple_of(20) {
                    vitals.cut_off(SMALL, short, Instant::now());
                } else {
                    vitals.succeeded(SMALL, Duration::from_millis(50), short, Instant::now());
                }
            }
            vitals.usual(SMALL)
        };
        assert!(day().is_some_and(|usual| usual < Duration::from_millis(60)));
        let vitals = Vitals::default();
        (0..100).for_each(|_| vitals.cut_off(SMALL, short, Instant::now()));
        for _ in 0..4 {
            tokio::time::advance(GENERATION + Duration::from_secs(1)).await;
            vitals.cut_off(SMALL, LONG, Instant::now());
        }
        (0..50).for_each(|_| vitals.succeeded(SMALL, Duration::from_millis(50), short, Instant::now()));
        assert!(vitals.usual(SMALL).is_some(), "what was cut off long ago is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_among_small_ones_may_take_longer() {
        let vitals = Vitals::default();
        (0..100).for_each(|_| vitals.succeeded(100, Duration::from_millis(20), LONG, Instant::now()));
        let usual = |bytes| vitals.usual(bytes).unwrap().as_millis();
        assert!((18..=22).contains(&usual(100)) && (18..=22).contains(&usual(10)), "{} {}", usual(100), usual(10));
        assert!((1_800..=2_200).contains(&usual(10_000)), "{}", usual(10_000));
        vitals.succeeded(10_000, Duration::from_millis(20), LONG, Instant::now());
        assert!(usual(10_000) > 200, "one does not make them usual: {}", usual(10_000));
        (0..100).for_each(|_| vitals.succeeded(10_000, Duration::from_millis(20), LONG, Instant::now()));
        assert!(usual(10_000) < 30, "many do: {}", usual(10_000));
    }
}
