//! The search for a limit: sizes and outcomes of earlier calls, and the passages that wait.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::sizes::{FlightSizes, Group, Probe, RefusedCall, measures_of};
use super::{PlannedBatch, Purpose};
use crate::rerank::batch::CallLimits;
use crate::types::index::FlightIndex;
use crate::upstream::size::{CallSize, MeasureSet, TextSize};
use crate::upstream::size_evidence::{Expectation, SizeEvidence};
use crate::upstream::size_refusal::SizeRefusal;

/// Passages this many times as long as the median, in every unit, are suspected first: without a few very long ones
/// the rest may well be accepted in one call.
const OUTLIER_FACTOR: usize = 2;

/// The state of a search. Every place of the flight is here, in a call under way, or settled.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) sizes: FlightSizes,
    /// Conclusions from the calls of this flight and, if it is informed, from earlier ones.
    pub(super) evidence: SizeEvidence,
    /// Places that no call under way holds, shortest first.
    pub(super) pool: Vec<FlightIndex>,
    /// Places that are expected to be refused by themselves, to be asked for one by one.
    pub(super) alone: VecDeque<FlightIndex>,
    /// Refused calls, or the rests of such, that are to be probed, the last one first. None is empty.
    pub(super) groups: Vec<Group>,
    /// The probe under way. While there is one, neither groups nor the pool are cut.
    pub(super) probe: Option<Probe>,
    /// True if limits on the size of calls were known before the flight: a refusal is then taken to be one for size.
    pub(super) is_informed: bool,
    /// Number of refusals of this flight's calls.
    pub(super) refusals: usize,
    /// True if the last refusal was not explained and nothing was accepted: the request itself may be to blame.
    pub(super) is_in_doubt: bool,
    /// Number of passages that were refused by themselves and are to blame for it.
    pub(super) refused_alone: usize,
    /// Refused calls whose lesson was not taken yet, the newest last.
    pub(super) refused_calls: Vec<RefusedCall>,
    /// Passages refused by themselves while the request itself may be to blame. They are settled with the next call
    /// that is accepted, or at the end.
    pub(super) suspects: Vec<FlightIndex>,
    /// Limit on the passages of a call that the last refusal stated. Tried once, so taken where it is read.
    pub(super) stated_passages: Option<usize>,
    /// True if every passage was expected to be refused before any was sent.
    pub(super) expects_nothing: bool,
}

impl Search {
    pub(super) fn new(sizes: FlightSizes, evidence: SizeEvidence) -> Self {
        Self {
            sizes,
            is_informed: !evidence.is_empty(),
            evidence,
            pool: Vec::new(),
            alone: VecDeque::new(),
            groups: Vec::new(),
            probe: None,
            refusals: 0,
            is_in_doubt: false,
            refused_alone: 0,
            refused_calls: Vec::new(),
            suspects: Vec::new(),
            stated_passages: None,
            expects_nothing: false,
        }
    }

    /// Returns true if no place waits to be sent. Suspects do not: nothing more is asked about them.
    pub(super) fn is_done(&self) -> bool {
        self.pool.is_empty() && self.alone.is_empty() && self.groups.is_empty() && self.probe.is_none()
    }

    fn empty_call(&self) -> CallSize {
        CallSize::of_query(self.sizes.query)
    }

    pub(super) fn size(&self, place: FlightIndex) -> TextSize {
        self.sizes.passages[place]
    }

    pub(super) fn size_of(&self, places: &[FlightIndex]) -> CallSize {
        self.sizes.call(places)
    }

    /// The expected result of a call with this passage alone.
    pub(super) fn expect_alone(&self, place: FlightIndex) -> Expectation {
        self.evidence.expect(&self.size_of(&[place]))
    }

    /// `places` in the order of the pool: by size, shortest first, equal ones in input order.
    pub(super) fn sorted(&self, mut places: Vec<FlightIndex>) -> Vec<FlightIndex> {
        places.sort_by_key(|place| (self.size(*place).tokens(), self.size(*place).bytes(), *place));
        places
    }

    /// Adds places that no call holds any more to the pool, and keeps its order.
    pub(super) fn put_back(&mut self, places: Vec<FlightIndex>) {
        if !places.is_empty() {
            let mut pool = std::mem::take(&mut self.pool);
            pool.extend(places);
            self.pool = self.sorted(pool);
        }
    }

    /// Keeps a refusal until it is clear which passage caused it; [`super::BatchPlanner::take_lessons`] takes it.
    pub(super) fn keep_refusal(&mut self, places: &[FlightIndex], refusal: SizeRefusal) {
        // Calls that held a passage which is refused by itself were refused for that passage, and teach nothing.
        if let [alone] = places {
            self.refused_calls.retain(|call| !call.places.contains(alone));
        }
        self.refused_calls.push(RefusedCall { places: places.to_vec(), refusal });
    }

    /// Adds a refusal to the evidence, and counts it.
    pub(super) fn learn(&mut self, size: &CallSize, refusal: SizeRefusal, now: Instant) {
        let measures = measures_of(size, refusal);
        // A refusal that contradicts what was accepted is the newer word: the limit may have been lowered.
        if !self.evidence.refuse(measures, refusal.about, now) {
            self.evidence.forget_accepted();
            self.evidence.refuse(measures, refusal.about, now);
        }
        self.refusals += 1;
        self.stated_passages = refusal.stated_passages;
    }

    /// Ends a probe that was not refused, and decides where its rest waits.
    ///
    /// The rest is a group of its own if the volume of the refused call has been accepted since, so that one of its
    /// passages must be too long. Else it waits in the pool, since nothing speaks against it any more.
    pub(super) fn end_probe(&mut self) {
        let Some(Probe::OfGroup(group)) = self.probe.take() else { return };
        if self.is_blamed_on_passages(&group) {
            self.groups.push(group);
        } else {
            self.put_back(group.places);
        }
    }

    /// Returns true if a passage of the group must be too long: as many passages and as much text were accepted, so
    /// neither is what the group was refused for.
    fn is_blamed_on_passages(&self, group: &Group) -> bool {
        !group.places.is_empty() && self.evidence.above_accepted(&group.size).and(MeasureSet::VOLUME).is_empty()
    }

    /// Number of places in the longest prefix of `places` that makes an `allowed` call. A call that grows must never
    /// become allowed again: the search stops at the first that is not.
    pub(super) fn longest_prefix(&self, places: &[FlightIndex], allowed: impl Fn(&CallSize) -> bool) -> usize {
        let mut call = self.empty_call();
        for (count, place) in places.iter().enumerate() {
            call = call.with(self.size(*place));
            if !allowed(&call) {
                return count;
            }
        }
        places.len()
    }

    /// Returns true if the call is within `limits`, and no refusal speaks against it.
    pub(super) fn may_be_accepted(&self, call: &CallSize, limits: &CallLimits) -> bool {
        limits.admits(call) && self.evidence.expect(call) != Expectation::Refused
    }

    /// Returns true if the call is within `limits`, and no larger than accepted ones in every measure that may be
    /// limited.
    pub(super) fn is_surely_accepted(&self, call: &CallSize, limits: &CallLimits) -> bool {
        limits.admits(call) && self.evidence.expect(call) == Expectation::Accepted
    }

    /// Returns true if the call is within `limits`, and no larger than accepted ones in passages and in text, as far as
    /// these may be limited. Its passages must be expected to be accepted by themselves.
    pub(super) fn is_accepted_by_volume(&self, call: &CallSize, limits: &CallLimits) -> bool {
        limits.admits(call) && self.evidence.expect_by_volume(call) == Expectation::Accepted
    }

    /// Takes the first `count` places out of the pool for a probe.
    pub(super) fn probe_pool(&mut self, count: usize) -> PlannedBatch {
        self.probe = Some(Probe::OfPool);
        let purpose = if self.refusals == 0 { Purpose::FirstOfItsSize } else { Purpose::Probe };
        PlannedBatch { places: self.pool.drain(..count).collect(), purpose }
    }

    /// Plans a call for a prefix of a refused one. It leaves a rest, unless a single passage is left to blame. The
    /// group must not be empty.
    pub(super) fn probe_group(&mut self, mut group: Group, limits: &CallLimits, has_accepted: bool) -> PlannedBatch {
        let count = match group.places.len() {
            1 => 1,
            _ => self.prefix_to_probe(&group, limits, has_accepted),
        };
        let rest = group.places.split_off(count);
        self.probe = Some(Probe::OfGroup(Group { places: rest, size: group.size }));
        PlannedBatch { places: group.places, purpose: Purpose::Probe }
    }

    /// Number of places of the group to probe, at least 1 and less than all. The group has two or more.
    fn prefix_to_probe(&mut self, group: &Group, limits: &CallLimits, has_accepted: bool) -> usize {
        if self.is_in_doubt && !has_accepted {
            // The smallest call there is: if even that is refused, the request is likelier to blame than its size.
            return 1;
        }
        // Never the whole group again, so that the search ends.
        let shorter = &group.places[..group.places.len() - 1];
        let possible = self.longest_prefix(shorter, |call| self.may_be_accepted(call, limits)).max(1);
        if has_accepted && self.is_blamed_on_passages(group) {
            // One of the passages is to blame, so the search is among those that nothing speaks for.
            let harmless =
                shorter.iter().take_while(|place| self.expect_alone(**place) == Expectation::Accepted).count();
            return middle(harmless.min(possible), possible);
        }
        if let Some(stated) = self.stated_passages.take() {
            return stated.clamp(1, possible);
        }
        if self.refusals == 1
            && !self.is_informed
            && let Some(ordinary) = self.ordinary_prefix(&group.places)
        {
            return ordinary.min(possible);
        }
        let safe = self.longest_prefix(shorter, |call| self.is_accepted_by_volume(call, limits));
        if is_worth_a_probe(group.places.len() + self.pool.len(), safe, possible) {
            return middle(safe, possible);
        }
        safe.max(1)
    }

    /// Number of passages that are not much longer than the median; `None` if all are alike.
    fn ordinary_prefix(&self, places: &[FlightIndex]) -> Option<usize> {
        let median = self.size(places[places.len() / 2]);
        let ordinary = places
            .partition_point(|place| median.bytes() == 0 || !self.size(*place).is_at_least(OUTLIER_FACTOR, median));
        if ordinary == 0 || ordinary == places.len() { None } else { Some(ordinary) }
    }
}

/// The next count of a binary search: half way from `safe` to `possible`, rounded up. `possible` must not be below
/// `safe`; [`is_worth_a_probe`] is false where it is.
pub(super) fn middle(safe: usize, possible: usize) -> usize {
    safe + (possible - safe).div_ceil(2)
}

/// Returns true if calls of `safe` passages would be over a tenth more than calls of `possible`, or if nothing is safe.
/// Fewer calls than that are not worth one that may be refused. `possible` is at least 1, unless `safe` is 0.
pub(super) fn is_worth_a_probe(passages: usize, safe: usize, possible: usize) -> bool {
    safe == 0 || passages.div_ceil(safe) * 10 > passages.div_ceil(possible) * 11
}
