//! Request and reply of an upstream's stack: one encoded batch, and its scores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::error::UpstreamError;
use crate::provider::ScoreScale;

pub use super::waiters::{RetryMode, Waiter, Waiters};

/// One encoded batch to be scored. Cheap to clone: a retry sends the same bytes.
#[derive(Clone, Debug)]
pub struct Call {
    /// The provider's request body.
    pub body: Bytes,
    /// Passages in the body.
    pub passages: usize,
    /// Scale that the scores must be on.
    pub scale: ScoreScale,
    /// Tokens in the body, estimated high.
    pub tokens: usize,
    /// The waiters of the call.
    pub waiters: Arc<Waiters>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Failure of the attempt before this one.
    pub failure: Option<UpstreamError>,
    /// Attempts made for the whole request, over all its calls.
    pub attempts: AttemptCounter,
}

/// Count of attempts over all calls of one request. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct AttemptCounter(Arc<AtomicU32>);

impl AttemptCounter {
    /// Counts one more attempt.
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts made so far.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The scores of one call, checked: as many as passages, in their order, finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Scores in the order of the passages.
    pub scores: Vec<f64>,
    /// Tokens read, if reported.
    pub tokens: Option<u64>,
    /// Search units billed, if reported.
    pub search_units: Option<u64>,
}
