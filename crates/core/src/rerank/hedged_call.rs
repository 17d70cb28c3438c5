//! Hedging: a call that takes unusually long is sent to a second target too, and the first answer counts.
//!
//! The second target gives the same scores, so it does not matter which of the two answers. A second call is made only
//! when the first is slower than a high quantile of the calls of its size, only to a healthy upstream, and only while
//! both the number and the cost of second calls stay below a share of all calls (Dean and Barroso, "The Tail at Scale",
//! 2013: a few percent more load take away most of the tail). The loser is dropped.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::calls::{EncodedBatch, FlightTexts};
use crate::cache::key::CacheScope;
use crate::route::StackTarget;
use crate::route::hedge::Hedge;
use crate::telemetry::metrics::Metrics;
use crate::upstream::UpstreamError;
use crate::upstream::call::{Scores, Waiters};

/// Targets for second calls, and the budget that these draw on.
#[derive(Debug)]
pub(super) struct Hedging {
    pub(super) hedge: Hedge,
    /// The other targets of the same score space; never empty.
    pub(super) equivalent_targets: Vec<StackTarget>,
    pub(super) metrics: Arc<Metrics>,
}

/// Sends `batch` to `target`, and to an equivalent target if that takes too long. Returns the target that answered, and
/// its answer.
pub(super) async fn send_hedged<'a>(
    hedging: &'a Hedging,
    texts: &FlightTexts,
    target: &'a StackTarget,
    batch: &EncodedBatch,
    waiters: &Arc<Waiters>,
) -> (&'a StackTarget, Result<Scores, UpstreamError>) {
    let bytes = batch.payload.bytes();
    // Every first call pays into the budget, so that second calls are a share of all.
    hedging.hedge.count(target, bytes);
    let mut first = std::pin::pin!(texts.send(target, batch, waiters));
    let Some(hedge_at) = hedging.hedge_at(target, bytes) else { return (target, first.await) };
    tokio::select! {
        // In order: an answer that is there when the timer fires must not cost a second call.
        biased;
        answer = &mut first => return (target, answer),
        () = sleep_until(hedge_at) => {}
    }
    let Some(other) = hedging.healthy_target(waiters.scope()) else { return (target, first.await) };
    let Some(second_batch) = texts.encode_whole(other, &batch.places, waiters.scope()).await else {
        return (target, first.await);
    };
    // Paid last: a second call that cannot be made must not use up the budget.
    if !hedging.hedge.afford(other, bytes, Instant::now()) {
        return (target, first.await);
    }
    hedging.metrics.hedged(&other.upstream.name);
    let mut second = std::pin::pin!(texts.send(other, &second_batch, waiters));
    // Whichever fails first leaves it to the other. If that fails too, a failure that can be mended counts.
    tokio::select! {
        answer = &mut first => match answer {
            Ok(scores) => (target, Ok(scores)),
            Err(failure) => match second.await {
                Err(_) if is_splittable(target, &failure) => (target, Err(failure)),
                answer => (other, answer),
            },
        },
        answer = &mut second => match answer {
            Ok(scores) => (other, Ok(scores)),
            Err(failure) => match first.await {
                Err(_) if is_splittable(other, &failure) => (other, Err(failure)),
                answer => (target, answer),
            },
        },
    }
}

/// Returns true if a failure of `target` is not the last word (law 5): a call that is too large is sent again in parts.
/// A listwise model gets its list whole or not at all.
fn is_splittable(target: &StackTarget, failure: &UpstreamError) -> bool {
    failure.size_refusal.is_some() && target.may_split()
}

impl Hedging {
    /// The time at which the second call is made; `None` until there are enough latencies to tell.
    fn hedge_at(&self, target: &StackTarget, bytes: usize) -> Option<Instant> {
        let hedge_delay = target.stack().load_stats.quantile(bytes, self.hedge.after_quantile)?;
        Some(Instant::now() + hedge_delay)
    }

    /// The least loaded of the healthy targets, for `caller`.
    fn healthy_target(&self, caller: CacheScope) -> Option<&StackTarget> {
        let now = Instant::now();
        let healthy = self.equivalent_targets.iter().filter(|target| target.upstream.has_closed_circuit(caller, now));
        healthy.min_by(|left, right| left.upstream.load(caller, now).total_cmp(&right.upstream.load(caller, now)))
    }
}
