//! Conclusions from calls that a provider accepted and calls that it refused for their size.
//!
//! A refusal says that a call was too large, and seldom in which measure. So every measure in which the call was larger
//! than any accepted call may be the reason; each accepted call rules some out. While some measure explains all
//! refusals, the limit is taken to be in one of these. A later call is expected to be refused only if, for each of the
//! measures that may still be limited, it is at least as large as some refused call: whichever of them is, the call is
//! over the limit. Nothing is concluded from the sizes that happened to be accepted, and nothing about calls of another
//! kind: a refusal of long queries says nothing about short ones.

use std::time::Duration;

use tokio::time::Instant;

use super::size::{CallSize, MeasureSet, Measures};

/// Refusals that are kept. A new one replaces the one that was confirmed longest ago.
const MAX_REFUSALS: usize = 16;
/// Time after which an unconfirmed refusal is forgotten: the provider may have raised its limit.
pub const REFUSAL_TTL: Duration = Duration::from_mins(5);
/// Period of accepted sizes. They count for one to two periods: the provider may have lowered its limit.
const ACCEPTED_PERIOD: Duration = Duration::from_mins(1);

/// Expected result of a call, judged by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// No larger than accepted calls in any measure that may be limited.
    Accepted,
    /// Between accepted and refused calls.
    Unknown,
    /// Over the limit, whichever of the measures that may be limited has it.
    Refused,
}

/// Accepted and refused sizes of one model of one upstream.
#[derive(Clone, Debug, Default)]
pub struct SizeEvidence {
    /// Largest accepted value of each measure in this period.
    accepted: Measures,
    /// The same in the period before.
    accepted_before: Measures,
    /// Start of this period; `None` before the first [`Self::expire`].
    period_began: Option<Instant>,
    refusals: Vec<Refusal>,
}

/// A refused call.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    size: Measures,
    /// Measures that may have been the reason; never empty.
    reasons: MeasureSet,
    /// Time of the latest refused call that it covers.
    confirmed: Instant,
}

impl Refusal {
    /// Returns true if `call` is at least as large in every measure that may have been the reason.
    fn covers(&self, call: &Measures) -> bool {
        self.reasons.and(self.size.above(call)).is_empty()
    }

    /// Returns true if `other` is as large or larger, and has no reason that this one lacks.
    fn replaces(&self, other: &Self) -> bool {
        other.reasons.without(self.reasons).is_empty() && self.covers(&other.size)
    }
}

impl SizeEvidence {
    /// Returns true if no refusal is known, so that nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.refusals.is_empty()
    }

    /// Records an accepted call.
    pub fn accept(&mut self, call: &CallSize) {
        self.accept_measures(&call.measures());
    }

    /// Records accepted calls by the largest value of each measure. Refusals lose the reasons that this rules out, and
    /// one without any is forgotten: the provider does not go by size, or its limit has changed.
    pub fn accept_measures(&mut self, measures: &Measures) {
        self.accepted = self.accepted.max(*measures);
        let accepted = self.accepted();
        for refusal in &mut self.refusals {
            refusal.reasons = refusal.reasons.and(refusal.size.above(&accepted));
        }
        self.refusals.retain(|refusal| !refusal.reasons.is_empty());
    }

    /// Records a refused call that was over a limit in one of the measures `about`. Returns false, and concludes
    /// nothing, if accepted calls contradict that: the provider does not go by size, or its limit has changed.
    pub fn refuse(&mut self, call: Measures, about: MeasureSet, now: Instant) -> bool {
        let above = call.above(&self.accepted());
        let named = above.and(about);
        // Providers also name the wrong measure: then any that accepted calls leave open may be meant.
        let reasons = if named.is_empty() { above } else { named };
        if reasons.is_empty() {
            return false;
        }
        let mut is_known = false;
        for refusal in &mut self.refusals {
            if refusal.covers(&call) {
                refusal.confirmed = now;
                is_known = true;
            }
        }
        if is_known {
            return true;
        }
        let refusal = Refusal { size: call, reasons, confirmed: now };
        // A larger refusal that the new one implies says nothing more.
        self.refusals.retain(|known| !refusal.replaces(known));
        if self.refusals.len() >= MAX_REFUSALS {
            let oldest = (0..self.refusals.len()).min_by_key(|index| self.refusals[*index].confirmed);
            if let Some(index) = oldest {
                self.refusals.swap_remove(index);
            }
        }
        self.refusals.push(refusal);
        true
    }

    /// Adds refusals on which two others agree: a call is expected to be refused if each of them expects that.
    pub fn refuse_jointly(&mut self, one: &Self, other: &Self) {
        let accepted = self.accepted();
        for first in &one.refusals {
            let first_reasons = first.reasons.and(first.size.above(&accepted));
            for second in &other.refusals {
                let second_reasons = second.reasons.and(second.size.above(&accepted));
                if first_reasons.is_empty() || second_reasons.is_empty() || self.refusals.len() >= MAX_REFUSALS {
                    continue;
                }
                self.refusals.push(Refusal {
                    size: first.size.within(first_reasons).max(second.size.within(second_reasons)),
                    reasons: first_reasons.or(second_reasons),
                    // As old as the older one, without which it would not be.
                    confirmed: first.confirmed.min(second.confirmed),
                });
            }
        }
    }

    /// Removes all refusals and keeps accepted sizes.
    pub fn forget_refusals(&mut self) {
        self.refusals.clear();
    }

    /// Removes accepted sizes, because the provider now refuses such calls.
    pub fn forget_accepted(&mut self) {
        self.accepted = Measures::default();
        self.accepted_before = Measures::default();
    }

    /// Removes refusals that were not confirmed for [`REFUSAL_TTL`], and accepted sizes of one to two minutes ago.
    pub fn expire(&mut self, now: Instant) {
        self.refusals.retain(|refusal| now.saturating_duration_since(refusal.confirmed) < REFUSAL_TTL);
        let began = *self.period_began.get_or_insert(now);
        let age = now.saturating_duration_since(began);
        if age >= ACCEPTED_PERIOD {
            let is_next_period = age < 2 * ACCEPTED_PERIOD;
            self.accepted_before = if is_next_period { self.accepted } else { Measures::default() };
            self.accepted = Measures::default();
            self.period_began = Some(now);
        }
    }

    /// Measures in which `call` is larger than every accepted call.
    #[must_use]
    pub fn above_accepted(&self, call: &Measures) -> MeasureSet {
        call.above(&self.accepted())
    }

    /// Returns true if one of `measures` may be the reason of a refusal.
    #[must_use]
    pub fn may_blame(&self, measures: MeasureSet) -> bool {
        !self.all_reasons().and(measures).is_empty()
    }

    /// The largest accepted value of each measure.
    #[must_use]
    pub fn accepted(&self) -> Measures {
        self.accepted.max(self.accepted_before)
    }

    /// The expected result of a call, judged by all measures.
    #[must_use]
    pub fn expect(&self, call: &CallSize) -> Expectation {
        self.expect_in(call, MeasureSet::ALL)
    }

    /// The expected result of a call whose every passage is expected to be accepted. Compares only its volume with
    /// accepted calls.
    #[must_use]
    pub fn expect_by_volume(&self, call: &CallSize) -> Expectation {
        self.expect_in(call, MeasureSet::VOLUME)
    }

    /// The expected result of a call. `compared` are the measures that must not be above those of accepted calls.
    fn expect_in(&self, call: &CallSize, compared: MeasureSet) -> Expectation {
        let measures = call.measures();
        let common = self.common_reasons();
        if self.is_refused(&measures, common) {
            return Expectation::Refused;
        }
        let limited = if common.is_empty() { self.all_reasons() } else { common };
        let above = self.above_accepted(&measures).and(compared);
        if above.and(limited).is_empty() { Expectation::Accepted } else { Expectation::Unknown }
    }

    /// Measures each of which explains every refusal. Few providers limit more than one.
    fn common_reasons(&self) -> MeasureSet {
        if self.refusals.is_empty() {
            return MeasureSet::NONE;
        }
        let mut common = MeasureSet::ALL;
        for refusal in &self.refusals {
            common = common.and(refusal.reasons);
        }
        common
    }

    /// Measures that explain any refusal.
    fn all_reasons(&self) -> MeasureSet {
        let mut all = MeasureSet::NONE;
        for refusal in &self.refusals {
            all = all.or(refusal.reasons);
        }
        all
    }

    /// Returns true if `call` is surely over the limit.
    ///
    /// If each measure of `common` explains all refusals, the limit is in one of these, nobody knows which. So in each
    /// of them some refused call, not always the same one, must be no larger than `call`. If `common` is empty, there
    /// are several limits, and one refusal must cover the call by itself.
    fn is_refused(&self, call: &Measures, common: MeasureSet) -> bool {
        if common.is_empty() {
            return self.refusals.iter().any(|refusal| refusal.covers(call));
        }
        // Measures in which every refused call so far is larger.
        let mut unreached = common;
        for refusal in &self.refusals {
            unreached = unreached.and(refusal.size.above(call));
        }
        unreached.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::size::TextSize;
    use super::*;

    fn call(query: usize, passages: &[usize]) -> CallSize {
        let text = |length: usize| TextSize::of(&"x".repeat(length));
        passages.iter().fold(CallSize::of_query(text(query)), |size, passage| size.with(text(*passage)))
    }

    fn refuse(evidence: &mut SizeEvidence, call: &CallSize) -> bool {
        evidence.refuse(call.measures(), MeasureSet::ALL, Instant::now())
    }

    #[tokio::test]
    async fn a_refusal_covers_only_what_is_larger_in_every_possible_reason() {
        let mut evidence = SizeEvidence::default();
        let long_query = call(16_000, &[100; 100]);
        assert!(refuse(&mut evidence, &long_query));
        assert_eq!(evidence.expect(&call(16_000, &[100; 101])), Expectation::Refused);
        assert_eq!(evidence.expect(&call(20, &[100; 500])), Expectation::Unknown, "another kind of call");
        evidence.accept(&call(20, &[100; 500]));
        assert_eq!(evidence.expect(&long_query), Expectation::Refused, "its text is still the reason");
        assert_eq!(evidence.expect(&call(20, &[100; 400])), Expectation::Accepted);
    }

    #[tokio::test]
    async fn accepted_calls_rule_reasons_out_until_one_is_left() {
        let mut evidence = SizeEvidence::default();
        refuse(&mut evidence, &call(10, &[100; 30]));
        evidence.accept(&call(10, &[100; 25]));
        assert_eq!(evidence.expect(&call(10, &[90; 30])), Expectation::Unknown, "it could be the text");
        evidence.accept(&call(10, &[400; 20]));
        assert_eq!(evidence.expect(&call(10, &[1; 30])), Expectation::Refused, "it is the number of passages");
        assert_eq!(evidence.expect(&call(10, &[50; 25])), Expectation::Accepted);
    }

    #[tokio::test]
    async fn what_explains_all_refusals_is_the_limit() {
        let mut evidence = SizeEvidence::default();
        // Of many short passages, or of few long ones: the number is no reason of the second, nor the longest passage
        // of the first.
        evidence.accept(&call(10, &[300; 20]));
        refuse(&mut evidence, &call(10, &[100; 100]));
        refuse(&mut evidence, &call(10, &[800; 15]));
        assert_eq!(evidence.refusals.len(), 2);
        assert_eq!(evidence.expect(&call(10, &[10; 90])), Expectation::Accepted, "it is the text, not the number");
        assert_eq!(evidence.expect(&call(10, &[1_500; 3])), Expectation::Accepted, "nor the longest passage");
        assert_eq!(evidence.expect(&call(10, &[400; 20])), Expectation::Unknown);
        assert_eq!(evidence.expect(&call(10, &[2_000; 6])), Expectation::Refused);
    }

    #[tokio::test]
    async fn refusals_that_each_cover_one_measure_cover_a_call_together() {
        // Tokens are a third of the bytes here, so these calls are of 10 passages and 20 tokens, and the other way round.
        let few_long = call(0, &[6; 10]);
        let many_short = call(0, &[[3; 10], [0; 10]].concat());
        let mut evidence = SizeEvidence::default();
        for refused in [few_long, many_short] {
            assert!(evidence.refuse(refused.measures(), MeasureSet::VOLUME, Instant::now()));
        }
        let both = call(0, &[3; 15]);
        assert!(!evidence.refusals.iter().any(|refusal| refusal.covers(&both.measures())), "neither by itself");
        assert_eq!(evidence.expect(&both), Expectation::Refused, "be the limit in passages or in text");
        let little_text = call(0, &[&[3; 9][..], &[0; 6]].concat());
        assert_eq!(evidence.expect(&little_text), Expectation::Unknown, "the limit may be in the text");
        let few_passages = call(0, &[&[6; 6][..], &[3; 3]].concat());
        assert_eq!(evidence.expect(&few_passages), Expectation::Unknown, "the limit may be in the passages");
    }

    #[tokio::test]
    async fn what_no_single_limit_explains_is_limited_in_each_measure() {
        let mut evidence = SizeEvidence::default();
        evidence.accept(&call(10, &[10; 50]));
        evidence.accept(&call(10, &[2_000; 5]));
        refuse(&mut evidence, &call(10, &[10; 60]));
        refuse(&mut evidence, &call(10, &[3_000; 4]));
        assert_eq!(evidence.expect(&call(10, &[10; 55])), Expectation::Unknown);
        assert_eq!(evidence.expect(&call(10, &[10; 60])), Expectation::Refused);
        assert_eq!(evidence.expect(&call(10, &[3_000; 4])), Expectation::Refused);
        assert_eq!(evidence.expect(&call(10, &[10; 50])), Expectation::Accepted);
    }

    #[tokio::test]
    async fn what_contradicts_accepted_calls_teaches_nothing() {
        let mut evidence = SizeEvidence::default();
        evidence.accept(&call(10, &[500; 50]));
        assert!(!refuse(&mut evidence, &call(10, &[100; 3])));
        assert!(evidence.is_empty());
        refuse(&mut evidence, &call(10, &[600; 60]));
        evidence.accept(&call(10, &[700; 70]));
        assert!(evidence.is_empty(), "the provider has grown");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_forgotten_unless_it_is_confirmed() {
        let mut evidence = SizeEvidence::default();
        refuse(&mut evidence, &call(10, &[100; 30]));
        tokio::time::advance(REFUSAL_TTL / 2).await;
        refuse(&mut evidence, &call(10, &[100; 40]));
        tokio::time::advance(REFUSAL_TTL / 2).await;
        evidence.expire(Instant::now());
        assert_eq!(evidence.expect(&call(10, &[100; 30])), Expectation::Refused, "confirmed by a larger one");
        tokio::time::advance(REFUSAL_TTL / 2).await;
        evidence.expire(Instant::now());
        assert!(evidence.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_accepted_long_ago_does_not_contradict() {
        let mut evidence = SizeEvidence::default();
        evidence.expire(Instant::now());
        evidence.accept(&call(10, &[500; 50]));
        tokio::time::advance(ACCEPTED_PERIOD).await;
        evidence.expire(Instant::now());
        assert!(!refuse(&mut evidence, &call(10, &[500; 40])), "still fresh");
        tokio::time::advance(ACCEPTED_PERIOD).await;
        evidence.expire(Instant::now());
        assert!(refuse(&mut evidence, &call(10, &[500; 40])), "the provider has shrunk");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_pause_nothing_counts_as_accepted() {
        let mut evidence = SizeEvidence::default();
        evidence.expire(Instant::now());
        evidence.accept(&call(10, &[500; 50]));
        tokio::time::advance(2 * ACCEPTED_PERIOD).await;
        evidence.expire(Instant::now());
        assert!(refuse(&mut evidence, &call(10, &[500; 40])));
    }

    #[tokio::test]
    async fn a_reason_that_cannot_be_is_not_believed() {
        let mut evidence = SizeEvidence::default();
        evidence.accept(&call(10, &[100; 50]));
        assert!(evidence.refuse(call(10, &[1_000; 20]).measures(), MeasureSet::PASSAGES, Instant::now()));
        assert_eq!(evidence.expect(&call(10, &[1_000; 20])), Expectation::Refused, "its text, whatever was said");
        assert_eq!(evidence.expect(&call(10, &[100; 30])), Expectation::Accepted);
    }

    #[tokio::test]
    async fn the_smaller_refusal_is_enough() {
        let mut evidence = SizeEvidence::default();
        refuse(&mut evidence, &call(10, &[100; 40]));
        refuse(&mut evidence, &call(10, &[100; 30]));
        assert_eq!(evidence.refusals.len(), 1);
    }

    #[tokio::test]
    async fn by_volume_no_passage_is_too_long() {
        let mut evidence = SizeEvidence::default();
        refuse(&mut evidence, &call(10, &[100; 60]));
        evidence.accept(&call(10, &[50; 50]));
        let longer = call(10, &[80; 10]);
        assert_eq!(evidence.expect(&longer), Expectation::Unknown);
        assert_eq!(evidence.expect_by_volume(&longer), Expectation::Accepted);
    }

    #[tokio::test]
    async fn what_refutes_one_of_two_leaves_nothing_of_both() {
        let mut one = SizeEvidence::default();
        refuse(&mut one, &call(10, &[100; 5]));
        let mut other = SizeEvidence::default();
        refuse(&mut other, &call(10, &[100; 60]));
        for (first, second) in [(&one, &other), (&other, &one)] {
            let mut own = SizeEvidence::default();
            own.accept(&call(10, &[100; 50]));
            own.refuse_jointly(first, second);
            assert!(own.is_empty());
            let mut unknown = SizeEvidence::default();
            unknown.refuse_jointly(first, second);
            assert_eq!(unknown.expect(&call(10, &[100; 60])), Expectation::Refused);
            assert_eq!(unknown.expect(&call(10, &[100; 59])), Expectation::Unknown);
            (0..100).for_each(|_| unknown.refuse_jointly(first, second));
            assert!(unknown.refusals.len() <= MAX_REFUSALS);
        }
    }

    #[tokio::test]
    async fn refusals_are_bounded() {
        let mut evidence = SizeEvidence::default();
        for index in 0..100 {
            // Neither is larger than the other in every measure.
            refuse(&mut evidence, &call(10, &vec![100_000 / (index + 1); index + 1]));
        }
        assert!(evidence.refusals.len() <= MAX_REFUSALS);
    }
}
