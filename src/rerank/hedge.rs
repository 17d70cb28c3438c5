//! Hedging: a call that takes unusually long is sent to a second target too, and the first answer counts.
//!
//! The second target gives the same scores, so it does not matter which of the two answers. A second call is made only when the first is
//! slower than a high quantile of the calls of its size, only to an upstream that does well, and only while both the number of second calls and
//! what they cost stay below a share of all calls (Dean and Barroso, "The Tail at Scale", 2013: a few percent more load take away most of the
//! tail). The loser is dropped.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::calls::{Batch, Calls};
use crate::cache::key::CacheScope;
use crate::route::Target;
use crate::route::hedge::Hedge;
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::{Interest, Scores};
use crate::upstream::{Backend, UpstreamError};

/// Who else can be asked, and what that may cost.
#[derive(Debug)]
pub(super) struct Race {
    pub(super) hedge: Hedge,
    /// Other targets of the same scores.
    pub(super) twins: Vec<Arc<Target>>,
    pub(super) metrics: Arc<Metrics>,
}

/// Sends `batch` to `target`, and to a twin if that takes too long. Tells who answered, and what.
pub(super) async fn race(
    race: &Race,
    calls: &Calls,
    target: &Arc<Target>,
    batch: &Batch,
    interest: &Arc<Interest>,
) -> (Arc<Target>, Result<Scores, UpstreamError>) {
    let bytes = batch.body.len();
    race.hedge.count(target, bytes);
    let mut first = std::pin::pin!(calls.send(target, batch, interest));
    let Some(late) = race.late(target, bytes) else { return (target.clone(), first.await) };
    tokio::select! {
        biased;
        answer = &mut first => return (target.clone(), answer),
        () = sleep_until(late) => {}
    }
    let Some(twin) = race.twin(interest.scope()) else { return (target.clone(), first.await) };
    let Some(batch) = calls.encode_whole(twin, &batch.places, interest.scope()).await else {
        return (target.clone(), first.await);
    };
    if !race.hedge.afford(twin, bytes, Instant::now()) {
        return (target.clone(), first.await);
    }
    race.metrics.hedged(&twin.upstream.name);
    let mut second = std::pin::pin!(calls.send(twin, &batch, interest));
    // Whichever fails first leaves it to the other.
    tokio::select! {
        answer = &mut first => match answer {
            Err(_) => (twin.clone(), second.await),
            answer => (target.clone(), answer),
        },
        answer = &mut second => match answer {
            Err(_) => (target.clone(), first.await),
            answer => (twin.clone(), answer),
        },
    }
}

impl Race {
    /// When a call is late; `None` while nobody knows what is usual.
    fn late(&self, target: &Target, bytes: usize) -> Option<Instant> {
        let Backend::Remote(remote) = &target.upstream.backend else { return None };
        Some(Instant::now() + remote.vitals.quantile(bytes, self.hedge.after_quantile)?)
    }

    /// Somebody who does well, for `caller`.
    fn twin(&self, caller: CacheScope) -> Option<&Arc<Target>> {
        let now = Instant::now();
        let well = self.twins.iter().filter(|twin| twin.upstream.is_well(caller, now));
        well.min_by(|left, right| left.upstream.load(caller, now).total_cmp(&right.upstream.load(caller, now)))
    }
}
