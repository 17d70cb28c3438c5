//! Sizes of the passages and the refused calls of one flight.

use crate::types::index::{FlightIndex, IndexVec};
use crate::upstream::size::{CallSize, Measures, TextSize};
use crate::upstream::size_refusal::SizeRefusal;

/// Sizes of the texts of one flight.
#[derive(Debug)]
pub(in crate::rerank) struct FlightSizes {
    /// The query as it is sent, with the instruction if the model takes that in it.
    pub(in crate::rerank) query: TextSize,
    pub(in crate::rerank) passages: IndexVec<FlightIndex, TextSize>,
}

impl FlightSizes {
    /// Size of a call with these places.
    pub(in crate::rerank) fn call(&self, places: &[FlightIndex]) -> CallSize {
        let mut call = CallSize::of_query(self.query);
        for place in places {
            call = call.with(self.passages[*place]);
        }
        call
    }
}

/// The probe under way, of which there is at most one.
#[derive(Debug)]
pub(super) enum Probe {
    /// A prefix of the pool. Its rest stays there.
    OfPool,
    /// A prefix of a refused call, with the rest of it. The rest of a single passage is empty.
    OfGroup(Group),
}

/// A refused call, or the rest of one, to be sent again in parts.
#[derive(Debug)]
pub(super) struct Group {
    /// Passages that may be to blame, shortest first.
    pub(super) places: Vec<FlightIndex>,
    /// Size of the call that was refused, also once `places` is only its rest.
    pub(super) size: Measures,
}

/// A refusal, kept until it is clear whether it teaches a limit.
#[derive(Debug)]
pub(super) struct RefusedCall {
    pub(super) places: Vec<FlightIndex>,
    pub(super) refusal: SizeRefusal,
}

/// The size of a refused call in every measure. A stated limit on passages counts as just exceeded, so that the
/// evidence has the limit itself and not the size that happened to pass it.
pub(super) fn measures_of(size: &CallSize, refusal: SizeRefusal) -> Measures {
    let measures = size.measures();
    match refusal.stated_passages {
        Some(stated) => measures.with_passages(stated + 1),
        None => measures,
    }
}
