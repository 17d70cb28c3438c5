//! Hedging: a call that takes unusually long is sent to a second target too, and the first answer counts.
//!
//! The second target gives the same scores, so it does not matter which of the two answers. A second call is made only when the first is
//! slower than a high quantile of the calls of its size, only to an upstream that does well, and only while both the number of second calls and
//! what they cost stay below a share of all calls (Dean and Barroso, "The Tail at Scale", 2013: a few percent more load take away most of the
//! tail). The loser is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::fill::{Batch, Fill};
use crate::config::settings::HedgeSettings;
use crate::provider::Billing;
use crate::route::Target;
use crate::upstream::allowance::{Allowance, AllowanceSettings};
use crate::upstream::call::{Interest, Scores};
use crate::upstream::{Backend, UpstreamError};

/// Second calls that can be saved up for.
const MOST_SAVED: f64 = 10.0;

/// The hedging of one model. Clones share what may be spent.
#[derive(Clone, Debug)]
pub struct Hedge {
    after_quantile: f64,
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
            calls: allowance(settings.max_calls, MOST_SAVED),
            spend: allowance(settings.max_spend, f64::MAX),
        }
    }

    /// Waits for `first`, and for a second call if that takes too long. Tells who answered, and what.
    pub(super) async fn race(
        &self,
        fill: &Arc<Fill>,
        first: impl Future<Output = Result<Scores, UpstreamError>>,
        batch: &Batch,
        interest: &Arc<Interest>,
    ) -> (Arc<Target>, Result<Scores, UpstreamError>) {
        let bytes = batch.body.len();
        let cost = cost(&fill.target, bytes);
        self.calls.pay_in(1.0);
        self.spend.pay_in(cost);
        let mut first = std::pin::pin!(first);
        let Some(late) = self.late(fill, bytes) else { return (fill.target.clone(), first.await) };
        tokio::select! {
            biased;
            answer = &mut first => return (fill.target.clone(), answer),
            () = sleep_until(late) => {}
        }
        let Some(twin) = self.twin(fill, bytes) else { return (fill.target.clone(), first.await) };
        let Some(batch) = fill.encode_whole(&twin, &batch.places).await else {
            return (fill.target.clone(), first.await);
        };
        fill.metrics.hedged(&twin.upstream.name);
        let mut second = std::pin::pin!(fill.send(&twin, &batch, interest));
        // Whichever fails first leaves it to the other.
        tokio::select! {
            answer = &mut first => match answer {
                Err(_) => (twin.clone(), second.await),
                answer => (fill.target.clone(), answer),
            },
            answer = &mut second => match answer {
                Err(_) => (fill.target.clone(), first.await),
                answer => (twin.clone(), answer),
            },
        }
    }

    /// When a call is late; `None` while nobody knows what is usual.
    fn late(&self, fill: &Fill, bytes: usize) -> Option<Instant> {
        let Backend::Remote(remote) = &fill.target.upstream.backend else { return None };
        Some(Instant::now() + remote.vitals.quantile(bytes, self.after_quantile)?)
    }

    /// Somebody who does well, if a second call can be paid for.
    fn twin(&self, fill: &Fill, bytes: usize) -> Option<Arc<Target>> {
        let now = Instant::now();
        let well = fill.twins.iter().filter(|twin| twin.upstream.is_well(now));
        let twin = well.min_by(|left, right| left.upstream.load(now).total_cmp(&right.upstream.load(now)))?;
        if !self.spend.take_out(cost(twin, bytes), now) {
            return None;
        }
        if !self.calls.take_out(1.0, now) {
            self.spend.give_back(cost(twin, bytes));
            return None;
        }
        Some(twin.clone())
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
