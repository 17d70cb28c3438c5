//! Cutting the passages of one flight into calls, while the provider's limits are being found out.
//!
//! ```text
//!             cut by declared and learned limits             accepted
//!  pool ────────────────────────────────────────▶ ready ─────────────────▶ done
//!   ▲ ▲                                             │
//!   │ │ rest                                refused │            one passage
//!   │ └───────────── probe: a prefix of it ◀──── group ─────────────────────▶ refused
//!   └────────────────────── accepted │ refused ────▶▲
//! ```
//! Nothing is measured until a call is refused. Then the passages that wait are put in order of their size, and
//! prefixes of that order are probed, one at a time. A prefix holds fewer passages, less text and shorter
//! passages, so whatever is limited, a binary search finds the limit. Calls that are accepted on the way give scores,
//! and the limit is used for all that is left. A refused call is only ever sent again in parts, so the search ends.

mod cut_pool;
mod hopeless;
mod search;
mod sizes;

use std::collections::VecDeque;

use tokio::time::Instant;

use self::search::Search;
pub(super) use self::sizes::FlightSizes;
use self::sizes::{Group, Probe, measures_of};
use super::batch::CallLimits;
use crate::types::index::FlightIndex;
use crate::upstream::learned_limits::Refused;
use crate::upstream::size::CallSize;
use crate::upstream::size_evidence::SizeEvidence;
use crate::upstream::size_refusal::SizeRefusal;

/// Passages refused by themselves after which the others are not sent, if nothing was accepted. One may be too long or
/// odd in another way; after two nothing speaks for the others.
const MAX_REFUSED_ALONE: usize = 2;

/// A call to be made: its places in the flight. Its outcome must be told to the planner that handed it out, once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedBatch {
    pub(super) places: Vec<FlightIndex>,
    pub(super) purpose: Purpose,
}

/// The purpose of a call, beside its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Scores alone. May be under way beside others.
    Scores,
    /// A test whether calls of its size are accepted, before the others are cut. Nothing was refused yet.
    FirstOfItsSize,
    /// A step of the search for the limit, or for the passages to blame. The next call depends on it.
    Probe,
    /// A passage that is expected to be refused, sent by itself to be sure. May be under way beside others.
    Confirmation,
}

impl Purpose {
    /// Returns true if the next call depends on this one.
    fn is_exclusive(self) -> bool {
        matches!(self, Self::FirstOfItsSize | Self::Probe)
    }
}

/// Places that need no further call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Places that the provider refuses, though it may accept others.
    pub(super) refused: Vec<FlightIndex>,
    /// Places that fail because the refusal concerns the whole request.
    pub(super) failed: Vec<FlightIndex>,
}

/// Plans the calls of one flight.
#[derive(Debug)]
pub(super) struct BatchPlanner {
    /// Declared limits. Only a passage that is over one by itself is sent all the same, alone.
    limits: CallLimits,
    /// Calls that are cut and may be under way together. None is empty.
    ready: VecDeque<Vec<FlightIndex>>,
    /// True once a call of this flight was accepted.
    has_accepted: bool,
    /// Number of calls handed out whose outcome is not known yet.
    under_way: usize,
    /// Present once sizes were measured. Until then all places are in `ready` or under way.
    search: Option<Search>,
}

impl BatchPlanner {
    /// A planner for calls that are cut already; all may be under way together.
    pub(super) fn of_calls(calls: Vec<Vec<FlightIndex>>, limits: CallLimits) -> Self {
        Self { limits, ready: calls.into(), has_accepted: false, under_way: 0, search: None }
    }

    /// A planner for `places`, whose sizes are measured because earlier calls taught `evidence`.
    pub(super) fn informed(
        places: Vec<FlightIndex>,
        sizes: FlightSizes,
        evidence: SizeEvidence,
        limits: CallLimits,
    ) -> Self {
        let mut planner = Self::of_calls(Vec::new(), limits);
        let mut search = Search::new(sizes, evidence);
        search.put_back(places);
        planner.search = Some(search);
        planner
    }

    /// Returns true if [`Self::measured`] must be called before [`Self::refused`].
    pub(super) fn needs_sizes(&self) -> bool {
        self.search.is_none()
    }

    /// Starts a search, with the sizes of all passages of the flight.
    pub(super) fn measured(&mut self, sizes: FlightSizes) {
        self.search = Some(Search::new(sizes, SizeEvidence::default()));
    }

    /// Size of a call with these places; `None` if nothing was measured.
    pub(super) fn size_of(&self, places: &[FlightIndex]) -> Option<CallSize> {
        Some(self.search.as_ref()?.size_of(places))
    }

    /// Returns true if a call of this flight was accepted.
    pub(super) fn has_accepted(&self) -> bool {
        self.has_accepted
    }

    /// Number of passages among which a limit is searched.
    pub(super) fn searched_places(&self) -> usize {
        match &self.search {
            Some(search) => search.pool.len(),
            None => 0,
        }
    }

    /// Returns true if no call is under way or to come.
    pub(super) fn is_done(&self) -> bool {
        self.under_way == 0 && self.ready.is_empty() && self.search.as_ref().is_none_or(Search::is_done)
    }

    /// The limits that the flight's refusals teach other requests; each is returned once. Refusals that are unexplained
    /// by now are dropped, so this is for the end of a flight.
    pub(super) fn take_lessons(&mut self) -> Vec<Refused> {
        let Some(search) = &mut self.search else { return Vec::new() };
        let accepted = search.evidence.accepted();
        let mut lessons = Vec::new();
        for call in std::mem::take(&mut search.refused_calls) {
            // Without an explanation the request itself may be to blame, unless other calls of it were accepted.
            if call.refusal.is_named || self.has_accepted {
                let size = search.size_of(&call.places);
                let measures = measures_of(&size, call.refusal);
                lessons.push(Refused { size, measures, about: call.refusal.about, accepted });
            }
        }
        lessons
    }

    /// The next call; `None` if there is none, or if it depends on one that is under way. Its outcome goes to one of
    /// [`Self::accepted`], [`Self::refused`], [`Self::abandoned`], [`Self::postpone`] and [`Self::give_up_unsent`].
    pub(super) fn next(&mut self) -> Option<PlannedBatch> {
        let batch = self.plan();
        self.under_way += usize::from(batch.is_some());
        batch
    }

    /// The next call, which is not counted as under way yet.
    fn plan(&mut self) -> Option<PlannedBatch> {
        if let Some(places) = self.ready.pop_front() {
            return Some(PlannedBatch { places, purpose: Purpose::Scores });
        }
        let search = self.search.as_mut()?;
        if let Some(place) = search.alone.pop_front() {
            return Some(PlannedBatch { places: vec![place], purpose: Purpose::Confirmation });
        }
        // The outcome of a probe decides how the next one is cut.
        if search.probe.is_some() {
            return None;
        }
        if let Some(group) = search.groups.pop() {
            return Some(search.probe_group(group, &self.limits, self.has_accepted));
        }
        if search.pool.is_empty() {
            return None;
        }
        let probe = search.cut_pool(&self.limits, self.has_accepted, &mut self.ready);
        if probe.is_some() || (self.ready.is_empty() && search.alone.is_empty()) {
            return probe;
        }
        // The cut has filled `ready` or `alone`, so this ends at once.
        self.plan()
    }

    /// Takes in that a call was accepted. Returns the places that are now known to be refused.
    pub(super) fn accepted(&mut self, batch: &PlannedBatch) -> Vec<FlightIndex> {
        self.has_accepted = true;
        self.under_way -= 1;
        let Some(search) = &mut self.search else { return Vec::new() };
        search.evidence.accept(&search.size_of(&batch.places));
        if batch.purpose.is_exclusive() {
            search.end_probe();
        }
        if batch.purpose == Purpose::Confirmation {
            // Not what was expected: the others are judged anew.
            let others = search.alone.drain(..).collect();
            search.put_back(others);
        }
        // The request is not to blame, so the passages refused before are.
        std::mem::take(&mut search.suspects)
    }

    /// Puts back a confirmation that was not sent, which may be planned again when others are answered.
    pub(super) fn postpone(&mut self, batch: PlannedBatch) {
        self.under_way -= 1;
        if let Some(search) = &mut self.search {
            for place in batch.places {
                search.alone.push_front(place);
            }
        }
    }

    /// Takes in that a call was given up, or failed for a reason that has nothing to do with its size. Its places are
    /// the caller's to settle.
    pub(super) fn abandoned(&mut self, batch: &PlannedBatch) {
        self.under_way -= 1;
        if batch.purpose.is_exclusive()
            && let Some(search) = &mut self.search
        {
            search.end_probe();
        }
    }

    /// Takes in that a call was refused, for its size or perhaps so. [`Self::measured`] must have been called before:
    /// else its places just fail.
    pub(super) fn refused(&mut self, batch: PlannedBatch, refusal: SizeRefusal, now: Instant) -> Settled {
        self.under_way -= 1;
        let Some(search) = &mut self.search else { return Settled { refused: Vec::new(), failed: batch.places } };
        let size = search.size_of(&batch.places);
        search.learn(&size, refusal, now);
        search.keep_refusal(&batch.places, refusal);
        if batch.purpose.is_exclusive() {
            // The passages to blame are in the part that was probed; of the others nothing is known. A prefix of the
            // pool has no rest.
            if let Some(Probe::OfGroup(rest)) = search.probe.take() {
                search.put_back(rest.places);
            }
        }
        // Calls that were cut but not sent are cut anew, by what this refusal taught.
        search.put_back(self.ready.drain(..).flatten().collect());
        let is_explained = refusal.is_named || self.has_accepted || search.is_informed;
        search.is_in_doubt = !is_explained;
        if let [place] = batch.places[..] {
            return self.refused_alone(place, refusal.is_named, is_explained);
        }
        // The last group is probed next: the search goes on where it was.
        search.groups.push(Group { places: search.sorted(batch.places), size: size.measures() });
        Settled::default()
    }

    /// Keeps the last refusal out of the lessons: another upstream gave it, whose limits may differ. Called right after
    /// [`Self::refused`], before the lessons are taken.
    pub(super) fn drop_last_lesson(&mut self) {
        if let Some(search) = &mut self.search {
            search.refused_calls.pop();
        }
    }

    /// Takes in that a passage was refused by itself. With `is_named` the refusal says that it is one for size; with
    /// `is_explained` the request is not to blame for it.
    fn refused_alone(&mut self, place: FlightIndex, is_named: bool, is_explained: bool) -> Settled {
        let Some(search) = &mut self.search else { return Settled::default() };
        if !is_explained {
            // If even another passage is refused by itself, the request is to blame and not its passages.
            search.suspects.push(place);
            // A call under way may still be accepted, and clear the request.
            let is_enough = search.suspects.len() >= MAX_REFUSED_ALONE && self.under_way == 0;
            return if is_enough { self.give_up() } else { Settled::default() };
        }
        search.refused_alone += 1;
        // Every other passage is as long in every unit, so it would be refused too.
        let is_hopeless =
            (search.refused_alone >= MAX_REFUSED_ALONE || search.expects_nothing) && search.is_shortest(place);
        if !self.has_accepted && is_hopeless && self.under_way == 0 {
            search.suspects.push(place);
            return self.give_up();
        }
        let mut refused = vec![place];
        if is_named {
            // Without the word of the provider it may have been for something in the passage, not for its length.
            refused.extend(search.take_hopeless(place));
        }
        Settled { refused, failed: Vec::new() }
    }

    /// Settles a call that may not be sent, and every other place that would need such a call: for a confirmation those
    /// to be confirmed, for any other call all that is left.
    pub(super) fn give_up_unsent(&mut self, batch: PlannedBatch) -> Settled {
        self.abandoned(&batch);
        if batch.purpose == Purpose::Confirmation {
            let mut refused = batch.places;
            if let Some(search) = &mut self.search {
                refused.extend(search.alone.drain(..));
            }
            return Settled { refused, failed: Vec::new() };
        }
        // Among the places that `give_up` takes out.
        self.ready.push_back(batch.places);
        self.give_up()
    }

    /// Takes out every place that no call under way holds, to be settled without being sent. At the end of a flight
    /// these are the places left over from refusals that no passage could be blamed for.
    pub(super) fn give_up(&mut self) -> Settled {
        let mut places: Vec<FlightIndex> = self.ready.drain(..).flatten().collect();
        let mut is_unexplained = false;
        if let Some(search) = &mut self.search {
            places.append(&mut search.pool);
            places.append(&mut search.suspects);
            places.extend(search.alone.drain(..));
            for group in search.groups.drain(..) {
                places.extend(group.places);
            }
            // A probe under way is settled by its own outcome, so only its rest is given up. A prefix of the pool has
            // no rest.
            if let Some(Probe::OfGroup(rest)) = search.probe.take() {
                places.extend(rest.places);
            }
            is_unexplained = search.is_in_doubt && !self.has_accepted;
        }
        if is_unexplained {
            Settled { refused: Vec::new(), failed: places }
        } else {
            Settled { refused: places, failed: Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests;
