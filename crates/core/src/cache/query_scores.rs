//! The scores known for one query.

use std::mem::size_of;

use parking_lot::Mutex;

use super::age::{Age, CachedScore};
use super::key::{PairKey, PairMap};

/// A stored score.
#[derive(Clone, Copy, Debug)]
struct Known {
    score: f64,
    /// Time of storing, in milliseconds on the cache's clock.
    stored_at: u64,
}

/// Bytes of one slot of the table: key, value and the table's control byte.
const SLOT_BYTES: usize = size_of::<(PairKey, Known)>() + 1;
/// Bytes of one cached query apart from its table: this struct behind its `Arc`, the cache's own entry, key, queue
/// nodes and hash slot, and the allocator's rounding. Measured by `tests/it/memory.rs`, which fails if it is too
/// small.
pub(super) const ENTRY_BYTES: usize = 640;

/// The scores known for one query. Requests share them; the lock is held for a few microseconds at a time, never
/// across an await.
#[derive(Debug, Default)]
pub(super) struct QueryScores(Mutex<PairMap<Known>>);

impl QueryScores {
    /// The score of each of `pairs`, in their order. `age_at` gives the age of a score by its time of storing, or
    /// `None` if the score is to be ignored.
    pub(super) fn get_many(&self, pairs: &[PairKey], age_at: impl Fn(u64) -> Option<Age>) -> Vec<Option<CachedScore>> {
        let table = self.0.lock();
        pairs
            .iter()
            .map(|pair| {
                let known = table.get(pair)?;
                let age = age_at(known.stored_at)?;
                Some(CachedScore { score: known.score, age })
            })
            .collect()
    }

    /// Stores `scores` as of `now`. A table that would outgrow `max_pairs` first drops the scores stored before
    /// `oldest`, and all of them if that is not enough. Times are in milliseconds on the cache's clock.
    pub(super) fn put_many(&self, scores: &[(PairKey, f64)], now: u64, oldest: u64, max_pairs: usize) {
        let mut table = self.0.lock();
        if table.len() + scores.len() > max_pairs {
            table.retain(|_, known| known.stored_at >= oldest);
            if table.len() + scores.len() > max_pairs {
                table.clear();
            }
            // Removing scores frees no memory, and the cache weighs the table by its capacity.
            table.shrink_to_fit();
        }
        // One request alone may bring more scores than may be kept.
        table.extend(scores.iter().take(max_pairs).map(|&(pair, score)| (pair, Known { score, stored_at: now })));
    }

    /// Number of pairs, and bytes that they take with their bookkeeping.
    pub(super) fn size(&self) -> (usize, usize) {
        let table = self.0.lock();
        // A hash table of the standard library fills seven eighths of a power of two of slots.
        let slots = if table.capacity() == 0 { 0 } else { (table.capacity() * 8).div_ceil(7).next_power_of_two() };
        (table.len(), ENTRY_BYTES + slots * SLOT_BYTES)
    }
}

/// Number of pairs that fit into a table of `bytes`.
pub(super) fn pairs_within(bytes: usize) -> usize {
    // Growing doubles the table, so the bytes must hold twice what is kept.
    bytes / (2 * SLOT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::{CacheScope, QueryKey, ScoreSpace};
    use crate::provider::ScoreScale;
    use crate::types::request::ScoringOptions;

    fn scores(names: &str) -> Vec<(PairKey, f64)> {
        let space =
            ScoreSpace { upstream: "u".into(), model: "m".into(), revision: String::new(), scale: ScoreScale::Logit };
        let query = QueryKey::new(CacheScope::SHARED, &space, &ScoringOptions::default(), "q");
        names.chars().map(|name| (query.pair(&name.to_string()), f64::from(u32::from(name)))).collect()
    }

    /// The letters among `names` that have a score. Asserts that each has its own.
    fn known(table: &QueryScores, names: &str) -> String {
        let pairs = scores(names);
        let keys: Vec<_> = pairs.iter().map(|(key, _)| *key).collect();
        let mut known = String::new();
        for ((name, (_, score)), found) in names.chars().zip(pairs).zip(table.get_many(&keys, |_| Some(Age::Fresh))) {
            if let Some(found) = found {
                assert_eq!(found.score.to_bits(), score.to_bits(), "the score of {name}");
                known.push(name);
            }
        }
        known
    }

    #[test]
    fn what_is_too_old_makes_room_before_all_else() {
        let table = QueryScores::default();
        table.put_many(&scores("ab"), 10, 0, 4);
        table.put_many(&scores("c"), 20, 0, 4);
        table.put_many(&scores("de"), 30, 15, 4);
        assert_eq!(known(&table, "abcde"), "cde");
        table.put_many(&scores("fg"), 40, 15, 4);
        assert_eq!(known(&table, "abcdefg"), "fg", "what is young makes room too, if it must");
    }

    #[test]
    fn a_table_never_holds_more_than_it_may() {
        let table = QueryScores::default();
        table.put_many(&scores("abcdefgh"), 10, 0, 3);
        assert_eq!((table.size().0, known(&table, "abcdefgh").len()), (3, 3));
        table.put_many(&scores("xyz"), 10, 0, 3);
        assert_eq!(known(&table, "abcxyz"), "xyz");
    }
}
