//! Passages that are not sent, because shorter ones were refused by themselves.

use super::search::Search;
use crate::types::index::FlightIndex;

/// Passages this many times as long as one that was refused by itself, in every unit, are not sent: no tokenizer makes
/// up for that.
const HOPELESS_FACTOR: usize = 4;

impl Search {
    /// Returns true if no passage that waits is shorter than this one, in any unit.
    pub(super) fn is_shortest(&self, place: FlightIndex) -> bool {
        let size = self.size(place);
        let is_no_shorter = |other: &FlightIndex| self.size(*other).is_at_least(1, size);
        self.pool.iter().all(is_no_shorter)
            && self.alone.iter().all(is_no_shorter)
            && self.groups.iter().all(|group| group.places.iter().all(is_no_shorter))
    }

    /// Takes the passages that are far longer than one that was refused by itself out of all that waits. The rest of a
    /// probe under way is left: it waits until the probe is settled.
    pub(super) fn take_hopeless(&mut self, refused: FlightIndex) -> Vec<FlightIndex> {
        let size = self.size(refused);
        let sizes = &self.sizes.passages;
        // An empty text is no measure: any other is at least four times as long.
        let is_hopeless = |place: FlightIndex| size.bytes() > 0 && sizes[place].is_at_least(HOPELESS_FACTOR, size);
        let mut hopeless: Vec<FlightIndex> = self.pool.extract_if(.., |place| is_hopeless(*place)).collect();
        self.alone.retain(|place| {
            if is_hopeless(*place) {
                hopeless.push(*place);
            }
            !is_hopeless(*place)
        });
        for group in &mut self.groups {
            hopeless.extend(group.places.extract_if(.., |place| is_hopeless(*place)));
        }
        self.groups.retain(|group| !group.places.is_empty());
        hopeless
    }
}
