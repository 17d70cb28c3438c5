//! The scores known for one query.
//!
//! Each batch of scores becomes a run, and runs of comparable size are merged, as in a log-structured tree: a run is
//! more than [`RATIO`] times as large as the next younger one. So a query of N pairs has at most log N runs, and each
//! pair is copied log N times however small the batches are. A younger run's score hides the older ones of its pair.

use std::mem::size_of;

use parking_lot::Mutex;

use super::age::{Age, CachedScore};
use super::heap::held;
use super::key::PairKey;
use super::run::{Known, Run, pairs_within};

/// Ratio of the pairs of a run to those of the next younger one, which it exceeds.
const RATIO: usize = 2;
/// Bytes of one cached query apart from its runs: this struct behind its `Arc`, the cache's own entry, key, queue
/// nodes and hash slot. Measured by `tests/it/memory.rs`, which fails if it is too small.
pub(super) const ENTRY_BYTES: usize = 560;

/// The scores known for one query. Requests share them; the lock is held for a few microseconds at a time, never
/// across an await.
#[derive(Debug, Default)]
pub(super) struct QueryScores {
    /// Oldest first.
    runs: Mutex<Vec<Run>>,
}

impl QueryScores {
    /// The score of each of `pairs`, in their order. `age_at` gives the age of a score by its time of storing, or
    /// `None` if the score is to be ignored.
    pub(super) fn get_many(&self, pairs: &[PairKey], age_at: impl Fn(u64) -> Option<Age>) -> Vec<Option<CachedScore>> {
        let runs = self.runs.lock();
        let mut found = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let known = find(&runs, pair);
            found.push(known.and_then(|known| Some(CachedScore { score: known.score, age: age_at(known.stored_at)? })));
        }
        found
    }

    /// Stores `scores` as of `now`; of several scores of one pair the last counts. If all runs together would take more
    /// than `max_bytes`, they are merged without the scores stored before `oldest`; if little room comes of that, only
    /// `scores` are kept. Times are in milliseconds on the cache's clock.
    pub(super) fn put_many(&self, scores: &[(PairKey, f64)], now: u64, oldest: u64, max_bytes: usize) {
        // One request alone may bring more scores than may be kept.
        let scores = &scores[..scores.len().min(pairs_within(max_bytes))];
        let added = batch(scores, now);
        let mut runs = self.runs.lock();
        runs.reserve_exact(1);
        runs.push(added);
        merge_tail(&mut runs);
        if bytes_of(&runs) > max_bytes {
            let young = merged(&runs, oldest);
            // An eighth at least is free after every merging, or it would soon be repeated.
            let fits = young.bytes() <= max_bytes - max_bytes / 8;
            runs.clear();
            runs.push(if fits { young } else { batch(scores, now) });
        }
        runs.shrink_to_fit();
    }

    /// Bytes that the scores take with their bookkeeping.
    pub(super) fn bytes(&self) -> usize {
        ENTRY_BYTES + bytes_of(&self.runs.lock())
    }

    /// Forgets all scores and frees their memory.
    pub(super) fn clear(&self) {
        let runs = std::mem::take(&mut *self.runs.lock());
        // Freed outside of the lock.
        drop(runs);
    }
}

/// A run of `scores`, stored at `now`.
fn batch(scores: &[(PairKey, f64)], now: u64) -> Run {
    Run::new(scores.iter().rev().map(|&(pair, score)| Known { pair, score, stored_at: now }))
}

/// Merges the youngest run with all older ones that are not more than [`RATIO`] times as large.
fn merge_tail(runs: &mut Vec<Run>) {
    let Some(youngest) = runs.last() else { return };
    let mut first = runs.len() - 1;
    let mut pairs = youngest.len();
    while first > 0 && runs[first - 1].len() <= RATIO * pairs {
        first -= 1;
        pairs += runs[first].len();
    }
    if runs.len() - first > 1 {
        let run = merged(&runs[first..], 0);
        runs.truncate(first);
        runs.push(run);
    }
}

/// One run of the scores of `runs` that were not stored before `oldest`. Of several scores of one pair the newest is
/// left.
fn merged(runs: &[Run], oldest: u64) -> Run {
    let left = runs.iter().enumerate().rev().flat_map(|(index, run)| {
        let newer = &runs[index + 1..];
        run.iter().filter(move |known| known.stored_at >= oldest && find(newer, &known.pair).is_none())
    });
    Run::new(left)
}

/// The newest score of `pair` in `runs`, oldest first.
fn find(runs: &[Run], pair: &PairKey) -> Option<Known> {
    runs.iter().rev().find_map(|run| run.get(pair))
}

/// Bytes that the allocator holds for `runs`.
fn bytes_of(runs: &Vec<Run>) -> usize {
    held(runs.capacity() * size_of::<Run>()) + runs.iter().map(Run::bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::cache::key::tests::pair;

    const ROOM: usize = 1 << 20;

    fn put(table: &QueryScores, names: impl IntoIterator<Item = u32>, score: f64, now: u64, oldest: u64, max: usize) {
        let scores: Vec<_> = names.into_iter().map(|name| (pair(name), score)).collect();
        table.put_many(&scores, now, oldest, max);
    }

    /// The names among `names` that have a score.
    fn known(table: &QueryScores, names: std::ops::Range<u32>) -> Vec<u32> {
        let pairs: Vec<_> = names.clone().map(pair).collect();
        let found = table.get_many(&pairs, |_| Some(Age::Fresh));
        names.zip(found).filter(|(_, found)| found.is_some()).map(|(name, _)| name).collect()
    }

    #[test]
    fn what_is_too_old_makes_room_before_all_else() {
        let max = 10_000; // about 350 pairs
        let table = QueryScores::default();
        put(&table, 0..200, 0.5, 10, 0, max);
        put(&table, 200..250, 0.5, 20, 0, max);
        put(&table, 250..400, 0.5, 30, 15, max);
        assert_eq!(known(&table, 0..400), (200..400).collect::<Vec<_>>());
        put(&table, 400..550, 0.5, 40, 15, max);
        assert_eq!(known(&table, 0..600), (400..550).collect::<Vec<_>>(), "what is young makes room too, if it must");
    }

    #[test]
    fn a_table_never_takes_more_than_it_may() {
        for max in [2_000, 20_000, 200_000] {
            let table = QueryScores::default();
            put(&table, 0..20_000, 0.5, 10, 0, max);
            let kept = known(&table, 0..20_000).len();
            assert!(table.bytes() <= max + ENTRY_BYTES && kept >= pairs_within(max).min(20_000), "{kept} of {max}");
            put(&table, 30_000..30_010, 0.5, 10, 0, max);
            assert_eq!(known(&table, 30_000..30_011).len(), 10);
            assert!(table.bytes() <= max + ENTRY_BYTES);
        }
    }

    /// A query that gets one new passage with every request: quadratic copying would be 200 million pairs.
    #[test]
    fn many_small_batches_are_copied_a_logarithmic_number_of_times() {
        let table = QueryScores::default();
        let mut copied = 0;
        for name in 0..20_000 {
            let before = table.runs.lock().len();
            put(&table, [name], 0.5, 10, 0, 16 << 20);
            let runs = table.runs.lock();
            // A merged run is all that was added to or taken from the list of runs.
            if runs.len() <= before {
                copied += runs.last().unwrap().len();
            }
            assert!(runs.len() <= 15, "{} runs of {name} pairs", runs.len());
        }
        assert!(copied < 20_000 * 15, "{copied}");
        assert_eq!(known(&table, 0..20_000).len(), 20_000);
    }

    #[derive(Clone, Debug)]
    struct Batch {
        names: Vec<u32>,
        score: u16,
        pause: u64,
    }

    fn batches() -> impl Strategy<Value = Vec<Batch>> {
        let names = prop_oneof![
            proptest::collection::vec(0u32..100, 1..4),
            proptest::collection::vec(0u32..100, 1..80),
            Just((0..100).collect()),
        ];
        let batch = (names, any::<u16>(), 0u64..4).prop_map(|(names, score, pause)| Batch { names, score, pause });
        proptest::collection::vec(batch, 0..40)
    }

    proptest! {
        /// With room enough no score is lost or invented; the newest score of a pair counts, and its age.
        #[test]
        fn agrees_with_a_map(batches in batches(), lifetime in 1u64..40) {
            let table = QueryScores::default();
            let mut model = HashMap::new();
            let mut now = 100;
            for batch in &batches {
                now += batch.pause;
                put(&table, batch.names.iter().copied(), f64::from(batch.score), now, now - lifetime, ROOM);
                model.extend(batch.names.iter().map(|name| (*name, (f64::from(batch.score), now))));
            }
            let oldest = now - lifetime;
            let pairs: Vec<_> = (0..101).map(pair).collect();
            let found = table.get_many(&pairs, |stored_at| (stored_at >= oldest).then_some(Age::Fresh));
            for (name, found) in (0..101).zip(found) {
                let expected = model.get(&name).filter(|(_, stored_at)| *stored_at >= oldest);
                prop_assert_eq!(found.map(|found| found.score), expected.map(|(score, _)| *score));
            }
        }

        /// With little room scores are lost, but never those of the last batch, and what is known is right. Scores that
        /// fit stay known however often they are refreshed.
        #[test]
        fn the_newest_are_kept_within_the_room(batches in batches(), max in 2_600usize..6_000) {
            let table = QueryScores::default();
            let mut model = HashMap::new();
            let mut now = 100;
            for batch in &batches {
                now += batch.pause;
                let mut names = batch.names.clone();
                // The pairs of a plan are distinct. Others take the memory of all, which is not counted here.
                names.sort_unstable();
                names.dedup();
                put(&table, names.iter().copied(), f64::from(batch.score), now, 0, max);
                names.truncate(pairs_within(max));
                model.extend(names.iter().map(|name| (*name, f64::from(batch.score))));
                prop_assert!(table.bytes() <= max + ENTRY_BYTES);
                let pairs: Vec<_> = (0..101).map(pair).collect();
                for (name, found) in (0..101).zip(table.get_many(&pairs, |_| Some(Age::Fresh))) {
                    match found {
                        Some(found) => prop_assert_eq!(Some(&found.score), model.get(&name)),
                        // 100 pairs with a time each take less than 4,200 bytes.
                        None => prop_assert!(!names.contains(&name) && (max < 4_800 || !model.contains_key(&name))),
                    }
                }
            }
        }
    }
}
