//! What hedging may cost: second calls are a bounded share of all calls, in number and in price.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use crate::config::settings::HedgeSettings;
use crate::provider::Billing;
use crate::upstream::allowance::{Allowance, AllowanceSettings};

/// Second calls that can be saved up for.
const MAX_SAVED: f64 = 10.0;

/// The hedging of one model. Clones share what may be spent.
#[derive(Clone, Debug)]
pub struct Hedge {
    /// A call is slow when this share of the calls of its size are faster.
    pub after_quantile: f64,
    calls: Arc<Allowance>,
    spend: Arc<Allowance>,
}

impl Hedge {
    /// Hedging within `settings`.
    #[must_use]
    pub fn new(settings: HedgeSettings) -> Self {
        let allowance = |share, most_saved| {
            let window = Duration::from_secs(1);
            Arc::new(Allowance::new(AllowanceSettings { share, per_second: 0.0, window, most_saved }))
        };
        Self {
            after_quantile: settings.after_quantile,
            calls: allowance(settings.max_calls, MAX_SAVED),
            spend: allowance(settings.max_spend, f64::MAX),
        }
    }

    /// A call of so many bytes is made at `target`.
    pub fn count(&self, target: &Target, bytes: usize) {
        self.calls.pay_in(1.0);
        self.spend.pay_in(cost(target, bytes));
    }

    /// Pays for a second call, at `twin`, if there is enough.
    #[must_use]
    pub fn afford(&self, twin: &Target, bytes: usize, now: Instant) -> bool {
        let cost = cost(twin, bytes);
        if !self.spend.take_out(cost, now) {
            return false;
        }
        let is_paid = self.calls.take_out(1.0, now);
        if !is_paid {
            self.spend.give_back(cost);
        }
        is_paid
    }
}

/// What a call of so many bytes costs, for comparison: weighed by its price where that goes by tokens.
fn cost(target: &Target, bytes: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let bytes = bytes as f64;
    match target.facts.billing {
        Billing::Tokens(usd_per_million) => bytes * usd_per_million,
        Billing::Free => 0.0,
        Billing::SearchUnits(_) | Billing::Unknown => bytes,
    }
}
