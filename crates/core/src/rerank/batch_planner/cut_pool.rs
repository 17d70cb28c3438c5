//! Cutting the passages that wait in the pool into calls.

use std::collections::VecDeque;

use super::PlannedBatch;
use super::search::{Search, is_worth_a_probe, middle};
use crate::rerank::batch::CallLimits;
use crate::types::index::FlightIndex;
use crate::upstream::size::MeasureSet;
use crate::upstream::size_evidence::Expectation;

impl Search {
    /// Cuts the pool into calls. Puts calls that may be under way together into `ready`, and passages to be confirmed
    /// into `alone`; else returns a probe.
    ///
    /// Called only when there is nothing else to send: the pool holds something, `ready`, `alone` and `groups` are
    /// empty, and no probe is under way.
    pub(super) fn cut_pool(
        &mut self,
        limits: &CallLimits,
        has_accepted: bool,
        ready: &mut VecDeque<Vec<FlightIndex>>,
    ) -> Option<PlannedBatch> {
        let (alone, together): (Vec<FlightIndex>, Vec<FlightIndex>) =
            self.pool.iter().partition(|place| self.expect_alone(**place) == Expectation::Refused);
        self.pool = together;
        if self.refusals == 0 {
            self.cut_known(limits, ready);
        }
        if has_accepted || !ready.is_empty() {
            // Confirmations come last, when others were accepted or are on their way: a refusal then means the passage.
            self.alone.extend(alone);
        } else if self.pool.is_empty() {
            // Nothing promises to be accepted, so the shortest passage has to show whether the evidence still holds.
            self.pool = alone;
            self.expects_nothing = self.refusals == 0;
            return Some(self.probe_pool(1));
        } else {
            self.put_back(alone);
        }
        if self.pool.is_empty() {
            return None;
        }
        if self.refusals == 0 {
            // Nobody has tried a call of this size. The others wait for it: if it is refused they would be, too. In
            // input order, so that it holds long and short passages alike.
            self.pool.sort_unstable();
            let count = self.longest_prefix(&self.pool, |call| self.may_be_accepted(call, limits)).max(1);
            let pilot = self.probe_pool(count);
            // Puts the pool in order of size again.
            let others = std::mem::take(&mut self.pool);
            self.put_back(others);
            return Some(pilot);
        }
        if self.is_in_doubt && !has_accepted {
            // As in `prefix_to_probe`: the smallest call shows whether the request is to blame.
            return Some(self.probe_pool(1));
        }
        let possible = self.longest_prefix(&self.pool, |call| self.may_be_accepted(call, limits)).max(1);
        if let Some(stated) = self.stated_passages.take() {
            return Some(self.probe_pool(stated.clamp(1, possible)));
        }
        let safe = self.longest_prefix(&self.pool, |call| self.is_accepted_by_volume(call, limits));
        if is_worth_a_probe(self.pool.len(), safe, possible) {
            return Some(self.probe_pool(middle(safe, possible)));
        }
        self.cut_safe(limits, ready);
        None
    }

    /// Cuts the pool into calls that are no larger than accepted ones, until larger ones promise to be clearly fewer.
    /// The first passage of the pool is safe, so there is at least one call.
    fn cut_safe(&mut self, limits: &CallLimits, ready: &mut VecDeque<Vec<FlightIndex>>) {
        let safe_alone =
            self.pool.partition_point(|place| self.is_accepted_by_volume(&self.size_of(&[*place]), limits));
        let longer = self.pool.split_off(safe_alone);
        let mut waiting = std::mem::replace(&mut self.pool, longer);
        if !self.evidence.may_blame(MeasureSet::ALL.without(MeasureSet::VOLUME)) {
            // No passage is too long by itself: full calls hold long and short ones.
            waiting.sort_unstable();
        }
        while !waiting.is_empty() {
            let safe = self.longest_prefix(&waiting, |call| self.is_accepted_by_volume(call, limits));
            let possible = self.longest_prefix(&waiting, |call| self.may_be_accepted(call, limits));
            if !ready.is_empty() && is_worth_a_probe(waiting.len(), safe, possible.max(safe)) {
                break;
            }
            // At least one, so that this ends: the order goes by tokens, and a limit in another unit may forbid even
            // one.
            let rest = waiting.split_off(safe.max(1));
            ready.push_back(waiting);
            waiting = rest;
        }
        self.put_back(waiting);
    }

    /// Cuts passages that are sure to be accepted out of the pool, unless untried, larger calls promise to be clearly
    /// fewer.
    fn cut_known(&mut self, limits: &CallLimits, ready: &mut VecDeque<Vec<FlightIndex>>) {
        let known = self.longest_prefix(&self.pool, |call| self.is_surely_accepted(call, limits));
        let possible = self.longest_prefix(&self.pool, |call| self.may_be_accepted(call, limits));
        if known == 0 || is_worth_a_probe(self.pool.len(), known, possible.max(known)) {
            return;
        }
        let (mut in_order, others): (Vec<FlightIndex>, Vec<FlightIndex>) =
            self.pool.iter().partition(|place| self.is_surely_accepted(&self.size_of(&[**place]), limits));
        // In input order, so that calls hold long and short passages alike.
        in_order.sort_unstable();
        let mut waiting = &in_order[..];
        while !waiting.is_empty() {
            // Each of these is accepted alone, so there is always one; the bound makes the loop end whatever happens.
            let count = self.longest_prefix(waiting, |call| self.is_surely_accepted(call, limits)).max(1);
            let (call, rest) = waiting.split_at(count);
            ready.push_back(call.to_vec());
            waiting = rest;
        }
        self.pool = others;
    }
}
