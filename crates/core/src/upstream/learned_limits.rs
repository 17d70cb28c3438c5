//! Limits on the size of calls, learnt from refusals, for each model of an upstream.
//!
//! One caller's refusals must not make another's calls more expensive: a provider that refuses one caller's texts may
//! give their size as the reason, and texts that it accepts from one caller it may refuse from another. So each caller
//! learns from its own calls: from its second refusal on, about calls of that kind ([`SizeEvidence`]), until some
//! minutes after the last one. Limits concern all callers, though. A call that two callers would each expect to be
//! refused is expected to be refused for a third. A single caller, without a key or with scores that callers share,
//! learns from all calls, as if this file did not exist.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::size::{CallSize, MeasureSet, Measures};
use super::size_evidence::SizeEvidence;
use crate::cache::key::CacheScope;

/// Refusals of a caller after which its other requests heed them.
const MIN_REFUSALS: u32 = 2;
/// Least text of a refused call, in bytes, that teaches anything about text: shorter ones are not refused for length.
const MIN_REFUSED_BYTES: usize = 256;
/// Models of one upstream that are kept for each caller. Clients may invent names.
const MAX_MODELS: usize = 64;
/// Other callers whose refusals count: those refused last. Each pair of them is compared.
const MAX_WITNESSES: usize = 4;

/// Learned limits of one upstream.
#[derive(Debug, Default)]
pub struct LearnedLimits {
    callers: Mutex<LimitsByCaller>,
    /// Entries in `callers`, read without its lock. While it is 0, no call needs to be measured. Only a refusal makes
    /// the first entry, so `accept` need not update it.
    limited: AtomicUsize,
}

/// Limits by caller and model. There is a caller for each configured key that has been used.
#[derive(Debug, Default)]
struct LimitsByCaller(HashMap<CacheScope, HashMap<String, ModelLimits>>);

/// Limits of one model for one caller.
#[derive(Debug, Default)]
struct ModelLimits {
    evidence: SizeEvidence,
    /// Refusals that taught something, since the evidence was last empty.
    refusals: u32,
    /// Time of the latest of them; `None` while there are only accepted calls.
    last_refusal: Option<Instant>,
}

/// A refused call, and the accepted calls of its flight.
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
    /// Returns true if any model has refused calls lately.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.limited.load(Ordering::Relaxed) > 0
    }

    /// The evidence that counts for calls of `caller` to `model`; empty if nothing limits them.
    #[must_use]
    pub fn of(&self, model: &str, caller: CacheScope, now: Instant) -> SizeEvidence {
        if !self.are_known() {
            return SizeEvidence::default();
        }
        let mut callers = self.callers.lock();
        callers.expire(model, now);
        self.limited.store(callers.count(), Ordering::Relaxed);
        let mut evidence = SizeEvidence::default();
        if let Some(own) = callers.get(model, caller) {
            evidence = own.evidence.clone();
            // One refusal may be a coincidence. Accepted sizes count from the first call on.
            if own.refusals < MIN_REFUSALS {
                evidence.forget_refusals();
            }
        }
        let others = callers.witnesses(model, caller);
        for (index, one) in others.iter().enumerate() {
            for other in &others[index + 1..] {
                evidence.refuse_jointly(one, other);
            }
        }
        if evidence.is_empty() { SizeEvidence::default() } else { evidence }
    }

    /// Records that `model` accepted a call of `caller`.
    pub fn accept(&self, model: &str, caller: CacheScope, call: &CallSize, now: Instant) {
        let mut callers = self.callers.lock();
        // Accepted sizes matter only while something is limited, for this caller or by others.
        if callers.get(model, caller).is_some() || callers.witnesses(model, caller).len() > 1 {
            let evidence = &mut callers.get_or_insert(model, caller).evidence;
            evidence.expire(now);
            evidence.accept(call);
        }
    }

    /// Records that `model` refused a call of `caller` for its size.
    pub fn refuse(&self, model: &str, caller: CacheScope, refused: &Refused, now: Instant) {
        let is_short = refused.size.bytes() < MIN_REFUSED_BYTES;
        let about = if is_short { refused.about.and(MeasureSet::PASSAGES) } else { refused.about };
        if about.is_empty() || (is_short && refused.size.passages() < 2) {
            return;
        }
        let mut callers = self.callers.lock();
        let limits = callers.get_or_insert(model, caller);
        limits.evidence.expire(now);
        limits.evidence.accept_measures(&refused.accepted);
        if limits.evidence.refuse(refused.measures, about, now) {
            limits.refusals = limits.refusals.saturating_add(1);
            limits.last_refusal = Some(now);
        }
        self.limited.store(callers.count(), Ordering::Relaxed);
    }
}

impl LimitsByCaller {
    /// Number of entries.
    fn count(&self) -> usize {
        self.0.values().map(HashMap::len).sum()
    }

    /// The limits of one model for one caller, without regard to their age.
    fn get(&self, model: &str, caller: CacheScope) -> Option<&ModelLimits> {
        self.0.get(&caller)?.get(model)
    }

    /// The limits of one model for one caller. A new entry replaces the caller's oldest if there are too many.
    fn get_or_insert(&mut self, model: &str, caller: CacheScope) -> &mut ModelLimits {
        let models = self.0.entry(caller).or_default();
        if models.len() >= MAX_MODELS
            && !models.contains_key(model)
            && let Some((oldest, _)) = models.iter().min_by_key(|(_, limits)| limits.last_refusal)
        {
            let oldest = oldest.clone();
            models.remove(&oldest);
        }
        models.entry(model.to_owned()).or_default()
    }

    /// Removes old evidence about `model`, and all of it once no caller is limited.
    fn expire(&mut self, model: &str, now: Instant) {
        let mut is_limited = false;
        for models in self.0.values_mut() {
            let Some(limits) = models.get_mut(model) else { continue };
            limits.evidence.expire(now);
            if limits.evidence.is_empty() {
                limits.refusals = 0;
            } else {
                is_limited = true;
            }
        }
        // Accepted sizes are of use only while somebody is refused.
        if !is_limited {
            for models in self.0.values_mut() {
                models.remove(model);
            }
            self.0.retain(|_, models| !models.is_empty());
        }
    }

    /// Evidence of callers other than `caller`, those refused last first.
    fn witnesses(&self, model: &str, caller: CacheScope) -> Vec<&SizeEvidence> {
        let mut witnesses = Vec::new();
        for (other, models) in &self.0 {
            if *other != caller
                && let Some(limits) = models.get(model)
                && !limits.evidence.is_empty()
            {
                witnesses.push(limits);
            }
        }
        witnesses.sort_unstable_by_key(|limits| std::cmp::Reverse(limits.last_refusal));
        witnesses.truncate(MAX_WITNESSES);
        witnesses.into_iter().map(|limits| &limits.evidence).collect()
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

    /// Refusals of one caller do not make others' calls smaller, however many there are.
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

    /// Refusals of others do not make one refusal of long ago count.
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
