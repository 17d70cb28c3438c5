//! What passes through the stack of an upstream: one batch on its way out, its scores on their way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::error::UpstreamError;
use crate::provider::ScoreScale;

pub use super::interest::{Interest, Patience, Waiter};

/// One batch to be scored, encoded. Cheap to clone: a retry sends the same bytes.
#[derive(Clone, Debug)]
pub struct Call {
    /// The provider's request body.
    pub body: Bytes,
    /// How many passages the body holds.
    pub passages: usize,
    /// The scale on which its scores must stand.
    pub scale: ScoreScale,
    /// Tokens of the body, estimated high.
    pub tokens: usize,
    /// For whom the call is made.
    pub interest: Arc<Interest>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Why there was an attempt before this one.
    pub failure: Option<UpstreamError>,
    /// Attempts made for the whole request, over all its calls.
    pub attempts: AttemptCounter,
}

/// Counts attempts over the calls of one request.
#[derive(Clone, Debug, Default)]
pub struct AttemptCounter(Arc<AtomicU32>);

impl AttemptCounter {
    /// One more attempt is made.
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
