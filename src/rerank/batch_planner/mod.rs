//! Passages of one flight, cut into calls, while the provider's limits are being found out.
//!
//! ```text
//!             cut by declared and learned limits             accepted
//!  pool ────────────────────────────────────────▶ ready ─────────────────▶ done
//!   ▲ ▲                                             │
//!   │ │ rest                                refused │            one passage
//!   │ └───────────── probe: a beginning of it ◀─ group ─────────────────────▶ refused
//!   └────────────────────── accepted │ refused ────▶▲
//! ```
//! Nothing is measured until a call is refused. Then the passages that wait are put in order of their size, and beginnings of that order are
//! probed, one at a time: a beginning holds fewer passages, less text and shorter passages, so whatever is limited, a binary search finds where.
//! What is accepted on the way is scored; what is found is used for all that is left. A call that was refused is only ever sent again
//! in parts, so the search ends.

mod search;
mod sizes;

use std::collections::VecDeque;

use tokio::time::Instant;

use self::search::Search;
pub(super) use self::sizes::FlightSizes;
use self::sizes::{Group, RefusedCall, measures_of};
use super::batch::CallLimits;
use crate::upstream::learned_limits::Refused;
use crate::upstream::size::CallSize;
use crate::upstream::size_evidence::SizeEvidence;
use crate::upstream::size_refusal::SizeRefusal;

/// Passages refused by themselves, where nothing was accepted, after which the others are not sent.
const MAX_REFUSED_ALONE: usize = 2;

/// Places of one call to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedBatch {
    pub(super) places: Vec<u32>,
    pub(super) purpose: Purpose,
}

/// What a call is made for, beside its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Nothing else: it may be under way beside others.
    Scores,
    /// To see whether calls of its size are accepted, before the others are cut. Nothing was refused yet.
    FirstOfItsSize,
    /// To find the limit, or the passages to blame for a refusal. The next call depends on it.
    Probe,
    /// To hear of a passage that it is refused, as is expected of it. May be under way beside others.
    Confirmation,
}

impl Purpose {
    /// Whether the next call depends on this one.
    fn is_exclusive(self) -> bool {
        matches!(self, Self::FirstOfItsSize | Self::Probe)
    }
}

/// Places that need no further call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// The provider does not take these, though it may take others.
    pub(super) refused: Vec<u32>,
    /// The refusal is about all of the request.
    pub(super) failed: Vec<u32>,
}

/// Plans the calls of one flight.
#[derive(Debug)]
pub(super) struct BatchPlanner {
    limits: CallLimits,
    ready: VecDeque<Vec<u32>>,
    has_accepted: bool,
    /// Calls whose outcome was not told yet.
    under_way: usize,
    search: Option<Search>,
}

impl BatchPlanner {
    /// A planner for calls that are cut already; all may be under way together.
    pub(super) fn of_calls(calls: Vec<Vec<u32>>, limits: CallLimits) -> Self {
        Self { limits, ready: calls.into(), has_accepted: false, under_way: 0, search: None }
    }

    /// A planner for `places`, about whose sizes something is known.
    pub(super) fn informed(places: Vec<u32>, sizes: FlightSizes, evidence: SizeEvidence, limits: CallLimits) -> Self {
        let mut planner = Self::of_calls(Vec::new(), limits);
        let mut search = Search::new(sizes, evidence);
        search.put_back(places);
        planner.search = Some(search);
        planner
    }

    /// Whether [`Self::measured`] must be called before a refusal is told.
    pub(super) fn needs_sizes(&self) -> bool {
        self.search.is_none()
    }

    /// Takes in the sizes of all passages of the flight.
    pub(super) fn measured(&mut self, sizes: FlightSizes) {
        self.search = Some(Search::new(sizes, SizeEvidence::default()));
    }

    /// Size of a call with these places; `None` if nothing was measured.
    pub(super) fn size_of(&self, places: &[u32]) -> Option<CallSize> {
        Some(self.search.as_ref()?.size_of(places))
    }

    /// Whether a call of this flight was accepted.
    pub(super) fn has_accepted(&self) -> bool {
        self.has_accepted
    }

    /// Number of passages among which a limit is searched.
    pub(super) fn searched_places(&self) -> usize {
        self.search.as_ref().map_or(0, |search| search.pool.len())
    }

    /// Whether no call is under way or to come.
    pub(super) fn is_done(&self) -> bool {
        self.under_way == 0 && self.ready.is_empty() && self.search.as_ref().is_none_or(Search::is_done)
    }

    /// What the flight's refusals teach other requests. A call that held a passage which was refused by itself was refused for that passage, and
    /// teaches nothing. A refusal that nobody explained teaches something only if other calls were accepted. Tells each once.
    pub(super) fn take_lessons(&mut self) -> Vec<Refused> {
        let Some(search) = &mut self.search else { return Vec::new() };
        let refused_calls = std::mem::take(&mut search.refused_calls);
        let accepted = search.evidence.accepted();
        let is_lesson = |call: &&RefusedCall| call.refusal.is_named || self.has_accepted;
        let lesson = |call: &RefusedCall| {
            let size = search.size_of(&call.places);
            Refused { size, measures: measures_of(&size, call.refusal), about: call.refusal.about, accepted }
        };
        refused_calls.iter().filter(is_lesson).map(lesson).collect()
    }

    /// The next call; `None` if there is none, or if it depends on one that is under way.
    pub(super) fn next(&mut self) -> Option<PlannedBatch> {
        let batch = self.plan();
        self.under_way += usize::from(batch.is_some());
        batch
    }

    fn plan(&mut self) -> Option<PlannedBatch> {
        if let Some(places) = self.ready.pop_front() {
            return Some(PlannedBatch { places, purpose: Purpose::Scores });
        }
        let search = self.search.as_mut()?;
        if let Some(place) = search.alone.pop_front() {
            return Some(PlannedBatch { places: vec![place], purpose: Purpose::Confirmation });
        }
        if search.probed.is_some() {
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
        self.plan()
    }

    /// A call was accepted. Places that are now known to be refused themselves.
    pub(super) fn accepted(&mut self, batch: &PlannedBatch) -> Vec<u32> {
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
        std::mem::take(&mut search.suspects)
    }

    /// A planned confirmation is not sent now, but may be when others are answered.
    pub(super) fn postpone(&mut self, batch: PlannedBatch) {
        self.under_way -= 1;
        if let Some(search) = &mut self.search {
            for place in batch.places {
                search.alone.push_front(place);
            }
        }
    }

    /// A call was given up, or failed for a reason that has nothing to do with its size.
    pub(super) fn abandoned(&mut self, batch: &PlannedBatch) {
        self.under_way -= 1;
        if let Some(search) = self.search.as_mut().filter(|_| batch.purpose.is_exclusive()) {
            search.end_probe();
        }
    }

    /// A call was refused for its size, or may have been. Sizes must have been taken in before.
    pub(super) fn refused(&mut self, batch: PlannedBatch, refusal: SizeRefusal, now: Instant) -> Settled {
        self.under_way -= 1;
        let Some(search) = &mut self.search else { return Settled { refused: Vec::new(), failed: batch.places } };
        let size = search.size_of(&batch.places);
        search.learn(&size, refusal, now);
        search.blame(&batch.places, refusal);
        if batch.purpose.is_exclusive() {
            // The passages to blame are in the part that was probed; of the others nothing is known.
            let rest = search.probed.take();
            search.put_back(rest.map(|group| group.places).unwrap_or_default());
        }
        // What was cut but not sent is cut anew.
        search.put_back(self.ready.drain(..).flatten().collect());
        let is_explained = refusal.is_named || self.has_accepted || search.is_informed;
        search.is_in_doubt = !is_explained;
        if let [place] = batch.places[..] {
            return self.refused_alone(place, refusal.is_named, is_explained);
        }
        search.groups.push(Group { places: search.sorted(batch.places), size: size.measures() });
        Settled::default()
    }

    fn refused_alone(&mut self, place: u32, is_named: bool, is_explained: bool) -> Settled {
        let Some(search) = &mut self.search else { return Settled::default() };
        if !is_explained {
            // If even another passage is refused by itself, the request is to blame and not its passages.
            search.suspects.push(place);
            let is_enough = search.suspects.len() >= MAX_REFUSED_ALONE && self.under_way == 0;
            return if is_enough { self.give_up() } else { Settled::default() };
        }
        search.refused_alone += 1;
        let is_hopeless =
            (search.refused_alone >= MAX_REFUSED_ALONE || search.expects_nothing) && search.is_shortest(place);
        if !self.has_accepted && is_hopeless && self.under_way == 0 {
            search.suspects.push(place);
            return self.give_up();
        }
        let mut refused = vec![place];
        if is_named {
            refused.extend(search.take_hopeless(place));
        }
        Settled { refused, failed: Vec::new() }
    }

    /// Passages that are expected to be refused by themselves, to be settled without being sent.
    pub(super) fn give_up_confirmations(&mut self) -> Vec<u32> {
        self.search.as_mut().map(|search| search.alone.drain(..).collect()).unwrap_or_default()
    }

    /// Everything that no call under way holds, to be settled without being sent. At the end of a flight that is what nobody could be
    /// blamed for.
    pub(super) fn give_up(&mut self) -> Settled {
        let mut places: Vec<u32> = self.ready.drain(..).flatten().collect();
        let mut is_unexplained = false;
        if let Some(search) = &mut self.search {
            places.append(&mut search.pool);
            places.append(&mut search.suspects);
            places.extend(search.alone.drain(..));
            places.extend(search.groups.drain(..).flat_map(|group| group.places));
            places.extend(search.probed.take().into_iter().flat_map(|group| group.places));
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
