//! The embedded scorer as an upstream: its models, and the way in which they are put together.

use std::sync::Arc;

use super::Upstream;
use crate::blocking::workers::Workers;
use crate::embedded::hybrid::HybridSettings;
use crate::embedded::{ListScorer, LocalModel};

/// The embedded scorer.
#[derive(Debug)]
pub struct LocalScorer {
    /// Its scorer of lists.
    pub lexical: Arc<dyn ListScorer>,
    /// Its cross-encoder behind a stack of its own; `None` without weights.
    pub cross_encoder: Option<Arc<Upstream>>,
    /// True if the operator wants no cross-encoder.
    pub is_declined: bool,
    /// The way in which the two are put together.
    pub hybrid: HybridSettings,
    /// Threads that score long lists lexically, one for each processor.
    pub workers: Workers,
}

impl LocalScorer {
    /// The available models of the embedded scorer, the default first.
    pub fn models(&self) -> impl Iterator<Item = LocalModel> + use<> {
        LocalModel::at_hand(self.cross_encoder.is_some())
    }
}
