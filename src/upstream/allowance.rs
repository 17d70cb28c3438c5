//! Extra work, bounded to a share of the regular work.
//!
//! Retries and hedges are sent on top of what clients ask for. What keeps them from multiplying an outage is that they are paid from an
//! account: regular work pays a share in, extra work takes its cost out, and what is not there cannot be spent. A small income per
//! second lets the first failure of a quiet hour be retried too.
//!
//! Where several callers draw on one account, none of them may empty it for the others: what a caller takes beyond what
//! its own work paid in is at most half of the income. Two that fail at once may use up all of it; that is what the
//! bound on the sum is for. Who comes later than somebody who was alone brings that half along, once.
//!
//! The idea is Finagle's retry budget (`com.twitter.finagle.service.RetryBudget`); that different failures cost differently is from the AWS
//! SDKs' standard retry mode.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::key::CacheScope;

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

/// An account of extra work on which several callers draw.
#[derive(Debug)]
pub struct SharedAllowance {
    account: Allowance,
    callers: Mutex<HashMap<CacheScope, Drawn>>,
}

/// What a caller took beyond what it paid in; less than nothing if it paid more. What it took is forgotten as fast as
/// half of the income comes in.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    amount: f64,
    at: Instant,
}

/// Part of the income that one of several callers may use, 0 to 1.
const SHARE_OF_INCOME: f64 = 0.5;
/// How long after its last call a caller is still one of those that there are. Long, so that who asks now and then finds its share.
const CALLER_TIME: Duration = Duration::from_mins(10);

impl SharedAllowance {
    /// An account that holds the income of one window and knows no callers.
    #[must_use]
    pub fn new(settings: AllowanceSettings) -> Self {
        Self { account: Allowance::new(settings), callers: Mutex::default() }
    }

    /// Regular work worth `amount` was done for `caller`.
    pub fn pay_in(&self, caller: CacheScope, amount: f64, now: Instant) {
        self.account.pay_in(amount);
        let AllowanceSettings { share, most_saved, .. } = self.account.settings;
        let mut callers = self.callers.lock();
        let drawn = self.drawn(&mut callers, caller, now);
        drawn.amount = (drawn.amount - amount * share).max(-most_saved);
    }

    /// Takes out `cost` for `caller` if it is there, and if the caller leaves enough for the others that there are.
    pub fn take_out(&self, caller: CacheScope, cost: f64, now: Instant) -> bool {
        let AllowanceSettings { per_second, window, .. } = self.account.settings;
        let most = SHARE_OF_INCOME * per_second * window.as_secs_f64();
        let mut callers = self.callers.lock();
        callers.retain(|_, drawn| now.saturating_duration_since(drawn.at) < CALLER_TIME.max(window));
        let drawn = self.drawn(&mut callers, caller, now).amount;
        if callers.len() > 1 && drawn + cost > most {
            return false;
        }
        let is_there = self.account.take_out(cost, now);
        if is_there {
            self.drawn(&mut callers, caller, now).amount += cost;
        }
        is_there
    }

    /// What `caller` took, as of now.
    fn drawn<'a>(
        &self,
        callers: &'a mut HashMap<CacheScope, Drawn>,
        caller: CacheScope,
        now: Instant,
    ) -> &'a mut Drawn {
        if !callers.is_empty() && !callers.contains_key(&caller) {
            // Who was alone may have used up all.
            self.account.grant(SHARE_OF_INCOME);
        }
        let drawn = callers.entry(caller).or_insert(Drawn { amount: 0.0, at: now });
        let since = now.saturating_duration_since(drawn.at).as_secs_f64();
        if drawn.amount > 0.0 {
            drawn.amount = (drawn.amount - since * SHARE_OF_INCOME * self.account.settings.per_second).max(0.0);
        }
        drawn.at = now;
        drawn
    }
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

    /// Credits a part of one window's income, as far as it can be held.
    fn grant(&self, part: f64) {
        let most = self.settings.per_second * self.settings.window.as_secs_f64();
        let mut account = self.account.lock();
        account.income = (account.income + part * most).min(most);
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

    #[tokio::test(start_paused = true)]
    async fn no_caller_empties_the_account_for_another() {
        let allowance = SharedAllowance::new(SETTINGS);
        let hostile = CacheScope::of_caller("hostile");
        let ordinary = CacheScope::of_caller("ordinary");
        let spent = |caller| (0..1_000).take_while(|_| allowance.take_out(caller, 1.0, Instant::now())).count();
        allowance.pay_in(ordinary, 1.0, Instant::now());
        for _ in 0..3 {
            assert_eq!(spent(hostile), 5, "half of the income of a window");
            assert!(spent(ordinary) >= 5, "the other half and what it paid in");
            tokio::time::advance(SETTINGS.window).await;
        }
        for _ in 0..60 {
            spent(hostile);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(spent(ordinary) >= 5, "however long that goes on");
        (0..100).for_each(|_| allowance.pay_in(ordinary, 1.0, Instant::now()));
        spent(hostile);
        assert!(spent(ordinary) >= 19, "what a caller pays in is its own");
    }

    /// Before another came the first was alone, and had all of it.
    #[tokio::test(start_paused = true)]
    async fn who_comes_later_finds_its_share() {
        let allowance = SharedAllowance::new(SETTINGS);
        let spent = |name| {
            let caller = CacheScope::of_caller(name);
            (0..1_000).take_while(|_| allowance.take_out(caller, 1.0, Instant::now())).count()
        };
        assert_eq!(spent("hostile"), 10);
        assert_eq!(spent("ordinary"), 5);
        assert_eq!(spent("hostile") + spent("ordinary"), 0, "once");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_has_the_whole_account() {
        let allowance = SharedAllowance::new(SETTINGS);
        let spent = || (0..1_000).take_while(|_| allowance.take_out(CacheScope::SHARED, 1.0, Instant::now())).count();
        assert_eq!(spent(), 10);
        (0..51).for_each(|_| allowance.pay_in(CacheScope::SHARED, 1.0, Instant::now()));
        assert_eq!(spent(), 10);
    }

    /// One call of another caller, long ago, halved the account for ever.
    #[tokio::test(start_paused = true)]
    async fn a_caller_who_is_gone_leaves_the_whole_account() {
        let allowance = SharedAllowance::new(SETTINGS);
        let caller = CacheScope::of_caller("caller");
        let spent = || (0..1_000).take_while(|_| allowance.take_out(caller, 1.0, Instant::now())).count();
        allowance.pay_in(CacheScope::of_caller("gone"), 1.0, Instant::now());
        assert_eq!(spent(), 5);
        tokio::time::advance(CALLER_TIME).await;
        assert_eq!(spent(), 10);
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
