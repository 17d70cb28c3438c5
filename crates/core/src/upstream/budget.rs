//! A budget for extra calls: retries and hedges, as a share of the regular calls.
//!
//! Extra calls come on top of those that clients ask for, and without a bound they would multiply an outage. So each
//! regular call deposits a share of itself, each extra call withdraws its cost, and an empty budget allows none. A
//! small income per second lets the first failure of a quiet hour be retried too.
//!
//! Several callers can share a budget, and none may empty it for the others: each may withdraw what its own calls
//! deposited and half of the income. Two callers that fail at once may use up the whole income; the bound on the sum
//! allows that. A caller that arrives while another has been alone adds half of the income of a window, once.
//!
//! The idea is Finagle's retry budget (`com.twitter.finagle.service.RetryBudget`). Costs that depend on the failure
//! come from the standard retry mode of the AWS SDKs.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::key::CacheScope;

/// Budget of the calls that search for the passages to blame for a refusal: as many as the calls that succeed, and
/// three a second besides, over a window of ten seconds. To find one passage among a thousand takes about ten.
pub(super) const SPLIT_BUDGET: BudgetSettings =
    BudgetSettings { share: 1.0, per_second: 3.0, window: Duration::from_secs(10), max_saved: 100.0 };

/// Sources of a budget, and bounds on its balance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSettings {
    /// Part of each deposit that is credited, 0 to 1.
    pub share: f64,
    /// Income per second, besides deposits.
    pub per_second: f64,
    /// Time after which unused income no longer grows.
    pub window: Duration,
    /// Largest balance from deposits.
    pub max_saved: f64,
}

/// A budget for extra calls. Amounts are in calls.
#[derive(Debug)]
pub struct Budget {
    settings: BudgetSettings,
    balance: Mutex<Balance>,
}

#[derive(Debug)]
struct Balance {
    /// Unused income, at most that of a window.
    income: f64,
    /// Unused deposits.
    saved: f64,
    /// Time up to which the income is credited; `None` before the first withdrawal, when the income is at its bound.
    at: Option<Instant>,
}

/// A budget for extra calls that several callers share.
#[derive(Debug)]
pub struct SharedBudget {
    total: Budget,
    /// Callers of late. Never locked while the balance of `total` is.
    callers: Mutex<HashMap<CacheScope, Overdraft>>,
}

/// Withdrawals of a caller minus its deposits, in calls; negative if it deposited more. A positive amount decays at
/// half of the income.
#[derive(Clone, Copy, Debug)]
struct Overdraft {
    amount: f64,
    /// Time up to which it has decayed; that of the caller's latest call.
    at: Instant,
}

/// Part of the income that one of several callers may use, 0 to 1.
const SHARE_OF_INCOME: f64 = 0.5;
/// Time that a caller is remembered after its last call. Long, so that a caller with few calls still has its share.
const CALLER_TIME: Duration = Duration::from_mins(10);

impl SharedBudget {
    /// A budget without callers that holds the income of one window.
    #[must_use]
    pub fn new(settings: BudgetSettings) -> Self {
        Self { total: Budget::new(settings), callers: Mutex::default() }
    }

    /// Deposits the share of `amount` regular calls for `caller`.
    pub fn deposit(&self, caller: CacheScope, amount: f64, now: Instant) {
        self.total.deposit(amount);
        let BudgetSettings { share, max_saved, .. } = self.total.settings;
        let mut callers = self.callers.lock();
        let overdraft = self.overdraft(&mut callers, caller, now);
        overdraft.amount = (overdraft.amount - amount * share).max(-max_saved);
    }

    /// Withdraws `cost` for `caller`. Returns true if the balance covers it and enough is left for the other callers.
    pub fn withdraw(&self, caller: CacheScope, cost: f64, now: Instant) -> bool {
        let window = self.total.settings.window;
        let max_overdraft = SHARE_OF_INCOME * self.total.max_income();
        let mut callers = self.callers.lock();
        callers.retain(|_, overdraft| now.saturating_duration_since(overdraft.at) < CALLER_TIME.max(window));
        let overdrawn = self.overdraft(&mut callers, caller, now).amount;
        // A caller that is alone may use up the whole budget.
        if callers.len() > 1 && overdrawn + cost > max_overdraft {
            return false;
        }
        let is_covered = self.total.withdraw(cost, now);
        if is_covered {
            self.overdraft(&mut callers, caller, now).amount += cost;
        }
        is_covered
    }

    /// The overdraft of `caller`, brought up to `now`. A caller that is new gets an entry, and brings its share of the
    /// income.
    fn overdraft<'a>(
        &self,
        callers: &'a mut HashMap<CacheScope, Overdraft>,
        caller: CacheScope,
        now: Instant,
    ) -> &'a mut Overdraft {
        // The first caller may have emptied the budget while it was alone: a newcomer brings its own share.
        if !callers.is_empty() && !callers.contains_key(&caller) {
            self.total.grant(SHARE_OF_INCOME);
        }
        let overdraft = callers.entry(caller).or_insert(Overdraft { amount: 0.0, at: now });
        let elapsed = now.saturating_duration_since(overdraft.at).as_secs_f64();
        if overdraft.amount > 0.0 {
            let decay = elapsed * SHARE_OF_INCOME * self.total.settings.per_second;
            overdraft.amount = (overdraft.amount - decay).max(0.0);
        }
        overdraft.at = now;
        overdraft
    }
}

impl Budget {
    /// A budget that holds the income of one window.
    #[must_use]
    pub fn new(settings: BudgetSettings) -> Self {
        let income = settings.per_second * settings.window.as_secs_f64();
        Self { settings, balance: Mutex::new(Balance { income, saved: 0.0, at: None }) }
    }

    /// Deposits the share of `amount` regular calls.
    pub fn deposit(&self, amount: f64) {
        let mut balance = self.balance.lock();
        balance.saved = (balance.saved + amount * self.settings.share).min(self.settings.max_saved);
    }

    /// Withdraws `cost`. Returns false, and withdraws nothing, if the balance does not cover it.
    pub fn withdraw(&self, cost: f64, now: Instant) -> bool {
        let mut balance = self.balance.lock();
        if let Some(at) = balance.at {
            let elapsed = now.saturating_duration_since(at).as_secs_f64();
            balance.income = (balance.income + elapsed * self.settings.per_second).min(self.max_income());
        }
        balance.at = Some(now);
        if balance.income + balance.saved < cost {
            return false;
        }
        // Income first: what is unused of it is soon at its bound, while deposits stay.
        let from_income = balance.income.min(cost);
        balance.income -= from_income;
        balance.saved -= cost - from_income;
        true
    }

    /// Credits a part, 0 to 1, of the income of a window.
    fn grant(&self, part: f64) {
        let max = self.max_income();
        let mut balance = self.balance.lock();
        balance.income = (balance.income + part * max).min(max);
    }

    /// Refunds a withdrawal that was not used.
    pub fn refund(&self, cost: f64) {
        let mut balance = self.balance.lock();
        // In the order of the withdrawal, so that income which would soon be lost does not become savings.
        let to_income = cost.min(self.max_income() - balance.income);
        balance.income += to_income;
        balance.saved = (balance.saved + cost - to_income).min(self.settings.max_saved);
    }

    /// Income of one window, its upper bound.
    fn max_income(&self) -> f64 {
        self.settings.per_second * self.settings.window.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: BudgetSettings =
        BudgetSettings { share: 0.2, per_second: 1.0, window: Duration::from_secs(10), max_saved: 100.0 };

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    #[tokio::test(start_paused = true)]
    async fn income_and_a_share_of_the_work_can_be_spent_and_no_more() {
        let budget = Budget::new(SETTINGS);
        let spent = |cost| (0..1_000).take_while(|_| budget.withdraw(cost, Instant::now())).count();
        assert_eq!(spent(1.0), 10, "the income of one window");
        (0..50).for_each(|_| budget.deposit(1.25));
        assert_eq!(spent(2.0), 6, "a fifth of the work, 12.5");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(spent(1.0), 3);
        tokio::time::advance(Duration::from_hours(1)).await;
        (0..10_000).for_each(|_| budget.deposit(1.0));
        assert_eq!(spent(1.0), 110, "neither income nor savings grow without end");
    }

    #[tokio::test(start_paused = true)]
    async fn refunded_income_does_not_become_savings() {
        let budget = Budget::new(SETTINGS);
        let spent = || (0..1_000).take_while(|_| budget.withdraw(1.0, Instant::now())).count();
        assert!(budget.withdraw(4.0, Instant::now()));
        budget.refund(4.0);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(spent(), 10, "the income of one window");
        budget.deposit(15.0);
        assert!(budget.withdraw(3.0, Instant::now()));
        budget.refund(3.0);
        assert_eq!(spent(), 3, "what was deposited");
    }

    #[tokio::test(start_paused = true)]
    async fn no_caller_empties_the_account_for_another() {
        let budget = SharedBudget::new(SETTINGS);
        let hostile = CacheScope::of_caller("hostile");
        let ordinary = CacheScope::of_caller("ordinary");
        let spent = |caller| (0..1_000).take_while(|_| budget.withdraw(caller, 1.0, Instant::now())).count();
        budget.deposit(ordinary, 1.0, Instant::now());
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
        (0..100).for_each(|_| budget.deposit(ordinary, 1.0, Instant::now()));
        spent(hostile);
        assert!(spent(ordinary) >= 19, "what a caller pays in is its own");
    }

    /// The first caller was alone, and used up the whole budget.
    #[tokio::test(start_paused = true)]
    async fn who_comes_later_finds_its_share() {
        let budget = SharedBudget::new(SETTINGS);
        let spent = |name| {
            let caller = CacheScope::of_caller(name);
            (0..1_000).take_while(|_| budget.withdraw(caller, 1.0, Instant::now())).count()
        };
        assert_eq!(spent("hostile"), 10);
        assert_eq!(spent("ordinary"), 5);
        assert_eq!(spent("hostile") + spent("ordinary"), 0, "once");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_has_the_whole_account() {
        let budget = SharedBudget::new(SETTINGS);
        let spent = || (0..1_000).take_while(|_| budget.withdraw(CacheScope::SHARED, 1.0, Instant::now())).count();
        assert_eq!(spent(), 10);
        (0..51).for_each(|_| budget.deposit(CacheScope::SHARED, 1.0, Instant::now()));
        assert_eq!(spent(), 10);
    }

    /// One call of another caller, long ago, halved the budget for ever.
    #[tokio::test(start_paused = true)]
    async fn a_caller_who_is_gone_leaves_the_whole_account() {
        let budget = SharedBudget::new(SETTINGS);
        let caller = CacheScope::of_caller("caller");
        let spent = || (0..1_000).take_while(|_| budget.withdraw(caller, 1.0, Instant::now())).count();
        budget.deposit(CacheScope::of_caller("gone"), 1.0, Instant::now());
        assert_eq!(spent(), 5);
        tokio::time::advance(CALLER_TIME).await;
        assert_eq!(spent(), 10);
    }

    proptest! {
        /// Extra calls are at most a share of the regular calls plus the income, in any order of events.
        #[test]
        fn extra_work_is_bounded(steps in proptest::collection::vec((any::<bool>(), 0u64..500, 0.5f64..3.0), 0..300)) {
            run(async {
                let budget = Budget::new(SETTINGS);
                let start = Instant::now();
                let mut paid = 0.0;
                let mut taken = 0.0;
                for (is_payment, wait, amount) in steps {
                    tokio::time::advance(Duration::from_millis(wait)).await;
                    if is_payment {
                        budget.deposit(amount);
                        paid += amount;
                    } else if budget.withdraw(amount, Instant::now()) {
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
