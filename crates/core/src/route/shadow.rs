//! Shadows: a second model gets a sample of a model's requests in the background, and the two rankings are compared.
//!
//! A hash of the query decides whether it is in the sample. So a query that is asked again is compared again, mostly
//! from the cache, and a day's sample is not a few popular queries in one hour and others in the next. Results are kept
//! as sums, never as texts.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{Route, Target};
use crate::agreement::Agreement;
use crate::coalesce::Flights;
use crate::route::settings::{OnFailure, ShadowSettings};
use crate::types::outcomes::ShadowSkip;

/// The period of `max_usd_per_day`.
const DAY: Duration = Duration::from_hours(24);
/// Fewest comparisons for a margin: below it the normal distribution is a poor approximation.
const MIN_FOR_MARGIN: u32 = 30;
/// Half-width of a two-sided 95 % interval in standard errors (normal distribution).
const NORMAL_95: f64 = 1.96;

/// The shadow of one model: a second model that ranks the same requests.
#[derive(Debug)]
pub struct Shadow {
    /// A route to the one target that is asked.
    pub route: Arc<Route>,
    /// The address of the target, `UPSTREAM/MODEL`.
    pub name: String,
    settings: ShadowSettings,
    /// Bounds the comparisons under way.
    permits: Arc<Semaphore>,
    tally: Mutex<Tally>,
}

/// A permit for one comparison.
#[derive(Debug)]
pub struct ShadowPermit(#[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit);

/// The results of a shadow since the start of the process.
#[derive(Clone, Debug)]
pub struct ShadowReport {
    /// Address of the target that is compared with the model's answers, `UPSTREAM/MODEL`.
    pub target: String,
    /// Share of the queries that are compared, 0 to 1.
    pub sample: f64,
    /// Number of requests that were compared.
    pub compared: u32,
    /// Number of requests of the sample to which the shadow gave no answer.
    pub failed: u32,
    /// Number of requests of the sample that were not compared: too many were under way, or the day's budget was spent.
    pub skipped: u32,
    /// Rank-biased overlap of the two rankings (persistence 0.9): 1 for the same order, 0 for nothing in common.
    pub rank_biased_overlap: Option<Mean>,
    /// Kendall's tau-b of the two scores: 1 for the same order, -1 for the reverse.
    pub kendall_tau: Option<Mean>,
    /// Share of passages that both have in their top ten.
    pub top_overlap: Option<Mean>,
}

/// A mean over requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95 % confidence interval; `None` under 30 requests.
    pub margin: Option<f64>,
}

/// Counts and sums since the start of the process.
#[derive(Debug, Default)]
struct Tally {
    compared: u32,
    failed: u32,
    /// True if the last request that ended got no answer: only the first failure of a row is logged.
    is_failing: bool,
    skipped: u32,
    rank_biased_overlap: Sums,
    kendall_tau: Sums,
    top_overlap: Sums,
    /// Beginning of the current day; `None` before the first permit.
    day_began: Option<Instant>,
    /// US dollars spent in the current day.
    spent_usd: f64,
}

/// Sums of the values of one measure, enough for their mean and its margin.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u32,
    sum: f64,
    /// Sum of the squared values.
    of_squares: f64,
}

impl Shadow {
    /// The shadow that asks `target`.
    #[must_use]
    pub fn of(target: Target, settings: ShadowSettings) -> Self {
        let name = target.address();
        let route = Route {
            // An unscored answer rather than an error: only an answer carries the cost so far.
            on_failure: OnFailure::OriginalOrder,
            // Traffic that wants the same pairs must neither wait for the shadow's calls nor fail with them.
            flights: Some(Flights::default()),
            ..Route::to(&name, target)
        };
        Self::new(route, name, settings)
    }

    fn new(route: Route, name: String, settings: ShadowSettings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.max_concurrency));
        Self { route: Arc::new(route), name, settings, permits, tally: Mutex::default() }
    }

    /// Returns true if `query` is in the sample.
    #[must_use]
    pub fn is_sampled(&self, query: &str) -> bool {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(query.as_bytes()).as_bytes()[..8]);
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
        let share = u64::from_le_bytes(first) as f64 / u64::MAX as f64;
        share < self.settings.sample
    }

    /// Asks for a permit at `now`. A comparison is paid for when it ends, so those under way may pass the day's budget.
    ///
    /// # Errors
    /// The reason, if too many comparisons are under way or the day's budget is spent.
    pub fn try_acquire(&self, now: Instant) -> Result<ShadowPermit, ShadowSkip> {
        let mut tally = self.tally.lock();
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => {
                let spent_usd = tally.spent_today(now);
                if spent_usd >= self.settings.max_usd_per_day {
                    Err(ShadowSkip::OverBudget)
                } else {
                    Ok(ShadowPermit(permit))
                }
            }
            Err(_) => Err(ShadowSkip::NoPermit),
        };
        tally.skipped += u32::from(permit.is_err());
        permit
    }

    /// Records a comparison, and the cost of the shadow's answer.
    pub fn compared(&self, agreement: Agreement, cost_usd: Option<f64>) {
        let mut tally = self.tally.lock();
        tally.compared += 1;
        tally.is_failing = false;
        tally.spent_usd += cost_usd.unwrap_or(0.0);
        tally.rank_biased_overlap.add(agreement.rank_biased_overlap);
        tally.top_overlap.add(agreement.top_overlap);
        if let Some(tau) = agreement.kendall_tau {
            tally.kendall_tau.add(tau);
        }
    }

    /// Records that the shadow gave no answer, and the cost of that. Returns true for the first of several
    /// failures in a row, so that only it is logged.
    pub fn failed(&self, cost_usd: Option<f64>) -> bool {
        let mut tally = self.tally.lock();
        tally.failed += 1;
        tally.spent_usd += cost_usd.unwrap_or(0.0);
        let is_first_in_a_row = !tally.is_failing;
        tally.is_failing = true;
        is_first_in_a_row
    }

    /// The results since the start of the process.
    #[must_use]
    pub fn report(&self) -> ShadowReport {
        let tally = self.tally.lock();
        ShadowReport {
            target: self.name.clone(),
            sample: self.settings.sample,
            compared: tally.compared,
            failed: tally.failed,
            skipped: tally.skipped,
            rank_biased_overlap: tally.rank_biased_overlap.mean(),
            kendall_tau: tally.kendall_tau.mean(),
            top_overlap: tally.top_overlap.mean(),
        }
    }
}

impl Tally {
    /// US dollars spent since the current day began. Begins a new day, with nothing spent, at the first call that comes
    /// 24 hours or more after the current day began.
    fn spent_today(&mut self, now: Instant) -> f64 {
        if self.day_began.is_none_or(|day| now.saturating_duration_since(day) >= DAY) {
            self.day_began = Some(now);
            self.spent_usd = 0.0;
        }
        self.spent_usd
    }
}

impl Sums {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.of_squares += value * value;
    }

    /// The mean so far; `None` if there are no values.
    fn mean(self) -> Option<Mean> {
        if self.count == 0 {
            return None;
        }
        let count = f64::from(self.count);
        let mean = self.sum / count;
        if self.count < MIN_FOR_MARGIN {
            return Some(Mean { mean, margin: None });
        }
        // The sample variance, so the divisor is one less than the count. Rounding can make the sum of squared
        // deviations slightly negative when all values are the same.
        let variance = (self.of_squares - count * mean * mean).max(0.0) / (count - 1.0);
        Some(Mean { mean, margin: Some(NORMAL_95 * (variance / count).sqrt()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::settings::OnDeadline;

    fn shadow(sample: f64, max_concurrency: usize, max_usd_per_day: f64) -> Shadow {
        let route = Route {
            model: "m".into(),
            label: "m".into(),
            aliases: Vec::new(),
            targets: Vec::new(),
            on_failure: OnFailure::Error,
            on_deadline: OnDeadline::Error,
            fallback_after: Duration::ZERO,
            hedge: None,
            shadow: None,
            flights: None,
        };
        Shadow::new(route, "u/m".into(), ShadowSettings { sample, max_concurrency, max_usd_per_day })
    }

    const SAME: Agreement = Agreement { rank_biased_overlap: 1.0, kendall_tau: None, top_overlap: 0.5 };

    #[test]
    fn a_sample_is_a_share_of_the_queries_and_always_the_same_ones() {
        let taken = |sample| {
            (0..10_000).filter(|number| shadow(sample, 1, 1.0).is_sampled(&number.to_string())).collect::<Vec<_>>()
        };
        let tenth = taken(0.1);
        assert!((900..1_100).contains(&tenth.len()), "{}", tenth.len());
        assert_eq!(tenth, taken(0.1));
        assert!((taken(0.0).len(), taken(1.0).len()) == (0, 10_000));
    }

    #[tokio::test(start_paused = true)]
    async fn acquiring_fails_without_a_permit_or_a_budget() {
        let shadow = shadow(1.0, 1, 0.01);
        let first = shadow.try_acquire(Instant::now());
        assert!(first.is_ok());
        assert_eq!(shadow.try_acquire(Instant::now()).err(), Some(ShadowSkip::NoPermit), "one at a time");
        drop(first);
        shadow.compared(SAME, Some(0.02));
        assert_eq!(shadow.try_acquire(Instant::now()).err(), Some(ShadowSkip::OverBudget));
        tokio::time::advance(DAY).await;
        assert!(shadow.try_acquire(Instant::now()).is_ok(), "a new day");
        assert_eq!(shadow.report().skipped, 2);
        shadow.failed(Some(0.02));
        assert!(shadow.try_acquire(Instant::now()).is_err(), "a failure costs what was charged by then");
    }

    #[test]
    fn a_mean_has_a_margin_from_thirty_values_on() {
        let mut sums = Sums::default();
        assert_eq!(sums.mean(), None);
        (0..29).for_each(|number| sums.add(f64::from(number % 2)));
        assert_eq!(sums.mean().unwrap().margin, None);
        sums.add(1.0);
        let Mean { mean, margin } = sums.mean().unwrap();
        // Standard deviation of fifteen 0 and fifteen 1: sqrt(30 / 4 / 29) = 0.5085; 1.96 * 0.5085 / sqrt(30) = 0.182.
        assert!((mean - 0.5).abs() < 1e-9 && (margin.unwrap() - 0.182).abs() < 1e-3, "{mean} {margin:?}");
    }
}
