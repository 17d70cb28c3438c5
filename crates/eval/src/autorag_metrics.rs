//! The retrieval metrics of AutoRAG 0.3 (`autorag/evaluation/metric/retrieval.py`), which are not those of `trec_eval`.
//!
//! The ground truth is groups of ids: a query asks for one passage out of each group. Gains are binary. Precision is
//! relative to the number of ids returned, not to a fixed depth. The average precision is over the passages that were
//! found, so those that were missed do not lower it.

use std::{collections::HashSet, fmt, hash::Hash};

use rerankd_core::types::as_f64;

use super::ranking_metrics::harmonic_mean;

/// A metric under AutoRAG's own name (`retrieval_f1`), from 0 to 1, higher is better. Only [`Ndcg`](Self::Ndcg) can
/// pass 1, if an id is returned twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AutoragMetric {
    /// Groups of which something was returned, divided by the number of groups.
    Recall,
    /// Distinct relevant ids returned, divided by the number of ids returned.
    Precision,
    /// The harmonic mean of recall and precision.
    F1,
    /// Binary gains over log2(rank + 1), divided by those of an ideal list. That list begins with as many relevant ids
    /// as the groups hold in all (the same id in two groups counts twice), and is no longer than the returned one.
    Ndcg,
    /// 1 / rank of the first id out of a group, averaged over the groups.
    Mrr,
    /// The precision at each rank that holds an id of a group, averaged over these ranks, then over the groups.
    Map,
}

impl AutoragMetric {
    /// All metrics, in the order of AutoRAG's source.
    pub const ALL: [Self; 6] = [Self::Recall, Self::Precision, Self::F1, Self::Ndcg, Self::Mrr, Self::Map];

    /// The metric's name in AutoRAG's configuration files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "retrieval_recall",
            Self::Precision => "retrieval_precision",
            Self::F1 => "retrieval_f1",
            Self::Ndcg => "retrieval_ndcg",
            Self::Mrr => "retrieval_mrr",
            Self::Map => "retrieval_map",
        }
    }

    /// A sentence for a report on what the metric measures.
    #[must_use]
    pub const fn definition(self) -> &'static str {
        match self {
            Self::Recall => "As AutoRAG: share of the groups of relevant passages of which one is among the first.",
            Self::Precision => "As AutoRAG: share of the passages returned that are relevant.",
            Self::F1 => "As AutoRAG: harmonic mean of its recall and precision.",
            Self::Ndcg => {
                "As AutoRAG: relevant or not is the gain, divided by log2(rank + 1) and summed; \
                 relative to all relevant passages in front."
            }
            Self::Mrr => {
                "As AutoRAG: one divided by the rank of the first passage of a group, averaged over the groups."
            }
            Self::Map => {
                "As AutoRAG: precision at the rank of every passage found of a group, averaged over these, \
                 then over the groups; what is missed costs nothing."
            }
        }
    }

    /// The value of the ids that were returned for one query, best first and already cut to AutoRAG's `top_k`.
    ///
    /// `None` if nothing was returned, there is no group, or a group is empty: AutoRAG leaves such a query out of the
    /// mean.
    #[must_use]
    pub fn value<I: Eq + Hash, G: AsRef<[I]>>(self, groups: &[G], returned: &[I]) -> Option<f64> {
        if returned.is_empty() || groups.is_empty() || groups.iter().any(|group| group.as_ref().is_empty()) {
            return None;
        }
        let mut expected = 0;
        let mut sets: Vec<HashSet<&I>> = Vec::with_capacity(groups.len());
        for group in groups {
            // Before it becomes a set: AutoRAG counts an id that is repeated.
            expected += group.as_ref().len();
            sets.push(group.as_ref().iter().collect());
        }
        Some(match self {
            Self::Recall => recall(&sets, returned),
            Self::Precision => precision(&sets, returned),
            Self::F1 => harmonic_mean(recall(&sets, returned), precision(&sets, returned)),
            Self::Ndcg => ndcg(&sets, returned, expected),
            Self::Mrr => mean_over(&sets, |group| reciprocal_rank(group, returned)),
            Self::Map => mean_over(&sets, |group| average_precision(group, returned)),
        })
    }
}

/// The ids of each group. Neither a group nor the list of groups is empty.
type Groups<'a, I> = [HashSet<&'a I>];

fn recall<I: Eq + Hash>(groups: &Groups<I>, returned: &[I]) -> f64 {
    let mut hit = 0;
    for group in groups {
        hit += usize::from(returned.iter().any(|id| group.contains(id)));
    }
    as_f64(hit) / as_f64(groups.len())
}

fn precision<I: Eq + Hash>(groups: &Groups<I>, returned: &[I]) -> f64 {
    let distinct: HashSet<&I> = returned.iter().filter(|id| in_any(groups, id)).collect();
    as_f64(distinct.len()) / as_f64(returned.len())
}

/// The gain of `returned` relative to the ideal. `expected` is the number of ids in the groups, repetitions counted.
fn ndcg<I: Eq + Hash>(groups: &Groups<I>, returned: &[I], expected: usize) -> f64 {
    let mut gain = 0.0;
    for (index, id) in returned.iter().enumerate() {
        if in_any(groups, id) {
            gain += gain_at(index);
        }
    }
    let mut ideal = 0.0;
    for index in 0..expected.min(returned.len()) {
        ideal += gain_at(index);
    }
    // Above 0, because `value` lets neither an empty group nor an empty list through.
    gain / ideal
}

/// The gain of a relevant passage at an index from 0.
fn gain_at(index: usize) -> f64 {
    1.0 / as_f64(index + 2).log2()
}

fn reciprocal_rank<I: Eq + Hash>(group: &HashSet<&I>, returned: &[I]) -> f64 {
    match returned.iter().position(|id| group.contains(id)) {
        Some(index) => 1.0 / as_f64(index + 1),
        None => 0.0,
    }
}

fn average_precision<I: Eq + Hash>(group: &HashSet<&I>, returned: &[I]) -> f64 {
    let mut found = 0;
    let mut sum = 0.0;
    for (index, id) in returned.iter().enumerate() {
        if group.contains(id) {
            found += 1;
            sum += as_f64(found) / as_f64(index + 1);
        }
    }
    // By what was found, not by the size of the group: AutoRAG's metric ignores what was missed.
    if found > 0 { sum / as_f64(found) } else { 0.0 }
}

fn in_any<I: Eq + Hash>(groups: &Groups<I>, id: &I) -> bool {
    groups.iter().any(|group| group.contains(id))
}

fn mean_over<'a, I>(groups: &Groups<'a, I>, value: impl Fn(&HashSet<&'a I>) -> f64) -> f64 {
    let mut sum = 0.0;
    for group in groups {
        sum += value(group);
    }
    sum / as_f64(groups.len())
}

impl fmt::Display for AutoragMetric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(groups: &[Vec<&str>], returned: &[&str]) -> [Option<f64>; 6] {
        AutoragMetric::ALL.map(|metric| metric.value(groups, returned))
    }

    fn assert_close(values: [Option<f64>; 6], expected: [f64; 6]) {
        for ((metric, value), expected) in AutoragMetric::ALL.into_iter().zip(values).zip(expected) {
            assert!((value.unwrap() - expected).abs() < 1e-12, "{metric}: {value:?} instead of {expected}");
        }
    }

    #[test]
    fn hand_counted() {
        // Of the groups {a, b} and {c}, `b` stands second and `a` third of four; `c` is missed.
        let recall = 1.0 / 2.0;
        let precision = 2.0 / 4.0;
        let f1 = 2.0 * recall * precision / (recall + precision);
        let ndcg = (1.0 / 3.0_f64.log2() + 1.0 / 4.0_f64.log2()) / (1.0 + 1.0 / 3.0_f64.log2() + 1.0 / 4.0_f64.log2());
        let mrr = f64::midpoint(1.0 / 2.0, 0.0);
        let map = f64::midpoint(f64::midpoint(1.0 / 2.0, 2.0 / 3.0), 0.0);
        let values = values(&[vec!["a", "b"], vec!["c"]], &["x", "b", "a", "y"]);
        assert_close(values, [recall, precision, f1, ndcg, mrr, map]);
    }

    #[test]
    fn nothing_found_is_0_but_nothing_asked_or_returned_is_left_out() {
        assert_close(values(&[vec!["a"]], &["x", "y"]), [0.0; 6]);
        assert_eq!(values(&[vec!["a"]], &[]), [None; 6]);
        assert_eq!(values(&[], &["a"]), [None; 6]);
        assert_eq!(values(&[vec!["a"], vec![]], &["a"]), [None; 6]);
    }

    /// From the functions of AutoRAG 0.3.27 on random lists with repeated ids. 3,000 such lists were compared once, and
    /// all values had the same bits.
    #[test]
    fn as_autorag_counts() {
        let third = 1.0 / 3.0;
        assert_close(
            values(
                &[vec!["d3", "d9", "d7"], vec!["d9", "d3", "d5"], vec!["d9"]],
                &["d6", "d10", "d5", "d8", "d6", "d7"],
            ),
            [2.0 * third, third, 0.444_444_444_444_444_4, 0.259_090_361_273_917_66, third / 2.0, third / 2.0],
        );
        assert_close(
            values(
                &[vec!["d10"], vec!["d9", "d3"], vec!["d5", "d6", "d6"]],
                &["d7", "d9", "d5", "d0", "d8", "d5", "d0"],
            ),
            [
                2.0 * third,
                0.285_714_285_714_285_7,
                0.4,
                0.450_011_227_452_852_3,
                0.277_777_777_777_777_73,
                0.277_777_777_777_777_73,
            ],
        );
        assert_close(
            values(
                &[vec!["d5", "d1", "d1"], vec!["d9", "d6", "d8"], vec!["d2", "d3"]],
                &["d10", "d9", "d2", "d10", "d7"],
            ),
            [2.0 * third, 0.4, 0.5, 0.383_566_367_371_335_65, 0.277_777_777_777_777_73, 0.277_777_777_777_777_73],
        );
        assert_close(
            values(&[vec!["d2", "d7", "d2"], vec!["d0"]], &["d9", "d1", "d7", "d5", "d8", "d7", "d6"]),
            [
                0.5,
                0.142_857_142_857_142_85,
                0.222_222_222_222_222_24,
                0.334_246_204_506_826_46,
                third / 2.0,
                third / 2.0,
            ],
        );
    }

    proptest! {
        #[test]
        fn without_repetitions_all_values_lie_between_0_and_1(
            groups in proptest::collection::vec(proptest::collection::vec(0u8..12, 1..4), 1..4),
            returned in proptest::sample::subsequence((0u8..12).collect::<Vec<_>>(), 1..8).prop_shuffle(),
        ) {
            let value = |metric: AutoragMetric| metric.value(&groups, &returned).unwrap();
            for metric in AutoragMetric::ALL {
                prop_assert!((0.0..=1.0).contains(&value(metric)), "{}: {}", metric, value(metric));
            }
            let any = returned.iter().any(|id| groups.iter().flatten().any(|wanted| wanted == id));
            prop_assert!(AutoragMetric::ALL.into_iter().all(|metric| (value(metric) > 0.0) == any));
            // No group that is hit gives more than 1.
            prop_assert!(value(AutoragMetric::Mrr) <= value(AutoragMetric::Recall));
        }

        /// With one group of one id, rank r is all there is to know.
        #[test]
        fn a_single_wanted_passage_has_closed_forms(length in 1u8..9, wanted in 0u8..9) {
            let returned: Vec<u8> = (0..length).collect();
            let value = |metric: AutoragMetric| metric.value(&[[wanted]], &returned).unwrap();
            let found = if wanted < length { 1.0 } else { 0.0 };
            let rank = f64::from(wanted) + 1.0;
            let expected = [
                found,
                found / f64::from(length),
                2.0 * found / (f64::from(length) + 1.0),
                found / (rank + 1.0).log2(),
                found / rank,
                found / rank,
            ];
            for (metric, expected) in AutoragMetric::ALL.into_iter().zip(expected) {
                prop_assert!((value(metric) - expected).abs() < 1e-12, "{}: {}", metric, value(metric));
            }
        }
    }
}
