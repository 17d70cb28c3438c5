//! Extra work, bounded to a share of the regular work.
//!
//! Retries and hedges are sent on top of what clients ask for. What keeps them from multiplying an outage is that they are paid from an
//! account: regular work pays a share in, extra work takes its cost out, and what is not there cannot be spent. A small income per
//! second lets the first failure of a quiet hour be retried too.
//!
//! The idea is Finagle's retry budget (`com.twitter.finagle.service.RetryBudget`); that different failures cost differently is from the AWS
//! SDKs' standard retry mode.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How an account is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AllowanceSettings {
    /// Part of each payment that is credited, 0 to 1.
    pub share: f64,
    /// What is credited each second besides.
    pub per_second: f64,
    /// Seconds of income that the account can hold.
    pub window: Duration,
    /// What the account can hold of payments.
    pub most_saved: f64,
}

/// An account of extra work.
#[derive(Debug)]
pub struct Allowance {
    settings: AllowanceSettings,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    income: f64,
    saved: f64,
    at: Instant,
}

impl Allowance {
    /// An account that holds the income of one window.
    #[must_use]
    pub fn new(settings: AllowanceSettings) -> Self {
        let income = settings.per_second * settings.window.as_secs_f64();
        Self { settings, account: Mutex::new(Account { income, saved: 0.0, at: Instant::now() }) }
    }

    /// Regular work worth `amount` was done.
    pub fn pay_in(&self, amount: f64) {
        let mut account = self.account.lock();
        account.saved = (account.saved + amount * self.settings.share).min(self.settings.most_saved);
    }

    /// Takes out `cost` if it is there.
    pub fn take_out(&self, cost: f64, now: Instant) -> bool {
        let AllowanceSettings { per_second, window, .. } = self.settings;
        let mut account = self.account.lock();
        let since = now.saturating_duration_since(account.at).as_secs_f64();
        account.income = (account.income + since * per_second).min(per_second * window.as_secs_f64());
        account.at = now;
        if account.income + account.saved < cost {
            return false;
        }
        let from_income = account.income.min(cost);
        account.income -= from_income;
        account.saved -= cost - from_income;
        true
    }

    /// Puts back what was taken out and not used.
    pub fn give_back(&self, cost: f64) {
        let mut account = self.account.lock();
        account.saved = (account.saved + cost).min(self.settings.most_saved);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: AllowanceSettings =
        AllowanceSettings { share: 0.2, per_second: 1.0, window: Duration::from_secs(10), most_saved: 100.0 };

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    #[tokio::test(start_paused = true)]
    async fn income_and_a_share_of_the_work_can_be_spent_and_no_more() {
        let allowance = Allowance::new(SETTINGS);
        let spent = |cost| (0..1_000).take_while(|_| allowance.take_out(cost, Instant::now())).count();
        assert_eq!(spent(1.0), 10, "the income of one window");
        (0..50).for_each(|_| allowance.pay_in(1.25));
        assert_eq!(spent(2.0), 6, "a fifth of the work, 12.5");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(spent(1.0), 3);
        tokio::time::advance(Duration::from_hours(1)).await;
        (0..10_000).for_each(|_| allowance.pay_in(1.0));
        assert_eq!(spent(1.0), 110, "neither income nor savings grow without end");
    }

    proptest! {
        /// Whatever the order of events: extra work is at most a share of the work plus income.
        #[test]
        fn extra_work_is_bounded(steps in proptest::collection::vec((any::<bool>(), 0u64..500, 0.5f64..3.0), 0..300)) {
            run(async {
                let allowance = Allowance::new(SETTINGS);
                let start = Instant::now();
                let (mut paid, mut taken) = (0.0, 0.0);
                for (is_payment, wait, amount) in steps {
                    tokio::time::advance(Duration::from_millis(wait)).await;
                    if is_payment {
                        allowance.pay_in(amount);
                        paid += amount;
                    } else if allowance.take_out(amount, Instant::now()) {
                        taken += amount;
                    }
                    let income = 10.0 + start.elapsed().as_secs_f64();
                    prop_assert!(taken <= 0.2 * paid + income + 1e-6, "{taken} of {paid}");
                }
                Ok(())
            })?;
        }
    }
}
