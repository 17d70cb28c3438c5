//! The budget of hedging: second calls are a bounded share of all calls, in number and in price.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use crate::provider::Billing;
use crate::route::settings::HedgeSettings;
use crate::upstream::budget::{Budget, BudgetSettings};

/// Most second calls that the budget saves up for: the burst that may follow a long time without slow calls.
const MAX_SAVED_CALLS: f64 = 10.0;

/// The hedging of one model. Clones share the budget.
#[derive(Clone, Debug)]
pub struct Hedge {
    /// Share of the calls of its size, 0 to 1, that must be faster than a call before it counts as slow.
    pub after_quantile: f64,
    /// Budget in calls.
    calls: Arc<Budget>,
    /// Budget in the unit of [`cost`].
    spend: Arc<Budget>,
}

impl Hedge {
    /// Hedging within `settings`.
    #[must_use]
    pub fn new(settings: HedgeSettings) -> Self {
        Self {
            after_quantile: settings.after_quantile,
            calls: budget(settings.max_calls, MAX_SAVED_CALLS),
            // Unbounded here: the budget in calls bounds second calls already.
            spend: budget(settings.max_spend, f64::MAX),
        }
    }

    /// Deposits for a first call of `bytes` at `target`, in both budgets.
    pub fn count(&self, target: &Target, bytes: usize) {
        self.calls.deposit(1.0);
        self.spend.deposit(cost(target, bytes));
    }

    /// Pays for a second call of `bytes` at `target`. Returns false, and takes nothing, if the budget is too small.
    #[must_use]
    pub fn afford(&self, target: &Target, bytes: usize, now: Instant) -> bool {
        let cost = cost(target, bytes);
        if !self.spend.withdraw(cost, now) {
            return false;
        }
        let is_paid = self.calls.withdraw(1.0, now);
        if !is_paid {
            // The call is not made, so its cost must stay in the budget.
            self.spend.refund(cost);
        }
        is_paid
    }
}

/// A budget that `share` of each deposit goes to, and that keeps at most `max_saved`.
fn budget(share: f64, max_saved: f64) -> Arc<Budget> {
    // Second calls live on deposits alone; without an income the window has no effect.
    let window = Duration::from_secs(1);
    Arc::new(Budget::new(BudgetSettings { share, per_second: 0.0, window, max_saved }))
}

/// The cost of a call, only comparable with that of other calls: its bytes, times the price per million tokens where
/// tokens are billed.
fn cost(target: &Target, bytes: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let bytes = bytes as f64;
    match target.facts.billing {
        Billing::Tokens(usd_per_million) => bytes * usd_per_million,
        Billing::Free => 0.0,
        Billing::SearchUnits(_) | Billing::Calls(_) | Billing::Unknown => bytes,
    }
}
