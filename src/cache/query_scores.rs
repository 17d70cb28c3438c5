//! The scores known for one query.

use std::mem::size_of;

use parking_lot::Mutex;

use super::age::{Age, Found};
use super::key::{PairKey, PairMap};

/// A known score and its age.
#[derive(Clone, Copy, Debug)]
struct Known {
    score: f64,
    /// Milliseconds on the cache's clock.
    stored_at: u64,
}

/// Bytes of one slot of the table: key, value, and the table's control byte.
const SLOT_BYTES: usize = size_of::<(PairKey, Known)>() + 1;
/// Bytes of one cached query beside its table: this struct behind its `Arc`, the cache's own entry, key, queue nodes and hash
/// slot, and the allocator's rounding. Measured by `tests/it/memory.rs`, which fails when it is too small.
pub(super) const ENTRY_BYTES: usize = 640;

/// The scores known for one query; shared between requests, locked for a few microseconds at a time.
#[derive(Debug, Default)]
pub(super) struct QueryScores(Mutex<PairMap<Known>>);

impl QueryScores {
    /// The score of each pair, with what `judge` says of the time at which it was stored.
    pub(super) fn get_many(&self, pairs: &[PairKey], judge: impl Fn(u64) -> Option<Age>) -> Vec<Option<Found>> {
        let table = self.0.lock();
        let found = |pair| {
            let known: &Known = table.get(pair)?;
            Some(Found { score: known.score, age: judge(known.stored_at)? })
        };
        pairs.iter().map(found).collect()
    }

    /// Stores scores as of `now`. A table that would outgrow `most_pairs` first drops what is older than `oldest`, then everything.
    pub(super) fn put_many(&self, scores: &[(PairKey, f64)], now: u64, oldest: u64, most_pairs: usize) {
        let mut table = self.0.lock();
        if table.len() + scores.len() > most_pairs {
            table.retain(|_, known| known.stored_at >= oldest);
            if table.len() + scores.len() > most_pairs {
                table.clear();
            }
            table.shrink_to_fit();
        }
        table.extend(scores.iter().take(most_pairs).map(|&(pair, score)| (pair, Known { score, stored_at: now })));
    }

    /// Number of pairs, and bytes that they and their bookkeeping take.
    pub(super) fn size(&self) -> (usize, usize) {
        let table = self.0.lock();
        // A hash table of the standard library fills seven eighths of a power of two of slots.
        let slots = if table.capacity() == 0 { 0 } else { (table.capacity() * 8).div_ceil(7).next_power_of_two() };
        (table.len(), ENTRY_BYTES + slots * SLOT_BYTES)
    }
}

/// How many pairs fit into a table of `bytes`.
pub(super) fn pairs_within(bytes: usize) -> usize {
    // Growing doubles the table, so the bytes must hold twice what is kept.
    bytes / (2 * SLOT_BYTES)
}
