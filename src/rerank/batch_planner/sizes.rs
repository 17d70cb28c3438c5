//! Sizes of the passages and the refused calls of one flight.

use crate::upstream::size::{CallSize, Measures, TextSize};
use crate::upstream::size_refusal::SizeRefusal;

/// Sizes of the texts of one flight.
#[derive(Debug)]
pub(in crate::rerank) struct FlightSizes {
    pub(in crate::rerank) query: TextSize,
    /// By place.
    pub(in crate::rerank) passages: Vec<TextSize>,
}

impl FlightSizes {
    /// Size of a call with these places.
    pub(in crate::rerank) fn call(&self, places: &[u32]) -> CallSize {
        let passages = places.iter().map(|place| self.passages[*place as usize]);
        passages.fold(CallSize::of_query(self.query), CallSize::with)
    }
}

/// A refused call.
#[derive(Debug)]
pub(super) struct Group {
    /// Passages among which are those to blame, shortest first.
    pub(super) places: Vec<u32>,
    /// Size of the call that was refused.
    pub(super) size: Measures,
}

#[derive(Debug)]
pub(super) struct RefusedCall {
    pub(super) places: Vec<u32>,
    pub(super) refusal: SizeRefusal,
}

/// A refused call in every measure; a stated limit is taken at its word.
pub(super) fn measures_of(size: &CallSize, refusal: SizeRefusal) -> Measures {
    let measures = size.measures();
    refusal.stated_passages.map_or(measures, |stated| measures.with_passages(stated + 1))
}
