//! Latencies and failures of one upstream: its usual latency, and its load in comparison with other upstreams.
//!
//! A caller whose deadline is shorter than the upstream's latency sees only the fast replies. Learnt from those, the
//! upstream would look faster than it is, and everybody else's usual replies would look late. So attempts are counted
//! by the time that their deadline left them. Where many attempts end at the deadline, the latencies of the others are
//! ignored (in statistics: a censored sample).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::penalty::{Penalty, decay};
use super::response_class::FailureScope;
use crate::cache::key::CacheScope;

/// Length of a generation of latencies. Latencies are kept for one to two generations.
const GENERATION: Duration = Duration::from_secs(30);
/// Attempts below which no quantile is reported.
const MIN_SAMPLES: u64 = 20;
/// Longest latency that is recorded, in microseconds: an hour. Longer ones count as this.
const MAX_LATENCY_MICROS: u64 = 3_600_000_000;
/// Upper bounds of the size classes, in bytes of body; the last class has none.
const SIZE_CLASSES: [usize; 3] = [16 << 10, 128 << 10, 1 << 20];
/// Quantile of the latencies that is the usual latency.
const USUAL_QUANTILE: f64 = 0.99;
/// Number of usual latencies after which an attempt is late.
const LATE_FACTOR: u32 = 3;
/// Classes of attempts by the time that they are allowed. Each spans a power of two of milliseconds; the last has no
/// end.
const DEADLINE_CLASSES: usize = 16;
/// Answered attempts that there must be for each one that was cut off, or the latencies of the class are ignored.
const ANSWERED_FOR_EACH_CUT_OFF: u32 = 4;
/// Weight of the latest body in the average of sizes.
const SIZE_WEIGHT: f64 = 0.05;
/// Weight of the latest latency in the average of latencies.
const LATENCY_WEIGHT: f64 = 0.2;
/// Decay time of the average latency. Long, but an upstream that was slow must be tried again some day.
const LATENCY_DECAY: Duration = Duration::from_mins(2);
/// Least latency that a failed attempt counts as.
const PENALTY: Duration = Duration::from_secs(5);
/// Longest latency that a failed attempt counts as, however long its `Retry-After` is.
const MAX_PENALTY: Duration = Duration::from_mins(5);

/// Cost of a call in seconds before any latency is known. Not zero, so that calls in flight count even then, and far
/// below any latency.
const MIN_COST: f64 = 1e-6;

/// Statistics of one upstream's attempts.
#[derive(Debug, Default)]
pub struct LoadStats {
    /// Latencies by size class. No lock of these is held together with that of `load`.
    classes: [Mutex<SizeClass>; SIZE_CLASSES.len() + 1],
    load: Mutex<LoadEstimate>,
    /// Attempts under way, of all callers.
    in_flight: AtomicUsize,
}

/// Latencies of one size class, of this generation and the one before. Only newer latencies replace old ones: while an
/// upstream gives no replies, its latencies from before are the best that is known.
#[derive(Debug, Default)]
struct SizeClass {
    /// Latencies of this generation, in microseconds; `None` before the first.
    current: Option<Histogram<u32>>,
    /// Those of the generation before.
    previous: Option<Histogram<u32>>,
    /// Start of the current generation.
    since: Option<Instant>,
    /// Moving average of the sizes of the bodies that had these latencies, in bytes; 0 before the first.
    mean_bytes: f64,
    /// Ends of the attempts of this class, which tell if its latencies are representative.
    deadlines: Deadlines,
}

/// Recent counts of attempts that ended at their own deadline, by the time that they were allowed.
#[derive(Debug, Default)]
struct Deadlines {
    /// Class `n` was allowed 2^n milliseconds or more, and less than twice that.
    counts: [Ends; DEADLINE_CLASSES],
    /// Time of the latest halving.
    since: Option<Instant>,
}

/// Attempts of one class; counts are halved from time to time.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    /// Attempts that got their scores.
    answered: u32,
    /// Attempts that ended at their deadline.
    cut_off: u32,
}

/// Cost of an attempt, in seconds: a moving average of latencies, plus a penalty for failures that decays.
#[derive(Debug, Default)]
struct LoadEstimate {
    /// Average latency at the latest reply, in seconds; 0 before the first. It decays from then on.
    latency: f64,
    /// Time of the latest reply.
    answered: Option<Instant>,
    penalty: Penalty,
    /// Penalties that count for one caller only, because its texts may be to blame.
    penalties: HashMap<CacheScope, Penalty>,
}

/// Counts an attempt as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct AttemptInFlight<'a>(&'a LoadStats);

impl LoadStats {
    /// Records an attempt with a body of `bytes` that got its scores after `latency`. Its deadline would have `allowed`
    /// it more time.
    pub fn succeeded(&self, bytes: usize, latency: Duration, allowed: Duration, now: Instant) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(MAX_LATENCY_MICROS).clamp(1, MAX_LATENCY_MICROS);
        let is_representative = {
            let mut class = self.class(bytes).lock();
            let is_representative = class.deadlines.answered(allowed, now);
            if is_representative {
                class.record(bytes, micros, now);
            }
            is_representative
        };
        if is_representative {
            self.load.lock().succeeded(latency, now);
        }
    }

    /// Records an attempt with a body of `bytes` that ended at its deadline, which had `allowed` it that much time.
    pub fn cut_off(&self, bytes: usize, allowed: Duration, now: Instant) {
        self.class(bytes).lock().deadlines.cut_off(allowed, now);
    }

    /// Records a failed attempt of `caller`, which counts for the calls of `scope`.
    pub(super) fn failed(&self, retry_after: Option<Duration>, scope: FailureScope, caller: CacheScope, now: Instant) {
        // Fast failures must not look like a fast upstream, so each counts as a long latency (Linkerd's load biaser).
        let penalty = match retry_after {
            Some(hint) => hint.clamp(PENALTY, MAX_PENALTY),
            None => PENALTY,
        };
        let mut load = self.load.lock();
        match scope {
            FailureScope::Caller => load.penalties.entry(caller).or_default().add(penalty, now),
            FailureScope::AllCallers => load.penalty.add(penalty, now),
        }
    }

    /// A quantile, 0 to 1, of the latencies of attempts with a body of about `bytes`; `None` if too few are known.
    #[must_use]
    pub fn quantile(&self, bytes: usize, quantile: f64) -> Option<Duration> {
        let latencies = self.class(bytes).lock().merged()?;
        Some(Duration::from_micros(latencies.value_at_quantile(quantile)))
    }

    /// The usual latency of attempts with a body of about `bytes`: their 99th percentile; `None` if too few are known.
    #[must_use]
    pub fn usual_latency(&self, bytes: usize) -> Option<Duration> {
        let class = self.class(bytes).lock();
        let latencies = class.merged()?;
        // A body above the average of its class gets more time in proportion: one caller's long lists are not late
        // because another's are short.
        #[expect(clippy::cast_precision_loss, reason = "sizes of bodies")]
        let times_larger = (bytes as f64 / class.mean_bytes.max(1.0)).max(1.0);
        Some(Duration::from_micros(latencies.value_at_quantile(USUAL_QUANTILE)).mul_f64(times_larger))
    }

    /// The time after which an attempt with a body of `bytes` is late: three usual latencies; `None` if too few
    /// latencies are known.
    #[must_use]
    pub fn late_after(&self, bytes: usize) -> Option<Duration> {
        Some(self.usual_latency(bytes)? * LATE_FACTOR)
    }

    /// The longest wait for the first answer to an attempt with a body of `bytes`: three times the longest latency, of
    /// however few are known, and at least `least`. `None` if the usual latency is known.
    pub(super) fn first_wait(&self, bytes: usize, least: Duration) -> Option<Duration> {
        let latencies = self.class(bytes).lock().all_latencies()?;
        if latencies.len() >= MIN_SAMPLES {
            return None;
        }
        Some((Duration::from_micros(latencies.max()) * LATE_FACTOR).max(least))
    }

    /// Returns true if an attempt got its scores at `since` or later.
    pub(super) fn has_answered_since(&self, since: Instant) -> bool {
        self.load.lock().answered.is_some_and(|answered| answered >= since)
    }

    /// The time after which an attempt with a body of `bytes` is late, at least `min` and at most `max`; `max` if too
    /// few latencies are known.
    pub(super) fn late_between(&self, bytes: usize, min: Duration, max: Duration) -> Duration {
        match self.late_after(bytes) {
            // `max` is a setting, and may be below `min`.
            Some(late_after) => late_after.max(min).min(max),
            None => max,
        }
    }

    /// Estimated cost of one more call of `caller`, in seconds times calls in flight. Only good for comparing
    /// upstreams.
    #[must_use]
    pub fn load(&self, caller: CacheScope, now: Instant) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "attempts under way are few")]
        let queue = self.in_flight.load(Ordering::Relaxed) as f64 + 1.0;
        (self.load.lock().get(caller, now) + MIN_COST) * queue
    }

    /// Counts one more attempt in flight until the returned guard is dropped.
    pub(super) fn enter(&self) -> AttemptInFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        AttemptInFlight(self)
    }

    /// The size class of a body of `bytes`.
    fn class(&self, bytes: usize) -> &Mutex<SizeClass> {
        &self.classes[SIZE_CLASSES.iter().filter(|bound| bytes > **bound).count()]
    }
}

impl Drop for AttemptInFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SizeClass {
    /// Records a latency, from 1 to [`MAX_LATENCY_MICROS`].
    fn record(&mut self, bytes: usize, micros: u64, now: Instant) {
        self.advance_generation(now);
        #[expect(clippy::cast_precision_loss, reason = "sizes of bodies")]
        let bytes = bytes as f64;
        self.mean_bytes =
            if self.mean_bytes > 0.0 { self.mean_bytes * (1.0 - SIZE_WEIGHT) + bytes * SIZE_WEIGHT } else { bytes };
        if self.current.is_none() {
            self.current = histogram();
        }
        if let Some(latencies) = &mut self.current {
            latencies.saturating_record(micros);
        }
    }

    /// Latencies of both generations; `None` if they are too few.
    fn merged(&self) -> Option<Histogram<u32>> {
        let merged = self.all_latencies()?;
        (merged.len() >= MIN_SAMPLES).then_some(merged)
    }

    /// Latencies of both generations, however few. Never `None`: the histograms have the same bounds.
    fn all_latencies(&self) -> Option<Histogram<u32>> {
        let mut merged = histogram()?;
        for part in [&self.current, &self.previous].into_iter().flatten() {
            merged.add(part).ok()?;
        }
        Some(merged)
    }

    /// Begins a new generation if this one is over.
    fn advance_generation(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age > GENERATION {
            let ended = self.current.take();
            self.previous = ended;
            // A generation that ended too long ago is not kept as the one before, and neither are its sizes.
            if age > 2 * GENERATION {
                self.previous = None;
                self.mean_bytes = 0.0;
            }
            self.since = Some(now);
        }
    }
}

impl Deadlines {
    /// Counts an attempt that was answered in time. Returns true if latencies of its class are representative.
    fn answered(&mut self, allowed: Duration, now: Instant) -> bool {
        let ends = self.ends(allowed, now);
        ends.answered = ends.answered.saturating_add(1);
        ends.answered >= ends.cut_off.saturating_mul(ANSWERED_FOR_EACH_CUT_OFF)
    }

    fn cut_off(&mut self, allowed: Duration, now: Instant) {
        let ends = self.ends(allowed, now);
        ends.cut_off = ends.cut_off.saturating_add(1);
    }

    /// The counts of attempts that were allowed about as much time. Halves all counts once a generation.
    fn ends(&mut self, allowed: Duration, now: Instant) -> &mut Ends {
        if now.saturating_duration_since(*self.since.get_or_insert(now)) > GENERATION {
            self.since = Some(now);
            for ends in &mut self.counts {
                *ends = Ends { answered: ends.answered / 2, cut_off: ends.cut_off / 2 };
            }
        }
        let milliseconds = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX).max(1);
        &mut self.counts[(milliseconds.ilog2() as usize).min(DEADLINE_CLASSES - 1)]
    }
}

impl LoadEstimate {
    fn succeeded(&mut self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f64();
        let average = self.latency(now);
        self.latency =
            if average > 0.0 { average * (1.0 - LATENCY_WEIGHT) + latency * LATENCY_WEIGHT } else { latency };
        self.answered = Some(now);
    }

    /// Cost of one attempt of `caller` at `now`, in seconds.
    fn get(&self, caller: CacheScope, now: Instant) -> f64 {
        let own_penalty = match self.penalties.get(&caller) {
            Some(penalty) => penalty.decayed(now),
            None => 0.0,
        };
        self.latency(now) + self.penalty.decayed(now).max(own_penalty)
    }

    /// The average latency at `now`, in seconds; 0 before the first.
    fn latency(&self, now: Instant) -> f64 {
        self.latency * decay(self.answered, now, LATENCY_DECAY)
    }
}

/// An empty histogram. One significant digit is enough: a quantile is a trigger here, not a report.
fn histogram() -> Option<Histogram<u32>> {
    // The bounds are valid, so this is never `None`.
    Histogram::new_with_bounds(1, MAX_LATENCY_MICROS, 1).ok()
}

#[cfg(test)]
mod tests {
    use super::super::penalty::PENALTY_DECAY;
    use super::*;

    const SMALL: usize = 1_000;
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn quantiles_are_of_the_size_class_and_of_lately() {
        let load_stats = LoadStats::default();
        for index in 1..=100u32 {
            load_stats.succeeded(SMALL, Duration::from_millis(index.into()), LONG, Instant::now());
            load_stats.succeeded(200_000, Duration::from_millis(10 * u64::from(index)), LONG, Instant::now());
        }
        let near = |bytes, quantile, milliseconds: f64| {
            let found = load_stats.quantile(bytes, quantile).unwrap().as_secs_f64() * 1e3;
            assert!((found / milliseconds - 1.0).abs() < 0.1, "{found} is not about {milliseconds}");
        };
        near(SMALL, 0.5, 50.0);
        near(SMALL, 0.95, 95.0);
        near(200_000, 0.95, 950.0);
        assert_eq!(load_stats.quantile(20_000, 0.5), None, "nothing of that size was asked");
        tokio::time::advance(GENERATION + Duration::from_secs(1)).await;
        near(SMALL, 0.95, 95.0);
        tokio::time::advance(3 * GENERATION).await;
        near(SMALL, 0.95, 95.0); // a black hole does not make what was usual unknown
        load_stats.succeeded(SMALL, Duration::from_millis(5), LONG, Instant::now());
        assert_eq!(load_stats.quantile(SMALL, 0.5), None, "that was too long ago, and one call is too few");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_failure_weighs_more_than_a_slow_answer_and_is_forgotten() {
        let failing = LoadStats::default();
        let slow = LoadStats::default();
        let load = |load_stats: &LoadStats| load_stats.load(CacheScope::SHARED, Instant::now());
        slow.succeeded(SMALL, Duration::from_millis(50), LONG, Instant::now());
        failing.failed(None, FailureScope::AllCallers, CacheScope::SHARED, Instant::now());
        assert!(load(&failing) > 10.0 * load(&slow));
        tokio::time::advance(10 * PENALTY_DECAY).await;
        assert!(load(&failing) < load(&slow), "worth another try");
        assert!(load(&slow) > 0.02, "but what is slow is slow after a pause too");
        tokio::time::advance(10 * LATENCY_DECAY).await;
        assert!(load(&slow) < 0.001, "until nobody can tell any more");
        failing.failed(Some(Duration::from_hours(24)), FailureScope::AllCallers, CacheScope::SHARED, Instant::now());
        assert!(load(&failing) <= MAX_PENALTY.as_secs_f64() + 1.0);
    }

    /// Texts of one caller at which the upstream fails sent the others elsewhere.
    #[tokio::test(start_paused = true)]
    async fn a_failure_that_may_be_the_callers_weighs_for_that_caller() {
        let load_stats = LoadStats::default();
        let hostile = CacheScope::of_caller("hostile");
        load_stats.failed(None, FailureScope::Caller, hostile, Instant::now());
        assert!(load_stats.load(hostile, Instant::now()) > 4.0);
        assert!(load_stats.load(CacheScope::SHARED, Instant::now()) < 0.001);
        load_stats.failed(None, FailureScope::AllCallers, CacheScope::SHARED, Instant::now());
        assert!(load_stats.load(CacheScope::SHARED, Instant::now()) > 4.0);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_under_way_weigh_too() {
        let load_stats = LoadStats::default();
        load_stats.succeeded(SMALL, Duration::from_millis(50), LONG, Instant::now());
        let idle = load_stats.load(CacheScope::SHARED, Instant::now());
        let busy = [load_stats.enter(), load_stats.enter()];
        assert!((load_stats.load(CacheScope::SHARED, Instant::now()) / idle - 3.0).abs() < 1e-9);
        drop(busy);
        assert!((load_stats.load(CacheScope::SHARED, Instant::now()) / idle - 1.0).abs() < 1e-9);
    }

    /// A caller who waits for a tenth of what is usual makes the upstream no quicker than it is.
    #[tokio::test(start_paused = true)]
    async fn what_short_deadlines_let_through_does_not_say_what_is_usual() {
        let load_stats = LoadStats::default();
        let short = Duration::from_millis(60);
        for index in 0..2_000u32 {
            if index % 10 == 9 {
                load_stats.succeeded(SMALL, Duration::from_millis(50), short, Instant::now());
            } else {
                load_stats.cut_off(SMALL, short, Instant::now());
            }
        }
        assert_eq!(load_stats.usual_latency(SMALL), None, "nothing is known");
        assert!(load_stats.load(CacheScope::SHARED, Instant::now()) < 0.001);
        (0..20).for_each(|_| load_stats.succeeded(SMALL, Duration::from_millis(500), LONG, Instant::now()));
        assert!(load_stats.usual_latency(SMALL).unwrap() > Duration::from_millis(450));
        assert!(load_stats.load(CacheScope::SHARED, Instant::now()) > 0.45);
    }

    /// The usual latency is known although one reply in twenty is late, and again after a black hole.
    #[tokio::test(start_paused = true)]
    async fn short_deadlines_that_are_mostly_kept_say_what_is_usual() {
        let load_stats = LoadStats::default();
        let short = Duration::from_millis(300);
        let day = || {
            for index in 0..200u32 {
                if index.is_multiple_of(20) {
                    load_stats.cut_off(SMALL, short, Instant::now());
                } else {
                    load_stats.succeeded(SMALL, Duration::from_millis(50), short, Instant::now());
                }
            }
            load_stats.usual_latency(SMALL)
        };
        assert!(day().is_some_and(|usual| usual < Duration::from_millis(60)));
        let load_stats = LoadStats::default();
        (0..100).for_each(|_| load_stats.cut_off(SMALL, short, Instant::now()));
        for _ in 0..4 {
            tokio::time::advance(GENERATION + Duration::from_secs(1)).await;
            load_stats.cut_off(SMALL, LONG, Instant::now());
        }
        (0..50).for_each(|_| load_stats.succeeded(SMALL, Duration::from_millis(50), short, Instant::now()));
        assert!(load_stats.usual_latency(SMALL).is_some(), "what was cut off long ago is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_among_small_ones_may_take_longer() {
        let load_stats = LoadStats::default();
        (0..100).for_each(|_| load_stats.succeeded(100, Duration::from_millis(20), LONG, Instant::now()));
        let usual = |bytes| load_stats.usual_latency(bytes).unwrap().as_millis();
        assert!((18..=22).contains(&usual(100)) && (18..=22).contains(&usual(10)), "{} {}", usual(100), usual(10));
        assert!((1_800..=2_200).contains(&usual(10_000)), "{}", usual(10_000));
        load_stats.succeeded(10_000, Duration::from_millis(20), LONG, Instant::now());
        assert!(usual(10_000) > 200, "one does not make them usual: {}", usual(10_000));
        (0..100).for_each(|_| load_stats.succeeded(10_000, Duration::from_millis(20), LONG, Instant::now()));
        assert!(usual(10_000) < 30, "many do: {}", usual(10_000));
    }

    /// Small bodies of long ago stretched the usual latency of large ones.
    #[tokio::test(start_paused = true)]
    async fn sizes_are_forgotten_with_their_latencies() {
        let load_stats = LoadStats::default();
        (0..100).for_each(|_| load_stats.succeeded(100, Duration::from_millis(20), LONG, Instant::now()));
        tokio::time::advance(3 * GENERATION).await;
        (0..20).for_each(|_| load_stats.succeeded(10_000, Duration::from_millis(20), LONG, Instant::now()));
        let usual = load_stats.usual_latency(10_000).unwrap();
        assert!(usual < Duration::from_millis(23), "{usual:?}");
    }
}
