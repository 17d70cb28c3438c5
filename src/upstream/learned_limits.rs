//! Limits on the size of calls that an upstream taught by refusing some, for each of its models.
//!
//! What one caller's calls teach must not make another's dearer: a provider that refuses one caller's texts may give their size as the reason, and what
//! it accepts of one it may not accept of another. So every caller learns from its own calls: from its second refusal on, about calls of
//! that kind ([`SizeEvidence`]), until some minutes after the last one. Limits concern all, though. What two callers were refused a third need
//! not try: a call that both of them would expect to be refused. Who is alone, without a key or with scores that callers share,
//! learns from all calls, as if this were not here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::size::{CallSize, MeasureSet, Measures};
use super::size_evidence::SizeEvidence;
use crate::cache::key::CacheScope;

/// Refusals that it takes until other requests heed them.
const MIN_REFUSALS: u32 = 2;
/// Least text of a refused call, in bytes, that teaches anything about text: shorter ones are not refused for their length.
const MIN_REFUSED_BYTES: usize = 256;
/// Models of one upstream that are kept apart for each caller; clients may invent names.
const MAX_MODELS: usize = 64;
/// Other callers whose refusals are looked at: those refused last.
const MAX_WITNESSES: usize = 4;

/// Learned limits of one upstream.
#[derive(Debug, Default)]
pub struct LearnedLimits {
    callers: Mutex<Callers>,
    /// Number of callers' models that refused anything lately: while it is 0 nobody needs to measure calls.
    limited: AtomicUsize,
}

/// There are as many as keys in the configuration that were shown.
#[derive(Debug, Default)]
struct Callers(HashMap<CacheScope, HashMap<String, ModelLimits>>);

#[derive(Debug, Default)]
struct ModelLimits {
    evidence: SizeEvidence,
    refusals: u32,
    last_refusal: Option<Instant>,
}

/// A refused call, and what its flight knows beside it.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// Size of the call.
    pub size: CallSize,
    /// The same in every measure, or less where the provider stated its limit.
    pub measures: Measures,
    /// Measures that may have been over their limit.
    pub about: MeasureSet,
    /// The largest of the flight's accepted calls in each measure.
    pub accepted: Measures,
}

impl LearnedLimits {
    /// Whether any model has refused calls lately.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.limited.load(Ordering::Relaxed) > 0
    }

    /// What `caller` is to expect of `model`; empty if nothing limits it.
    #[must_use]
    pub fn of(&self, model: &str, caller: CacheScope, now: Instant) -> SizeEvidence {
        if !self.are_known() {
            return SizeEvidence::default();
        }
        let mut callers = self.callers.lock();
        callers.expire(model, now);
        self.limited.store(callers.count(), Ordering::Relaxed);
        let own = callers.0.get(&caller).and_then(|models| models.get(model));
        let mut evidence = own.map(|known| known.evidence.clone()).unwrap_or_default();
        if own.is_none_or(|known| known.refusals < MIN_REFUSALS) {
            evidence.forget_refusals();
        }
        let others = callers.witnesses(model, caller);
        for (index, one) in others.iter().enumerate() {
            for other in &others[index + 1..] {
                evidence.refuse_jointly(one, other);
            }
        }
        if evidence.is_empty() { SizeEvidence::default() } else { evidence }
    }

    /// `model` accepted a call of `caller`.
    pub fn accept(&self, model: &str, caller: CacheScope, call: &CallSize, now: Instant) {
        let mut callers = self.callers.lock();
        let is_limited = callers.0.get(&caller).is_some_and(|models| models.contains_key(model));
        if is_limited || callers.witnesses(model, caller).len() > 1 {
            let evidence = &mut callers.known(model, caller).evidence;
            evidence.expire(now);
            evidence.accept(call);
        }
    }

    /// `model` refused a call of `caller` for its size.
    pub fn refuse(&self, model: &str, caller: CacheScope, refused: &Refused, now: Instant) {
        let is_short = refused.size.bytes() < MIN_REFUSED_BYTES;
        let about = if is_short { refused.about.and(MeasureSet::PASSAGES) } else { refused.about };
        if about.is_empty() || (is_short && refused.size.passages() < 2) {
            return;
        }
        let mut callers = self.callers.lock();
        let known = callers.known(model, caller);
        known.evidence.expire(now);
        known.evidence.accept_measures(&refused.accepted);
        if known.evidence.refuse(refused.measures, about, now) {
            known.refusals = known.refusals.saturating_add(1);
            known.last_refusal = Some(now);
        }
        self.limited.store(callers.count(), Ordering::Relaxed);
    }
}

impl Callers {
    fn count(&self) -> usize {
        self.0.values().map(HashMap::len).sum()
    }

    /// What is kept for one caller of one model, for which there is room.
    fn known(&mut self, model: &str, caller: CacheScope) -> &mut ModelLimits {
        let models = self.0.entry(caller).or_default();
        if models.len() >= MAX_MODELS && !models.contains_key(model) {
            let oldest = models.iter().min_by_key(|(_, limits)| limits.last_refusal).map(|(name, _)| name.clone());
            oldest.map(|name| models.remove(&name));
        }
        models.entry(model.to_owned()).or_default()
    }

    /// Forgets what is too old. What was accepted is of use only while somebody is refused.
    fn expire(&mut self, model: &str, now: Instant) {
        let mut is_limited = false;
        for known in self.0.values_mut().filter_map(|models| models.get_mut(model)) {
            known.evidence.expire(now);
            is_limited |= !known.evidence.is_empty();
            if known.evidence.is_empty() {
                known.refusals = 0;
            }
        }
        if !is_limited {
            self.0.values_mut().for_each(|models| drop(models.remove(model)));
            self.0.retain(|_, models| !models.is_empty());
        }
    }

    /// What callers other than `caller` know of refusals, those refused last first.
    fn witnesses(&self, model: &str, caller: CacheScope) -> Vec<&SizeEvidence> {
        let others = self.0.iter().filter(|(other, _)| **other != caller);
        let mut known: Vec<_> = others.filter_map(|(_, models)| models.get(model)).collect();
        known.retain(|known| !known.evidence.is_empty());
        known.sort_unstable_by_key(|known| std::cmp::Reverse(known.last_refusal));
        known.into_iter().take(MAX_WITNESSES).map(|known| &known.evidence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::size::TextSize;
    use super::super::size_evidence::{Expectation, REFUSAL_TTL};
    use super::*;

    fn call(passages: usize) -> CallSize {
        let passage = TextSize::of(&"x".repeat(100));
        (0..passages).fold(CallSize::of_query(TextSize::of("q")), |size, _| size.with(passage))
    }

    fn caller(name: &str) -> CacheScope {
        CacheScope::of_caller(name)
    }

    fn refuse_as(limits: &LearnedLimits, name: &str, model: &str, passages: usize) {
        let size = call(passages);
        let about = MeasureSet::ALL;
        let refused = Refused { size, measures: size.measures(), about, accepted: Measures::default() };
        limits.refuse(model, caller(name), &refused, Instant::now());
    }

    fn refuse(limits: &LearnedLimits, model: &str, passages: usize) {
        refuse_as(limits, "one", model, passages);
    }

    fn expect_as(limits: &LearnedLimits, name: &str, passages: usize) -> Expectation {
        limits.of("a", caller(name), Instant::now()).expect(&call(passages))
    }

    fn expect(limits: &LearnedLimits, model: &str, passages: usize) -> Expectation {
        limits.of(model, caller("one"), Instant::now()).expect(&call(passages))
    }

    /// However often one caller is refused, nobody else's calls are cut for it.
    #[tokio::test]
    async fn one_callers_refusals_concern_nobody_else() {
        let limits = LearnedLimits::default();
        for _ in 0..10 {
            refuse_as(&limits, "hostile", "a", 5);
        }
        assert_eq!(expect_as(&limits, "hostile", 60), Expectation::Refused);
        assert_eq!(expect_as(&limits, "ordinary", 60), Expectation::Accepted);
        limits.accept("a", caller("hostile"), &call(500), Instant::now());
        refuse_as(&limits, "ordinary", "a", 100);
        refuse_as(&limits, "ordinary", "a", 100);
        assert_eq!(expect_as(&limits, "ordinary", 100), Expectation::Refused, "whatever others were accepted");
        assert_eq!(expect_as(&limits, "ordinary", 60), Expectation::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn what_two_callers_were_refused_a_third_does_not_try() {
        let limits = LearnedLimits::default();
        refuse_as(&limits, "hostile", "a", 5);
        refuse_as(&limits, "two", "a", 60);
        assert_eq!(expect_as(&limits, "three", 60), Expectation::Refused);
        assert_eq!(expect_as(&limits, "three", 59), Expectation::Unknown, "only one of them was refused so little");
        limits.accept("a", caller("three"), &call(50), Instant::now());
        assert_eq!(expect_as(&limits, "three", 50), Expectation::Accepted);
        assert_eq!(expect_as(&limits, "three", 60), Expectation::Accepted, "what refutes one leaves the other alone");
        tokio::time::advance(REFUSAL_TTL).await;
        assert_eq!(expect_as(&limits, "three", 60), Expectation::Accepted);
        assert!(!limits.are_known(), "nobody measures calls any more");
    }

    #[tokio::test(start_paused = true)]
    async fn one_refusal_concerns_nobody_else_and_two_only_the_model() {
        let limits = LearnedLimits::default();
        assert!(!limits.are_known());
        refuse(&limits, "a", 60);
        assert_eq!(expect(&limits, "a", 60), Expectation::Accepted, "one witness is none");
        refuse(&limits, "a", 50);
        assert_eq!(expect(&limits, "a", 60), Expectation::Refused);
        assert_eq!(expect(&limits, "b", 60), Expectation::Accepted);
        limits.accept("a", caller("one"), &call(25), Instant::now());
        assert_eq!(expect(&limits, "a", 25), Expectation::Accepted);
        assert_eq!(expect(&limits, "a", 30), Expectation::Unknown);
        tokio::time::advance(REFUSAL_TTL).await;
        assert_eq!(expect(&limits, "a", 60), Expectation::Accepted, "the provider may have grown");
        assert!(!limits.are_known(), "nobody measures calls any more");
    }

    #[tokio::test]
    async fn refusals_of_hardly_any_text_teach_nothing_about_text() {
        let limits = LearnedLimits::default();
        refuse(&limits, "a", 1);
        refuse(&limits, "a", 1);
        assert!(!limits.are_known());
    }

    #[tokio::test]
    async fn a_short_call_teaches_the_number_of_passages_alone() {
        let limits = LearnedLimits::default();
        let text = TextSize::of("short");
        let size = CallSize::of_query(text).with(text).with(text);
        for about in [MeasureSet::TEXT, MeasureSet::ALL] {
            let refused = Refused { size, measures: size.measures(), about, accepted: Measures::default() };
            limits.refuse("a", caller("one"), &refused, Instant::now());
            assert_eq!(limits.are_known(), about == MeasureSet::ALL);
        }
    }

    #[tokio::test]
    async fn what_a_flight_was_accepted_counts_beside_its_refusals() {
        let limits = LearnedLimits::default();
        let size = call(60);
        let refused =
            Refused { size, measures: size.measures(), about: MeasureSet::ALL, accepted: call(25).measures() };
        limits.refuse("a", caller("one"), &refused, Instant::now());
        limits.refuse("a", caller("one"), &refused, Instant::now());
        assert_eq!(expect(&limits, "a", 25), Expectation::Accepted);
        assert_eq!(expect(&limits, "a", 26), Expectation::Unknown);
    }

    /// What others were refused meanwhile does not make one refusal of long ago count.
    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted_anew_when_the_last_is_forgotten() {
        let limits = LearnedLimits::default();
        refuse(&limits, "a", 60);
        refuse(&limits, "a", 60);
        tokio::time::advance(REFUSAL_TTL / 2).await;
        refuse_as(&limits, "other", "a", 60);
        tokio::time::advance(REFUSAL_TTL / 2).await;
        assert_eq!(expect(&limits, "a", 60), Expectation::Accepted);
        refuse(&limits, "a", 60);
        assert_eq!(expect(&limits, "a", 60), Expectation::Accepted, "one witness is none");
    }

    #[tokio::test]
    async fn invented_models_do_not_grow_it() {
        let limits = LearnedLimits::default();
        for index in 0..1_000 {
            refuse(&limits, &format!("model {index}"), 60);
        }
        assert!(limits.callers.lock().count() <= MAX_MODELS);
    }
}
