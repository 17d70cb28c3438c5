//! Targets that are asked through their upstream's stack.

use std::ops::Deref;
use std::sync::Arc;

use super::Target;
use crate::upstream::{Backend, LocalScorer, Remote};

/// A target whose upstream has a stack: a provider's, or the embedded cross-encoder.
#[derive(Clone, Debug)]
pub struct RemoteTarget {
    target: Arc<Target>,
    remote: Arc<Remote>,
}

impl RemoteTarget {
    /// The same target, narrowed.
    ///
    /// # Errors
    /// The scorer inside this process, if that is the target's upstream: it has no stack.
    pub fn of(target: &Arc<Target>) -> Result<Self, &LocalScorer> {
        match &target.upstream.backend {
            Backend::Remote(remote) => Ok(Self { target: target.clone(), remote: remote.clone() }),
            Backend::Local(scorer) => Err(scorer),
        }
    }

    /// The scorer of pairs behind its stack.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Returns true if both are the same target of a route.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.target, &other.target)
    }
}

impl Deref for RemoteTarget {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}
