//! The ways to the scores of a target: through its upstream's stack, or by the embedded scorer in place.

use std::ops::Deref;
use std::sync::Arc;

use super::Target;
use crate::upstream::{Backend, LocalScorer, ScoringStack};

/// A target whose upstream has a stack: a provider's, or the embedded cross-encoder.
#[derive(Clone, Debug)]
pub struct StackTarget {
    target: Arc<Target>,
    /// The stack of the target's upstream, taken out once so that no caller need match for it.
    stack: Arc<ScoringStack>,
}

/// The way to the scores of a target.
#[derive(Clone, Debug)]
pub enum ScoringPath<'a> {
    /// Calls through the upstream's stack.
    Stack(StackTarget),
    /// Whole lists, by the embedded scorer.
    Embedded(&'a LocalScorer),
}

impl<'a> ScoringPath<'a> {
    /// The way to the scores of `target`.
    #[must_use]
    pub fn of(target: &'a Arc<Target>) -> Self {
        match &target.upstream.backend {
            Backend::Stack(stack) => Self::Stack(StackTarget { target: target.clone(), stack: stack.clone() }),
            Backend::Local(scorer) => Self::Embedded(scorer),
        }
    }
}

impl StackTarget {
    /// The same target, narrowed; `None` if its upstream is the embedded scorer, which has no stack.
    #[must_use]
    pub fn of(target: &Arc<Target>) -> Option<Self> {
        match ScoringPath::of(target) {
            ScoringPath::Stack(narrowed) => Some(narrowed),
            ScoringPath::Embedded(_) => None,
        }
    }

    /// The scorer of pairs behind its stack.
    #[must_use]
    pub fn stack(&self) -> &ScoringStack {
        &self.stack
    }

    /// Most passages of one call: the model's limit, else the provider's.
    #[must_use]
    pub fn max_passages(&self) -> usize {
        self.target.facts.max_passages.unwrap_or(self.stack.facts.max_passages)
    }

    /// Returns true if both are the same target of a route, not just equal ones.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.target, &other.target)
    }
}

impl Deref for StackTarget {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}
