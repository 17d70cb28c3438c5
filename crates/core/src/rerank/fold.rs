//! Equal pieces of a request, folded into slots.

use crate::cache::key::PairKey;
use crate::types::index::{IndexVec, ListIndex, PieceIndex, SlotIndex};

/// The distinct pairs among the pieces of a request. Slots are in the order of their first pieces.
#[derive(Debug, PartialEq)]
pub(super) struct Folded {
    /// Slot of each piece.
    pub(super) slots: IndexVec<PieceIndex, SlotIndex>,
    /// Key of each slot; all are distinct.
    pub(super) keys: IndexVec<SlotIndex, PairKey>,
    /// Earliest of the equal pieces that share each slot.
    pub(super) first_pieces: IndexVec<SlotIndex, PieceIndex>,
}

impl Folded {
    /// Folds pieces with equal keys. `keys` has one for each piece.
    pub(super) fn of_equal(keys: Vec<PairKey>) -> Self {
        let mut keys = keys;
        let mut slot_of = SlotTable::new(keys.len());
        let mut slots = IndexVec::with_capacity(keys.len());
        let mut first_pieces = IndexVec::with_capacity(keys.len());
        for piece in 0..keys.len() {
            let key = keys[piece];
            let next = first_pieces.next_index();
            let slot = slot_of.get_or_insert(key, next, &keys);
            if slot == next {
                // In place: no slot is ahead of its piece.
                keys[slot.number()] = key;
                first_pieces.push(PieceIndex::of(piece));
            }
            slots.push(slot);
        }
        keys.truncate(first_pieces.len());
        Self { slots, keys: keys.into(), first_pieces }
    }

    /// Gives each piece a slot of its own.
    pub(super) fn of_distinct(keys: Vec<PairKey>) -> Self {
        let slots: Vec<_> = (0..keys.len()).map(SlotIndex::of).collect();
        let first_pieces: Vec<_> = (0..keys.len()).map(PieceIndex::of).collect();
        Self { slots: slots.into(), keys: keys.into(), first_pieces: first_pieces.into() }
    }
}

/// Slots by key: a table with open addressing that holds slots alone, for the keys are in a list already and are
/// hashes themselves. It is made for a number of slots and filled once, so it needs neither growth nor removal; a
/// general table costs four times as much here.
struct SlotTable {
    /// One more than the number of each slot, at the key's hash or behind it, up to the first free entry, which is 0.
    /// At most half of the entries are taken, so there are few to pass.
    entries: Vec<usize>,
    /// The length, a power of two, less one.
    mask: usize,
}

impl SlotTable {
    /// A table with room for `count` slots.
    fn new(count: usize) -> Self {
        let length = (2 * count).next_power_of_two();
        Self { entries: vec![0; length], mask: length - 1 }
    }

    /// The slot of `key`; it becomes `slot` if it has none yet. `keys` has the keys of all slots so far.
    fn get_or_insert(&mut self, key: PairKey, slot: SlotIndex, keys: &[PairKey]) -> SlotIndex {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let mut at = key.half() as usize & self.mask;
        while let Some(taken) = self.entries[at].checked_sub(1) {
            if keys[taken] == key {
                return SlotIndex::of(taken);
            }
            at = (at + 1) & self.mask;
        }
        self.entries[at] = slot.number() + 1;
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::cache::key::{CacheScope, QueryKey, ScoreSpace};
    use crate::provider::ScoreScale;
    use crate::types::request::ScoringOptions;

    fn keys(numbers: &[u32]) -> Vec<PairKey> {
        let space =
            ScoreSpace { upstream: "u".into(), model: "m".into(), revision: String::new(), scale: ScoreScale::Logit };
        let query = QueryKey::new(CacheScope::SHARED, &space, &ScoringOptions::default(), "q");
        numbers.iter().map(|number| query.pair(&number.to_string())).collect()
    }

    #[test]
    fn distinct_pieces_have_a_slot_each() {
        let keys = keys(&[3, 1, 2]);
        assert_eq!(Folded::of_equal(keys.clone()), Folded::of_distinct(keys));
        assert_eq!(Folded::of_equal(Vec::new()), Folded::of_distinct(Vec::new()));
    }

    proptest! {
        #[test]
        fn folding_agrees_with_a_map(numbers in proptest::collection::vec(0u32..60, 0..200)) {
            let folded = Folded::of_equal(keys(&numbers));
            let mut slot_of = HashMap::new();
            for (number, (piece, slot)) in numbers.iter().zip(folded.slots.enumerate()) {
                let next = SlotIndex::of(slot_of.len());
                let (expected, first) = *slot_of.entry(number).or_insert((next, piece));
                prop_assert_eq!(*slot, expected);
                prop_assert_eq!(folded.first_pieces[*slot], first);
                prop_assert_eq!(folded.keys[*slot], keys(&[*number])[0]);
            }
            prop_assert_eq!(folded.keys.len(), slot_of.len());
            prop_assert_eq!(folded.first_pieces.len(), slot_of.len());
        }
    }
}
