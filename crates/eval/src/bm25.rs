//! BM25 over a whole corpus: a first stage, for collections that come without candidates.
//!
//! The formula is Lucene's, with the parameters of Anserini and BEIR (k1 0.9, b 0.4): the sum over the query's terms of
//! `idf * tf / (tf + k1 * (1 - b + b * length / average length))` with `idf = ln(1 + (N - n + 0.5) / (n + 0.5))`. Terms
//! are those of the embedded scorer.
//!
//! All queries are known beforehand, so only their terms are indexed: memory grows with the passages that hold them,
//! not with the corpus. The result depends on nothing but the passages and the queries; ties go to the earlier passage.

use std::cmp::Ordering;
use std::num::NonZero;
use std::thread;

use rerankd_core::types::as_f64;
use rerankd_local::lexical::counting::{Slots, count_terms, query_terms};
use rerankd_local::lexical::inverse_document_frequency;
use rerankd_local::lexical::tokens::{Detail, Tokenizer};

/// Saturation of a term's repetitions: the higher it is, the more each further one adds.
pub const CORPUS_K1: f64 = 0.9;
/// Penalty on long passages, from 0 (none) to 1 (in proportion to the length).
pub const CORPUS_B: f64 = 0.4;

/// A passage with its score for a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Index in the corpus.
    pub place: usize,
    /// BM25 score, not below 0; comparable within one query only.
    pub score: f64,
}

/// For each query, the best `depth` passages that have a term in common with it, best first.
#[must_use]
pub fn best(passages: &[&str], queries: &[&str], depth: usize) -> Vec<Vec<Hit>> {
    Index::new(passages, queries).each_query(|_, scores, touched| {
        let mut hits: Vec<Hit> = touched.iter().map(|&place| Hit { place, score: scores[place] }).collect();
        if depth < hits.len() {
            hits.select_nth_unstable_by(depth, best_first);
            hits.truncate(depth);
        }
        hits
    })
}

/// For each query, its `chosen` passages, best first. Passages that have no term in common with it come last, with
/// score 0.
#[must_use]
pub fn order(passages: &[&str], queries: &[&str], chosen: &[Vec<usize>]) -> Vec<Vec<Hit>> {
    Index::new(passages, queries).each_query(|number, scores, _| {
        let mut hits = Vec::new();
        for &place in chosen.get(number).into_iter().flatten() {
            if let Some(&score) = scores.get(place) {
                hits.push(Hit { place, score });
            }
        }
        hits
    })
}

/// The order of hits: higher scores first, of equal ones the earlier passage.
fn best_first(left: &Hit, right: &Hit) -> Ordering {
    right.score.total_cmp(&left.score).then(left.place.cmp(&right.place))
}

/// An index of the corpus that holds the terms of the queries only.
struct Index {
    /// For each query: its distinct terms, as slots, with the number of their repetitions.
    queries: Vec<Vec<(usize, f64)>>,
    /// Consecutive stretches of the corpus, one per thread.
    stretches: Vec<Stretch>,
    /// The IDF of each slot.
    idf: Vec<f64>,
    /// By place in the corpus: the part of the denominator that depends on the passage's length,
    /// `k1 * (1 - b + b * length / average length)`.
    length_parts: Vec<f64>,
}

/// Counts of the terms in a stretch of the corpus.
#[derive(Default)]
struct Stretch {
    /// By slot: the places that hold the term, ascending, with the number of its occurrences.
    postings: Vec<Vec<(usize, u32)>>,
    /// Number of terms of each passage, those that no query has included.
    lengths: Vec<u32>,
}

impl Index {
    fn new(passages: &[&str], texts: &[&str]) -> Self {
        let mut slots = Slots::new();
        let tokenizer = Tokenizer::new(Detail::Telling);
        let mut queries = Vec::with_capacity(texts.len());
        for text in texts {
            queries.push(query_terms(&tokenizer, text, &mut slots));
        }
        let stretches = count_all(passages, &slots);
        let mut idf = Vec::with_capacity(slots.len());
        for slot in 0..slots.len() {
            let frequency = stretches.iter().map(|stretch| stretch.postings[slot].len()).sum();
            idf.push(inverse_document_frequency(frequency, passages.len()));
        }
        let mut all_terms = 0.0;
        for stretch in &stretches {
            for &length in &stretch.lengths {
                all_terms += f64::from(length);
            }
        }
        // Of no passages this is NaN, which `max` turns into 1.
        let average = (all_terms / as_f64(passages.len())).max(1.0);
        let mut length_parts = Vec::with_capacity(passages.len());
        for stretch in &stretches {
            for &length in &stretch.lengths {
                length_parts.push(CORPUS_K1 * (1.0 - CORPUS_B + CORPUS_B * f64::from(length) / average));
            }
        }
        Self { queries, stretches, idf, length_parts }
    }

    /// Calls `choose` for each query, and sorts the hits that it returns. It gets the query's number, the score of
    /// every place of the corpus, and the places whose score is above 0.
    fn each_query(&self, choose: impl Fn(usize, &[f64], &[usize]) -> Vec<Hit> + Sync) -> Vec<Vec<Hit>> {
        let mut found = vec![Vec::new(); self.queries.len()];
        let share = share_per_thread(found.len());
        thread::scope(|scope| {
            for (chunk, hits_by_query) in found.chunks_mut(share).enumerate() {
                let choose = &choose;
                scope.spawn(move || {
                    // One table for all queries of the thread. Only the places that a query touched are set back, as
                    // most of the corpus has no term of it.
                    let mut scores = vec![0.0; self.length_parts.len()];
                    let mut touched = Vec::new();
                    for (number, hits) in (chunk * share..).zip(hits_by_query) {
                        self.score(&self.queries[number], &mut scores, &mut touched);
                        *hits = choose(number, &scores, &touched);
                        hits.sort_unstable_by(best_first);
                        for place in touched.drain(..) {
                            scores[place] = 0.0;
                        }
                    }
                });
            }
        });
        found
    }

    /// Adds up the scores of one query. `scores` are 0 and `touched` is empty before.
    fn score(&self, query: &[(usize, f64)], scores: &mut [f64], touched: &mut Vec<usize>) {
        for &(slot, weight) in query {
            for stretch in &self.stretches {
                for &(place, occurrences) in &stretch.postings[slot] {
                    // Every addition is above 0, so a score of 0 is one that no term has touched.
                    if scores[place] == 0.0 {
                        touched.push(place);
                    }
                    let count = f64::from(occurrences);
                    scores[place] += weight * self.idf[slot] * count / (count + self.length_parts[place]);
                }
            }
        }
    }
}

/// Counts the terms of `slots` in all passages, on all processors.
fn count_all(passages: &[&str], slots: &Slots) -> Vec<Stretch> {
    let share = share_per_thread(passages.len());
    let mut stretches = Vec::new();
    stretches.resize_with(passages.len().div_ceil(share), Stretch::default);
    thread::scope(|scope| {
        for ((number, chunk), stretch) in passages.chunks(share).enumerate().zip(&mut stretches) {
            scope.spawn(move || *stretch = count(chunk, number * share, slots));
        }
    });
    stretches
}

/// Counts the terms of `slots` in consecutive passages, the first of which has place `start`.
fn count(passages: &[&str], start: usize, slots: &Slots) -> Stretch {
    let tokenizer = Tokenizer::new(Detail::Telling);
    let mut stretch = Stretch { postings: vec![Vec::new(); slots.len()], lengths: Vec::with_capacity(passages.len()) };
    let mut counts = vec![0; slots.len()];
    let mut held = Vec::new();
    for (place, passage) in (start..).zip(passages) {
        // Nobody gives up an index half made, so there always is a length.
        stretch.lengths.extend(count_terms(&tokenizer, slots, passage, &mut counts, &mut held, || true));
        for slot in held.drain(..) {
            stretch.postings[slot].push((place, std::mem::take(&mut counts[slot])));
        }
    }
    stretch
}

/// Items per thread, if `count` of them are shared among all; at least 1.
fn share_per_thread(count: usize) -> usize {
    count.div_ceil(thread::available_parallelism().map_or(1, NonZero::get)).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collection::{Candidates, Source, load};

    fn places(hits: &[Hit]) -> Vec<usize> {
        hits.iter().map(|hit| hit.place).collect()
    }

    /// By hand: N 4, lengths 2 2 2 2, so the length part is 0.9; "heat" stands in two passages, twice in one.
    #[test]
    fn scores_are_those_of_the_formula() {
        let passages = ["heat heat", "cold wing", "heat wing", "fish soup"];
        let found = best(&passages, &["heat"], 10);
        let idf = (1.0_f64 + 2.5 / 2.5).ln();
        let expected = [Hit { place: 0, score: idf * 2.0 / 2.9 }, Hit { place: 2, score: idf / 1.9 }];
        assert_eq!(found, [expected]);
    }

    #[test]
    fn rare_terms_and_repeated_ones_weigh_more_and_ties_keep_the_order_of_the_corpus() {
        let passages = ["wing flow", "wing heat", "wing flow", "wing"];
        let found = best(&passages, &["wing heat", "flow", "fish", "", "flow heat heat"], 3);
        let found: Vec<_> = found.iter().map(|hits| places(hits)).collect();
        assert_eq!(found, [vec![1, 3, 0], vec![0, 2], vec![], vec![], vec![1, 0, 2]]);
    }

    #[test]
    fn chosen_passages_are_ordered_and_all_of_them_kept() {
        let passages = ["fish", "wing", "wing heat", "soup"];
        let found = order(&passages, &["wing heat"], &[vec![3, 0, 1, 2]]);
        assert_eq!(places(&found[0]), [2, 1, 0, 3]);
        assert_eq!(found[0][3], Hit { place: 3, score: 0.0 });
        assert!(best(&[], &["wing"], 3)[0].is_empty() && best(&passages, &[], 3).is_empty());
    }

    /// Where the judged collections are at hand (`RERANKD_TEST_DATA`): BEIR's own figure for `SciFact` with Anserini is
    /// .679.
    #[test]
    fn it_is_as_good_as_bm25_should_be() {
        let Some(data) = std::env::var_os("RERANKD_TEST_DATA").map(std::path::PathBuf::from) else { return };
        for (name, least) in [("scifact", 0.68), ("noveleval", 0.69), ("jsquad-dev300", 0.93)] {
            let source = Source { data: data.join(name), candidates: Some(Candidates::Bm25(50)), qrels: None };
            let collection = load(&source).unwrap();
            let mut sum = 0.0;
            let mut count = as_f64(collection.left_out.queries_without_candidates);
            for query in &collection.queries {
                let grade = |&place: &usize| query.grade(&collection.passages[place]).unwrap_or(0).max(0);
                let mut best: Vec<i32> = query.judgments.values().copied().collect();
                best.sort_unstable_by(|left, right| right.cmp(left));
                sum += discounted(query.candidates.iter().map(grade)) / discounted(best.into_iter());
                count += 1.0;
            }
            let found = sum / count;
            assert!(found >= least, "{name}: nDCG@10 is {found:.4}, must be at least {least}");
        }
    }

    fn discounted(grades: impl Iterator<Item = i32>) -> f64 {
        (2_u32..).zip(grades.take(10)).map(|(place, grade)| f64::from(grade) / f64::from(place).log2()).sum()
    }

    proptest! {
        /// Every passage scored by itself, straight from the formula.
        #[test]
        fn the_index_finds_what_a_plain_scan_finds(
            texts in proptest::collection::vec("([abc]{2}[ ]?){0,6}", 1..12),
            query in "([abc]{2}[ ]?){0,4}",
            depth in 1_usize..5,
        ) {
            let terms = |text: &str| {
                let mut found = Vec::new();
                Tokenizer::new(Detail::Telling).terms(text, |term| found.push(term.to_owned()));
                found
            };
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let split: Vec<_> = texts.iter().map(|text| terms(text)).collect();
            let average = (as_f64(split.iter().map(Vec::len).sum()) / as_f64(split.len())).max(1.0);
            let score = |passage: &Vec<String>| -> f64 {
                terms(&query).iter().map(|term| {
                    let count = as_f64(passage.iter().filter(|own| *own == term).count());
                    let holding = split.iter().filter(|passage| passage.contains(term)).count();
                    let idf = inverse_document_frequency(holding, split.len());
                    idf * count / (count + CORPUS_K1 * (1.0 - CORPUS_B + CORPUS_B * as_f64(passage.len()) / average))
                }).sum()
            };
            let scores: Vec<f64> = split.iter().map(score).collect();
            let found = best(&texts, &[&query], depth);
            let above = scores.iter().filter(|&&score| score > 0.0).count();
            prop_assert_eq!(found[0].len(), above.min(depth));
            for hit in &found[0] {
                prop_assert!((hit.score - scores[hit.place]).abs() < 1e-9);
            }
            prop_assert!(found[0].is_sorted_by(|left, right| best_first(left, right) == Ordering::Less));
            let least = found[0].last().map_or(0.0, |hit| hit.score);
            let missed = (0..scores.len()).filter(|place| !places(&found[0]).contains(place));
            prop_assert!(above <= depth || missed.into_iter().all(|place| scores[place] <= least + 1e-9));
        }
    }
}
