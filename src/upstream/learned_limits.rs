//! Limits on the size of calls that an upstream taught by refusing some, for each of its models.
//!
//! Requests share what was learned, so what one caller's calls teach must not make another's dearer. Refusals count for others from the second
//! on, are about calls of their own kind ([`SizeEvidence`]), and are forgotten some minutes after the last one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::size::{CallSize, MeasureSet, Measures};
use super::size_evidence::SizeEvidence;

/// Refusals that it takes until other requests heed them.
const MIN_REFUSALS: u32 = 2;
/// Least text of a refused call, in bytes, that teaches anything about text: shorter ones are not refused for their length.
const MIN_REFUSED_BYTES: usize = 256;
/// Models of one upstream that are kept apart; clients may invent names.
const MAX_MODELS: usize = 64;

/// Learned limits of one upstream.
#[derive(Debug, Default)]
pub struct LearnedLimits {
    models: Mutex<HashMap<String, ModelLimits>>,
    /// Number of models that refused anything lately: while it is 0 nobody needs to measure calls.
    limited: AtomicUsize,
}

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

    /// What is known of `model`; empty if nothing limits it.
    #[must_use]
    pub fn of(&self, model: &str, now: Instant) -> SizeEvidence {
        if !self.are_known() {
            return SizeEvidence::default();
        }
        let mut models = self.models.lock();
        let Some(known) = models.get_mut(model) else { return SizeEvidence::default() };
        known.evidence.expire(now);
        if known.evidence.is_empty() {
            models.remove(model);
            self.limited.store(models.len(), Ordering::Relaxed);
            return SizeEvidence::default();
        }
        if known.refusals < MIN_REFUSALS { SizeEvidence::default() } else { known.evidence.clone() }
    }

    /// `model` accepted a call.
    pub fn accept(&self, model: &str, call: &CallSize, now: Instant) {
        let mut models = self.models.lock();
        if let Some(known) = models.get_mut(model) {
            known.evidence.expire(now);
            known.evidence.accept(call);
        }
    }

    /// `model` refused a call for its size.
    pub fn refuse(&self, model: &str, refused: &Refused, now: Instant) {
        let is_short = refused.size.bytes() < MIN_REFUSED_BYTES;
        let about = if is_short { refused.about.and(MeasureSet::PASSAGES) } else { refused.about };
        if about.is_empty() || (is_short && refused.size.passages() < 2) {
            return;
        }
        let mut models = self.models.lock();
        if models.len() >= MAX_MODELS && !models.contains_key(model) {
            let oldest = models.iter().min_by_key(|(_, limits)| limits.last_refusal).map(|(name, _)| name.clone());
            oldest.map(|name| models.remove(&name));
        }
        let known = models.entry(model.to_owned()).or_default();
        known.evidence.expire(now);
        known.evidence.accept_measures(&refused.accepted);
        if known.evidence.refuse(refused.measures, about, now) {
            known.refusals = known.refusals.saturating_add(1);
            known.last_refusal = Some(now);
        }
        self.limited.store(models.len(), Ordering::Relaxed);
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

    fn refuse(limits: &LearnedLimits, model: &str, passages: usize) {
        let size = call(passages);
        let about = MeasureSet::ALL;
        let refused = Refused { size, measures: size.measures(), about, accepted: Measures::default() };
        limits.refuse(model, &refused, Instant::now());
    }

    fn expect(limits: &LearnedLimits, model: &str, passages: usize) -> Expectation {
        limits.of(model, Instant::now()).expect(&call(passages))
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
        limits.accept("a", &call(25), Instant::now());
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
    async fn invented_models_do_not_grow_it() {
        let limits = LearnedLimits::default();
        for index in 0..1_000 {
            refuse(&limits, &format!("model {index}"), 60);
        }
        assert!(limits.models.lock().len() <= MAX_MODELS);
    }
}
