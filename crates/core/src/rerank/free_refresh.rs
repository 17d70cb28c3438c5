//! Free refreshes: known scores near the end of their life, computed afresh in the free room of a search unit that is
//! paid for anyway (`cache.refresh_ahead = "free"`).
//!
//! ```text
//!  call of 3 new passages                     1 unit of up to 100 documents
//!  the same call with 97 known ones behind    1 unit
//! ```
//! Only the fresh scores of the free pairs are kept, for later requests: this one uses those it knows. So nobody waits
//! for free pairs, they are no part of the flight, and a call that is refused with them is sent again without them.

use tokio::time::Instant;

use super::batch::FillingCall;
use super::batch_planner::{PlannedBatch, Purpose};
use super::calls::FlightTexts;
use super::declared_limits::declared_limits;
use super::flight_task::FlightTask;
use super::plan::Plan;
use super::score::StackAttempt;
use crate::cache::ScoreCache;
use crate::cache::key::{CacheScope, PairKey};
use crate::coalesce::{Flights, Lead};
use crate::error::ErrorKind;
use crate::route::StackTarget;
use crate::types::facts::{BILLED_DOCUMENT_TOKENS, Billing, SEARCH_UNIT_DOCUMENTS};
use crate::types::index::PieceIndex;
use crate::types::model_version::ModelVersion;
use crate::upstream::UpstreamError;
use crate::upstream::call::Scores;
use crate::upstream::size::estimate_tokens;

/// A known pair whose score is to be computed afresh if that is free.
#[derive(Clone, Copy, Debug)]
pub(super) struct FreePair {
    pub(super) key: PairKey,
    /// The piece whose text is sent.
    pub(super) piece: PieceIndex,
}

/// The pairs of `plan` that may be refreshed by the calls of a flight to the attempt's target, in input order. None
/// without the setting, for models that are not billed by the search, or if the scores may not be stored. Pairs that
/// are in flight are left out.
pub(super) fn free_pairs(
    attempt: StackAttempt<'_>,
    plan: &Plan,
    cache: &ScoreCache,
    flights: &Flights,
) -> Vec<FreePair> {
    let target = attempt.target;
    let is_billed_by_search = matches!(target.facts.billing, Billing::SearchUnits(_));
    if plan.due().is_empty()
        || !cache.refreshes_for_free()
        || !is_billed_by_search
        || !target.may_split()
        || !attempt.waiter.store
    {
        return Vec::new();
    }
    let slots = flights.not_in_flight(plan.query(), plan.keys(), plan.due());
    let mut free = Vec::with_capacity(slots.len());
    for (slot, piece) in slots.iter().zip(plan.pieces_of(slots.iter().copied())) {
        free.push(FreePair { key: plan.keys()[*slot], piece });
    }
    free
}

/// Takes from the front of `waiting` the pairs that the call `batch` has room for at no cost. Pairs that are too long
/// are skipped and dropped. A call that searches for a limit gets none.
///
/// A document over 500 tokens may count as several, so there is no telling how much room a call with one has: none is
/// used then. Where the provider has refused calls for their size lately, none is used either.
pub(super) fn take_free(
    waiting: &mut Vec<FreePair>,
    texts: &FlightTexts,
    target: &StackTarget,
    batch: &PlannedBatch,
    caller: CacheScope,
) -> Vec<FreePair> {
    let PlannedBatch { places, purpose, .. } = batch;
    if waiting.is_empty() || *purpose != Purpose::Scores || !has_no_refusals(target, caller) {
        return Vec::new();
    }
    let mut call = FillingCall::new(&texts.request.query, declared_limits(target));
    let query_tokens = estimate_tokens(&texts.request.query);
    for place in places {
        let text = texts.text(*place);
        if query_tokens + estimate_tokens(text) > BILLED_DOCUMENT_TOKENS {
            return Vec::new();
        }
        call.add(text);
    }
    let room_of_unit = places.len().next_multiple_of(SEARCH_UNIT_DOCUMENTS) - places.len();
    let mut taken = Vec::new();
    let mut looked_at = 0;
    for pair in waiting.iter() {
        if taken.len() == room_of_unit {
            break;
        }
        let text = texts.text_of_piece(pair.piece);
        let is_long = query_tokens + estimate_tokens(text) > BILLED_DOCUMENT_TOKENS;
        if !is_long && !call.try_add(text) {
            break;
        }
        looked_at += 1;
        if !is_long {
            taken.push(*pair);
        }
    }
    waiting.drain(..looked_at);
    taken
}

/// Returns true if `target` has refused no calls of `caller` lately, for their size or with free pairs.
fn has_no_refusals(target: &StackTarget, caller: CacheScope) -> bool {
    let stack = target.stack();
    let now = Instant::now();
    stack.free_refreshes.are_allowed(caller, now) && stack.learned_limits.of(&target.model, caller, now).is_empty()
}

impl FlightTask {
    /// Keeps the scores of the free pairs that were sent behind the passages of a call, and leaves those of the
    /// passages. A hedge's call has no free pairs.
    pub(super) fn keep_free(&self, lead: &Lead, passages: usize, free: &[FreePair], scores: &mut Scores) {
        if scores.scores.len() != passages + free.len() {
            return;
        }
        let fresh: Vec<_> = free.iter().map(|pair| pair.key).zip(scores.scores.drain(passages..)).collect();
        if ModelVersion::of(scores.model_version.as_deref()) != self.version {
            return; // the keys are of the version before
        }
        self.cache.put_many(lead.query(), &fresh);
        self.metrics.refreshed(fresh.len());
    }
}

/// Returns true for a failure that free pairs may have caused: the call is then sent without them.
pub(super) fn may_be_of_free_pairs(error: &UpstreamError) -> bool {
    error.size_refusal.is_some() || error.kind == ErrorKind::UpstreamRejected
}
