//! Metrics of a ranking, counted as `trec_eval` counts them, down to the order of its additions.
//!
//! A passage is relevant from grade 1. A passage that was not judged counts as grade 0, and so does a grade below 0
//! (`trec_eval` reads that as "in the pool, not judged"). A query without a relevant passage has the value 0 in every
//! metric.

use std::fmt;

use rerankd_core::types::as_f64;

/// The lowest grade of a relevant passage, as without `trec_eval`'s `-l`.
const RELEVANT: i32 = 1;

/// A metric of one ranking, from 0 to 1, higher is better. The number is its depth `k`, in ranks from the top; at depth
/// 0 the value is 0.
///
/// Its name is `ndcg@10`, `mrr@10`, `map`, `p@10`, `r@10` or `f1@10`, as [`Display`](fmt::Display) writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// `trec_eval`'s `ndcg_cut`: the grades, each divided by log2(rank + 1), over what the best order of all judged
    /// passages reaches (Järvelin and Kekäläinen, 2002, with the grade itself as the gain).
    Ndcg(usize),
    /// 1 / rank of the first relevant passage, 0 if there is none in the first `k`: `trec_eval`'s `recip_rank`, and
    /// `RR@k` of `ir_measures` (which orders passages of equal scores its own way). Its mean over queries is the MRR.
    ReciprocalRank(usize),
    /// `trec_eval`'s `map` of one query: the precision at each relevant passage, over all ranks, divided by all
    /// relevant passages.
    AveragePrecision,
    /// `trec_eval`'s `P`: relevant passages in the first `k`, divided by `k` even if the ranking is shorter.
    Precision(usize),
    /// `trec_eval`'s `recall`: relevant passages in the first `k`, divided by all that are judged relevant.
    Recall(usize),
    /// The harmonic mean of [`Precision`](Self::Precision) and [`Recall`](Self::Recall).
    F1(usize),
}

impl Metric {
    /// A sentence for a report on what the metric measures.
    #[must_use]
    pub const fn definition(self) -> &'static str {
        match self {
            Self::Ndcg(_) => {
                "As trec_eval: the grade is the gain, divided by log2(rank + 1) and summed; \
                 relative to the best possible order of all judged passages."
            }
            Self::ReciprocalRank(_) => {
                "As trec_eval: one divided by the rank of the first relevant passage, 0 if there is none."
            }
            Self::AveragePrecision => {
                "As trec_eval: precision at the rank of every relevant passage, averaged over all relevant passages. \
                 Passages count as relevant from grade 1."
            }
            Self::Precision(_) => "As trec_eval: share of the first passages that are relevant.",
            Self::Recall(_) => "As trec_eval: share of all relevant passages that are among the first.",
            Self::F1(_) => "Harmonic mean of precision and recall.",
        }
    }

    /// The value of a ranking, from 0 to 1.
    ///
    /// `ranking` has the grade of the passage at each rank, best first, `None` if it was not judged. `judged` has every
    /// grade of the query's judgments in any order, those of passages that are not in the ranking too.
    #[must_use]
    pub fn value(self, ranking: &[Option<i32>], judged: &[i32]) -> f64 {
        let all_relevant = judged.iter().filter(|grade| **grade >= RELEVANT).count();
        if all_relevant == 0 {
            return 0.0;
        }
        match self {
            Self::Ndcg(cut) => ndcg(ranking, judged, cut),
            Self::ReciprocalRank(cut) => match ranking.iter().take(cut).position(|grade| is_relevant(*grade)) {
                Some(index) => 1.0 / as_f64(index + 1),
                None => 0.0,
            },
            Self::AveragePrecision => average_precision(ranking, all_relevant),
            Self::Precision(0) => 0.0,
            Self::Precision(cut) => as_f64(relevant_in(ranking, cut)) / as_f64(cut),
            Self::Recall(cut) => as_f64(relevant_in(ranking, cut)) / as_f64(all_relevant),
            Self::F1(cut) => {
                let precision = Self::Precision(cut).value(ranking, judged);
                let recall = Self::Recall(cut).value(ranking, judged);
                harmonic_mean(precision, recall)
            }
        }
    }
}

/// The share of the relevant passages that are among the candidates, from 0 to 1; 0 if nothing is relevant.
///
/// No order of the candidates has a higher recall. The arguments are those of [`Metric::value`], but the order of
/// `candidates` does not matter.
#[must_use]
pub fn recall_ceiling(candidates: &[Option<i32>], judged: &[i32]) -> f64 {
    Metric::Recall(usize::MAX).value(candidates, judged)
}

/// The harmonic mean of two values not below 0; 0 if both are.
pub(super) fn harmonic_mean(left: f64, right: f64) -> f64 {
    if left + right > 0.0 { 2.0 * (left * right) / (left + right) } else { 0.0 }
}

fn is_relevant(grade: Option<i32>) -> bool {
    grade.is_some_and(|grade| grade >= RELEVANT)
}

/// Relevant passages in the first `cut` ranks.
fn relevant_in(ranking: &[Option<i32>], cut: usize) -> usize {
    ranking.iter().take(cut).filter(|grade| is_relevant(**grade)).count()
}

/// The gain of the first `cut` ranks, over that of the best order of all judged passages.
fn ndcg(ranking: &[Option<i32>], judged: &[i32], cut: usize) -> f64 {
    let mut best = judged.to_vec();
    best.sort_unstable_by(|left, right| right.cmp(left));
    // The ideal order takes all judged passages, so what the first stage missed lowers the value.
    let ideal = discounted_gain(best.into_iter().take(cut));
    let gain = discounted_gain(ranking.iter().take(cut).map(|grade| grade.unwrap_or(0)));
    if ideal > 0.0 { gain / ideal } else { 0.0 }
}

/// The sum of the grades, each divided by log2(rank + 1). The rank is the index plus 1.
fn discounted_gain(grades: impl Iterator<Item = i32>) -> f64 {
    let mut sum = 0.0;
    for (index, grade) in grades.enumerate() {
        // Grades below 0 gain nothing, as in trec_eval.
        if grade > 0 {
            sum += f64::from(grade) / as_f64(index + 2).log2();
        }
    }
    sum
}

/// The average precision, if `all_relevant` judged passages are relevant; above 0.
fn average_precision(ranking: &[Option<i32>], all_relevant: usize) -> f64 {
    let mut found = 0;
    let mut sum = 0.0;
    for (index, grade) in ranking.iter().enumerate() {
        if is_relevant(*grade) {
            found += 1;
            sum += as_f64(found) / as_f64(index + 1);
        }
    }
    sum / as_f64(all_relevant)
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ndcg(cut) => write!(formatter, "ndcg@{cut}"),
            Self::ReciprocalRank(cut) => write!(formatter, "mrr@{cut}"),
            Self::AveragePrecision => formatter.write_str("map"),
            Self::Precision(cut) => write!(formatter, "p@{cut}"),
            Self::Recall(cut) => write!(formatter, "r@{cut}"),
            Self::F1(cut) => write!(formatter, "f1@{cut}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::trec::trec_order;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn hand_counted() {
        let ranking = [Some(2), None, Some(0), Some(1), Some(-2)];
        let judged = [0, 1, 2, 1, -2];
        let value = |metric: Metric| metric.value(&ranking, &judged);
        // Found at ranks 1 and 4, of three relevant ones; the best order is 2, 1, 1.
        let ideal = 2.0 + 1.0 / 3.0_f64.log2() + 1.0 / 4.0_f64.log2();
        assert!(close(value(Metric::Ndcg(10)), (2.0 + 1.0 / 5.0_f64.log2()) / ideal));
        assert!(close(value(Metric::Ndcg(1)), 1.0));
        assert!(close(value(Metric::Ndcg(2)), 2.0 / (2.0 + 1.0 / 3.0_f64.log2())));
        assert!(close(value(Metric::AveragePrecision), (1.0 / 1.0 + 2.0 / 4.0) / 3.0));
        assert!(close(value(Metric::ReciprocalRank(10)), 1.0));
        assert!(close(value(Metric::Precision(4)), 2.0 / 4.0));
        assert!(close(value(Metric::Precision(10)), 2.0 / 10.0), "by k, though five were returned");
        assert!(close(value(Metric::Recall(3)), 1.0 / 3.0));
        assert!(close(value(Metric::Recall(10)), 2.0 / 3.0));
        let precision = 2.0 / 4.0;
        let recall = 2.0 / 3.0;
        assert!(close(value(Metric::F1(4)), 2.0 * precision * recall / (precision + recall)));
        assert!(close(recall_ceiling(&ranking, &judged), 2.0 / 3.0));
        for none in [Metric::Ndcg(0), Metric::ReciprocalRank(0), Metric::Precision(0), Metric::Recall(0), Metric::F1(0)]
        {
            assert!(close(value(none), 0.0), "{none}");
        }
    }

    #[test]
    fn the_reciprocal_rank_is_cut() {
        let ranking = [None, Some(0), Some(1)];
        assert!(close(Metric::ReciprocalRank(3).value(&ranking, &[0, 1]), 1.0 / 3.0));
        assert!(close(Metric::ReciprocalRank(2).value(&ranking, &[0, 1]), 0.0));
    }

    type Golden<'a> = (&'a [(&'a str, f64)], &'a [(&'a str, i32)], &'a [(&'a str, f64)], f64);

    /// From `pytrec_eval-terrier` 0.5.11 on random runs with ties, some of them only as 32-bit floats, and with
    /// passages that were not judged, or judged below 0. 3,000 such runs were compared once, and all values had the
    /// same bits.
    const GOLDEN: [Golden; 3] = [
        (
            &[
                ("d30", -0.0),
                ("d20", 0.500_000_01),
                ("d4", -0.0),
                ("d35", 0.1),
                ("d18", -0.0),
                ("d21", 0.500_539_896_626_197_8),
                ("d3", -1.7),
                ("d1", 1.0),
                ("d15", -1.8),
                ("d19", 0.500_000_06),
                ("d27", -0.8),
            ],
            &[
                ("d39", 3),
                ("d25", -1),
                ("d4", 3),
                ("d37", 1),
                ("d8", 0),
                ("d28", 0),
                ("d16", 0),
                ("d15", 1),
                ("d20", 3),
                ("d2", 3),
            ],
            &[
                ("ndcg@3", 0.0),
                ("ndcg@10", 0.280_100_278_534_343_6),
                ("mrr@3", 0.0),
                ("mrr@1000", 0.25),
                ("map", 0.142_676_767_676_767_65),
                ("p@5", 0.2),
                ("r@5", 0.166_666_666_666_666_66),
                ("p@30", 0.1),
                ("r@30", 0.5),
            ],
            0.5,
        ),
        (
            &[
                ("d35", -0.0),
                ("d28", -0.0),
                ("d31", 0.5),
                ("d33", 0.500_540_994_689_277_7),
                ("d29", 0.500_582_576_849_962_9),
                ("d7", -1.5),
                ("d13", -0.0),
                ("d23", 0.500_227_900_172_578_9),
                ("d1", 0.500_942_792_378_823_1),
                ("d37", -1.1),
                ("d17", 0.500_098_365_878_763_9),
                ("d32", -0.0),
            ],
            &[
                ("d16", -1),
                ("d20", 3),
                ("d31", 1),
                ("d33", 3),
                ("d30", 0),
                ("d39", 0),
                ("d34", 3),
                ("d18", 0),
                ("d4", 0),
            ],
            &[
                ("ndcg@3", 0.234_639_363_011_378_25),
                ("ndcg@10", 0.272_032_898_882_138_7),
                ("mrr@3", 0.333_333_333_333_333_3),
                ("mrr@1000", 0.333_333_333_333_333_3),
                ("map", 0.166_666_666_666_666_66),
                ("p@5", 0.2),
                ("r@5", 0.25),
                ("p@30", 0.066_666_666_666_666_67),
                ("r@30", 0.5),
            ],
            0.5,
        ),
        (
            &[
                ("d30", 0.500_000_001),
                ("d8", 0.500_000_06),
                ("d39", 0.500_992_866_234_145_4),
                ("d12", 1.6),
                ("d14", 0.5),
                ("d21", 0.500_000_06),
                ("d36", 0.500_000_001),
                ("d9", 1.5),
                ("d5", -0.0),
                ("d2", -0.8),
                ("d28", 0.1),
            ],
            &[
                ("d30", 1),
                ("d20", 3),
                ("d15", 0),
                ("d34", 0),
                ("d27", 0),
                ("d26", 0),
                ("d18", 2),
                ("d39", 3),
                ("d35", -1),
            ],
            &[
                ("ndcg@3", 0.254_548_386_788_594_87),
                ("ndcg@10", 0.289_925_396_273_398_53),
                ("mrr@3", 0.333_333_333_333_333_3),
                ("mrr@1000", 0.333_333_333_333_333_3),
                ("map", 0.154_761_904_761_904_77),
                ("p@5", 0.2),
                ("r@5", 0.25),
                ("p@30", 0.066_666_666_666_666_67),
                ("r@30", 0.5),
            ],
            0.5,
        ),
    ];

    #[test]
    fn as_trec_eval_counts() {
        for (run, judgments, expected, ceiling) in GOLDEN {
            let grades: HashMap<&str, i32> = judgments.iter().copied().collect();
            let ranking: Vec<_> = trec_order(run).into_iter().map(|index| grades.get(run[index].0).copied()).collect();
            let judged: Vec<i32> = grades.into_values().collect();
            for (name, expected) in expected {
                let cut = name.split_once('@').map_or(0, |(_, cut)| cut.parse().unwrap());
                let metric = KINDS.map(|kind| kind(cut)).into_iter().find(|metric| metric.to_string() == *name);
                let value = metric.unwrap().value(&ranking, &judged);
                assert!(close(value, *expected), "{name}: {value} instead of {expected}");
            }
            assert!(close(recall_ceiling(&ranking, &judged), ceiling));
        }
    }

    const KINDS: [fn(usize) -> Metric; 6] = [
        Metric::Ndcg,
        Metric::ReciprocalRank,
        |_| Metric::AveragePrecision,
        Metric::Precision,
        Metric::Recall,
        Metric::F1,
    ];

    /// A ranking, and the grades of what was not retrieved.
    fn judged_ranking() -> impl Strategy<Value = (Vec<Option<i32>>, Vec<i32>)> {
        let ranking = proptest::collection::vec(proptest::option::of(-1i32..4), 0..12);
        (ranking, proptest::collection::vec(-1i32..4, 0..5))
    }

    proptest! {
        #[test]
        fn all_values_lie_between_0_and_1(ranked in judged_ranking(), k in 0usize..15) {
            let (ranking, missed) = ranked;
            let judged: Vec<i32> = ranking.iter().flatten().copied().chain(missed).collect();
            for metric in KINDS.map(|kind| kind(k)) {
                let value = metric.value(&ranking, &judged);
                prop_assert!((0.0..=1.0).contains(&value), "{}: {}", metric, value);
                if judged.iter().all(|grade| *grade < 1) {
                    prop_assert!(close(value, 0.0), "{}: {}", metric, value);
                }
            }
            let recall = Metric::Recall(k).value(&ranking, &judged);
            prop_assert!(recall <= recall_ceiling(&ranking, &judged));
        }

        #[test]
        fn the_best_order_is_worth_1_and_no_swap_for_the_better_lowers_anything(
            ranked in judged_ranking(), k in 1usize..15,
        ) {
            let (mut ranking, missed) = ranked;
            let judged: Vec<i32> = ranking.iter().flatten().copied().chain(missed).collect();
            let grade = |grade: &Option<i32>| grade.unwrap_or(0).max(0);
            for _ in 0..ranking.len() {
                for upper in 1..ranking.len() {
                    let before = KINDS.map(|kind| kind(k).value(&ranking, &judged));
                    if grade(&ranking[upper]) > grade(&ranking[upper - 1]) {
                        ranking.swap(upper - 1, upper);
                        for (kind, before) in KINDS.into_iter().zip(before) {
                            prop_assert!(kind(k).value(&ranking, &judged) >= before - 1e-12, "{}", kind(k));
                        }
                    }
                }
            }
            let mut ideal = judged.clone();
            ideal.sort_unstable_by_key(|grade| -grade);
            let ideal: Vec<_> = ideal.into_iter().map(Some).collect();
            let relevant = judged.iter().any(|grade| *grade > 0);
            let whole = if relevant { 1.0 } else { 0.0 };
            prop_assert!(close(Metric::Ndcg(k).value(&ideal, &judged), whole));
            prop_assert!(close(Metric::AveragePrecision.value(&ideal, &judged), whole));
        }

        /// As the definition reads: the mean, over all relevant passages, of the precision where each stands.
        #[test]
        fn average_precision_is_the_mean_of_precisions(ranked in judged_ranking()) {
            let (ranking, missed) = ranked;
            let judged: Vec<i32> = ranking.iter().flatten().copied().chain(missed).collect();
            let relevant = judged.iter().filter(|grade| **grade > 0).count();
            let precisions: f64 = (1..=ranking.len())
                .filter(|rank| ranking[rank - 1].unwrap_or(0) > 0)
                .map(|rank| Metric::Precision(rank).value(&ranking, &judged))
                .sum();
            let expected = if relevant == 0 { 0.0 } else { precisions / as_f64(relevant) };
            prop_assert!(close(Metric::AveragePrecision.value(&ranking, &judged), expected));
        }
    }
}
