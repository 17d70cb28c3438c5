//! The place of the loaded model in a build without the feature `cross-encoder`: there is none.

use rerankd_core::embedded::{NEEDS_CROSS_ENCODER, PairScorer};

pub(super) use self::NoModel as CrossEncoder;
use super::directory::ModelDirectory;

/// A model that cannot be loaded, so no value of it exists.
pub(super) enum NoModel {}

impl NoModel {
    /// Fails.
    ///
    /// # Errors
    /// Always: a clause with the way out.
    pub(super) fn load(_: &ModelDirectory, _: usize) -> Result<Self, String> {
        Err(NEEDS_CROSS_ENCODER.to_owned())
    }
}

impl PairScorer for NoModel {
    fn score(&self, _: &str, _: &str) -> Result<f64, String> {
        match *self {}
    }

    fn bytes_read(&self, _: &str, _: &str) -> Result<usize, String> {
        match *self {}
    }
}

/// Fails.
///
/// # Errors
/// Always: a clause with the way out.
pub(super) fn check(_: &ModelDirectory, _: usize) -> Result<(), String> {
    Err(NEEDS_CROSS_ENCODER.to_owned())
}
