//! Immutable tables of scores.
//!
//! Keys of pairs are uniformly distributed, so the bucket of a key is its place in the range of all keys. A table lists
//! its pairs bucket by bucket and holds the place at which each bucket starts:
//!
//! ```text
//!  starts   0        3  4        7             bucket = key * buckets / 2^64
//!  pairs    a  b  c  d  e  f  g  h  i  …
//! ```
//!
//! No slot is free: a pair takes the 24 bytes of its key and score and a third of a start. A table is made by counting
//! the pairs of each bucket, and never changes.

use std::mem::size_of;

use super::heap::held;
use super::key::PairKey;

/// Pairs of a bucket on average. Fewer take more memory for `starts`; more take longer to look through.
const BUCKET_PAIRS: usize = 3;
/// Pairs compared in every look-up: 97 buckets in 100 have no more.
const COMPARED: usize = 6;

/// A stored score.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) pair: PairKey,
    pub(super) score: f64,
    /// Time of storing, in milliseconds on the cache's clock.
    pub(super) stored_at: u64,
}

/// Scores by their pairs.
#[derive(Debug)]
pub(super) struct Run {
    /// Bucket by bucket; of the scores of one pair the newest first.
    pairs: Box<[(PairKey, f64)]>,
    /// Index in `pairs` of the first pair of each bucket, and last the number of pairs.
    starts: Box<[usize]>,
    /// Time of storing of each of `pairs`, in milliseconds on the cache's clock; empty if all were stored at once.
    times: Box<[u64]>,
    /// Time of storing of all pairs, if `times` is empty.
    stored_at: u64,
}

impl Run {
    /// A table of `known`, newest first. Of several scores of one pair the first counts; the others take memory.
    pub(super) fn new(known: impl Iterator<Item = Known> + Clone) -> Self {
        let mut count = 0_usize;
        let mut oldest = u64::MAX;
        let mut newest = 0;
        for score in known.clone() {
            count += 1;
            oldest = oldest.min(score.stored_at);
            newest = newest.max(score.stored_at);
        }
        let buckets = count.div_ceil(BUCKET_PAIRS).max(1);
        let mut starts = vec![0; buckets + 1];
        for score in known.clone() {
            starts[bucket_of(&score.pair, buckets) + 1] += 1;
        }
        for bucket in 0..buckets {
            starts[bucket + 1] += starts[bucket];
        }
        let mut pairs = vec![(PairKey::default(), 0.0); count];
        let mut times = vec![0; if oldest < newest { count } else { 0 }];
        let mut free = starts.clone();
        for score in known {
            let place = &mut free[bucket_of(&score.pair, buckets)];
            pairs[*place] = (score.pair, score.score);
            if let Some(time) = times.get_mut(*place) {
                *time = score.stored_at;
            }
            *place += 1;
        }
        Self { pairs: pairs.into(), starts: starts.into(), times: times.into(), stored_at: newest }
    }

    /// The score of `pair`.
    pub(super) fn get(&self, pair: &PairKey) -> Option<Known> {
        let bucket = bucket_of(pair, self.starts.len() - 1);
        let start = self.starts[bucket];
        let mut scanned = start;
        if let Some(window) = self.pairs[start..].first_chunk::<COMPARED>() {
            // Without an early exit, because where it is cannot be predicted. The first of equal pairs counts.
            let mut within = COMPARED;
            for index in (0..COMPARED).rev() {
                if window[index].0 == *pair {
                    within = index;
                }
            }
            if within < COMPARED {
                return Some(self.at(start + within));
            }
            scanned += COMPARED;
        }
        let rest = self.pairs.get(scanned..self.starts[bucket + 1])?;
        let within = rest.iter().position(|(known, _)| known == pair)?;
        Some(self.at(scanned + within))
    }

    /// Every score, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Known> + Clone {
        (0..self.len()).map(|index| self.at(index))
    }

    fn at(&self, index: usize) -> Known {
        let (pair, score) = self.pairs[index];
        Known { pair, score, stored_at: self.times.get(index).copied().unwrap_or(self.stored_at) }
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Bytes that the allocator holds for the table, without this struct.
    pub(super) fn bytes(&self) -> usize {
        held(size_of_val(&*self.pairs)) + held(size_of_val(&*self.starts)) + held(size_of_val(&*self.times))
    }
}

/// Number of pairs, stored at once, that fit into a table of `bytes`.
pub(super) const fn pairs_within(bytes: usize) -> usize {
    // The allocator may hold nearly twice of what it is asked for.
    bytes / (2 * (size_of::<(PairKey, f64)>() + size_of::<usize>().div_ceil(BUCKET_PAIRS)))
}

/// The bucket of a pair among `buckets`, from 0.
fn bucket_of(pair: &PairKey, buckets: usize) -> usize {
    // As a fraction of 2^64 the key's half is uniform from 0 to 1. The product's upper half is below `buckets`.
    let product = u128::from(pair.half()) * buckets as u128;
    usize::try_from(product >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::cache::key::tests::pair;

    proptest! {
        /// A table holds the first score of each pair, with its time, and nothing else.
        #[test]
        fn agrees_with_a_map(known in proptest::collection::vec((0u32..300, any::<u32>(), 0u64..3), 0..400)) {
            let known: Vec<_> = known
                .into_iter()
                .map(|(name, score, stored_at)| Known { pair: pair(name), score: f64::from(score), stored_at })
                .collect();
            let mut model = HashMap::new();
            for score in &known {
                model.entry(score.pair).or_insert((score.score, score.stored_at));
            }
            let run = Run::new(known.iter().copied());
            prop_assert_eq!(run.len(), known.len());
            for name in 0..301 {
                let found = run.get(&pair(name)).map(|known| (known.score, known.stored_at));
                prop_assert_eq!(found, model.get(&pair(name)).copied());
            }
            let mut listed = HashMap::new();
            for known in run.iter() {
                listed.entry(known.pair).or_insert((known.score, known.stored_at));
            }
            prop_assert_eq!(listed, model);
        }
    }

    #[test]
    fn pairs_stored_at_once_take_the_bytes_that_are_planned_for() {
        for count in [1, 9, 100, 1_000, 3_000, 30_000] {
            let run = Run::new((0..count).map(|name| Known { pair: pair(name), score: 0.5, stored_at: 7 }));
            let count = run.len();
            assert!(run.bytes() >= count * 26 && run.bytes() <= count * 54 + 16, "{count}: {}", run.bytes());
            assert!(pairs_within(run.bytes()) <= count);
        }
    }
}
