//! Targets that are asked through their upstream's stack.

use std::ops::Deref;
use std::sync::Arc;

use super::Target;
use crate::upstream::{Backend, LocalScorer, ScoringStack};

/// A target whose upstream has a stack: a provider's, or the embedded cross-encoder.
#[derive(Clone, Debug)]
pub struct StackTarget {
    target: Arc<Target>,
    stack: Arc<ScoringStack>,
}

impl StackTarget {
    /// The same target, narrowed.
    ///
    /// # Errors
    /// The scorer inside this process, if that is the target's upstream: it has no stack.
    pub fn of(target: &Arc<Target>) -> Result<Self, &LocalScorer> {
        match &target.upstream.backend {
            Backend::Stack(stack) => Ok(Self { target: target.clone(), stack: stack.clone() }),
            Backend::Local(scorer) => Err(scorer),
        }
    }

    /// The scorer of pairs behind its stack.
    #[must_use]
    pub fn stack(&self) -> &ScoringStack {
        &self.stack
    }

    /// Returns true if both are the same target of a route.
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
