//! The choice of one among several rerankers, by the strategies of AutoRAG (`autorag/strategy.py`).
//!
//! The formulas are AutoRAG's, without the noise of floating point: sums of the same parts in another order differ in
//! their last digits, and AutoRAG lets that decide. Here, values within 1e-12 tie, and the first of those that tie
//! wins.

use std::fmt;

use rerankd_core::types::as_f64;

use super::statistics::mean;

/// Difference up to which two values tie. Absolute, because metrics lie between 0 and 1.
const ROUNDING: f64 = 1e-12;

/// A formula for the one value by which a contestant is chosen, from its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The mean of its metrics.
    #[default]
    Mean,
    /// The sum over the metrics of 1 / its rank among the contestants. Those that tie share the mean of their ranks.
    Rank,
    /// The sum over the metrics of its position between the worst contestant (0) and the best (1). A metric in which
    /// all tie adds 0.
    NormalizeMean,
}

/// A contestant's values to choose by.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectionInput {
    /// The mean of each metric over the queries, finite; the same metrics in the same order for all contestants.
    pub metrics: Vec<f64>,
    /// Mean seconds per query; infinity if unknown.
    pub seconds: f64,
}

/// The chosen contestant, and the values that decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The index of the chosen contestant.
    pub best: usize,
    /// The value of each contestant; `None` if it was left out as too slow.
    pub values: Vec<Option<f64>>,
}

/// Chooses the best contestant; `None` if there is none.
///
/// Those that are slower than `slowest`, in mean seconds per query, are left out before anything is ranked or
/// normalised.
#[must_use]
pub fn choose(contestants: &[SelectionInput], strategy: Strategy, slowest: Option<f64>) -> Option<Selection> {
    let mut indices = Vec::with_capacity(contestants.len());
    let mut rivals = Vec::with_capacity(contestants.len());
    for (index, contestant) in contestants.iter().enumerate() {
        if slowest.is_none_or(|slowest| contestant.seconds <= slowest) {
            indices.push(index);
            rivals.push(contestant);
        }
    }
    let chosen_by: Vec<f64> = rivals.iter().map(|rival| value(rival, &rivals, strategy)).collect();
    let highest = chosen_by.iter().copied().max_by(f64::total_cmp)?;
    // A second pass, because the first of those that tie within rounding wins.
    let best = chosen_by.iter().position(|value| *value >= highest - ROUNDING)?;
    let mut values = vec![None; contestants.len()];
    for (&index, value) in indices.iter().zip(chosen_by) {
        values[index] = Some(value);
    }
    Some(Selection { best: indices[best], values })
}

/// The value of a contestant among `rivals`, which include itself.
fn value(contestant: &SelectionInput, rivals: &[&SelectionInput], strategy: Strategy) -> f64 {
    match strategy {
        Strategy::Mean => mean(&contestant.metrics),
        Strategy::Rank => {
            let mut sum = 0.0;
            for (metric_index, own) in contestant.metrics.iter().enumerate() {
                sum += 1.0 / rank(*own, values_of(metric_index, rivals));
            }
            sum
        }
        Strategy::NormalizeMean => {
            let mut sum = 0.0;
            for (metric_index, own) in contestant.metrics.iter().enumerate() {
                sum += normalized(*own, values_of(metric_index, rivals));
            }
            sum
        }
    }
}

/// The value of one metric of each rival.
fn values_of(metric_index: usize, rivals: &[&SelectionInput]) -> impl Iterator<Item = f64> {
    rivals.iter().filter_map(move |rival| rival.metrics.get(metric_index).copied())
}

/// The rank of a value among all, from 1, highest first. Values that tie share the mean of their ranks.
fn rank(own: f64, all: impl Iterator<Item = f64>) -> f64 {
    let mut above = 0;
    // `own` is one of `all`, so this is at least 1.
    let mut level = 0;
    for other in all {
        above += usize::from(other > own + ROUNDING);
        level += usize::from((other - own).abs() <= ROUNDING);
    }
    f64::midpoint(as_f64(above + 1), as_f64(above + level))
}

/// The position of a value between the lowest and the highest of all, from 0 to 1; 0 if all tie.
fn normalized(own: f64, all: impl Iterator<Item = f64>) -> f64 {
    let mut lowest = own;
    let mut highest = own;
    for other in all {
        lowest = other.min(lowest);
        highest = other.max(highest);
    }
    // A range within rounding would blow noise up to whole points.
    if highest - lowest > ROUNDING { (own - lowest) / (highest - lowest) } else { 0.0 }
}

impl Strategy {
    /// All strategies, the default one first.
    pub const ALL: [Self; 3] = [Self::Mean, Self::Rank, Self::NormalizeMean];

    /// The strategy's name in AutoRAG's configuration files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Rank => "rank",
            Self::NormalizeMean => "normalize_mean",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, strategy::Strategy as Values};

    use super::{Selection, SelectionInput, Strategy, choose};

    fn contestants(metrics: &[&[f64]]) -> Vec<SelectionInput> {
        metrics.iter().map(|metrics| SelectionInput { metrics: metrics.to_vec(), seconds: 1.0 }).collect()
    }

    fn best(contestants: &[SelectionInput], strategy: Strategy) -> usize {
        choose(contestants, strategy, None).unwrap().best
    }

    fn assert_values(choice: &Selection, expected: &[Option<f64>]) {
        assert_eq!(choice.values.len(), expected.len());
        for (value, expected) in choice.values.iter().zip(expected) {
            let close = match (value, expected) {
                (Some(value), Some(expected)) => (value - expected).abs() < 1e-12,
                (value, expected) => value.is_none() && expected.is_none(),
            };
            assert!(close, "{choice:?}");
        }
    }

    #[test]
    fn hand_counted() {
        let three = contestants(&[&[0.9, 0.1], &[0.5, 0.4], &[0.5, 0.3]]);
        let by = |strategy| choose(&three, strategy, None).unwrap();
        assert_values(&by(Strategy::Mean), &[Some(0.5), Some(0.45), Some(0.4)]);
        // By the first metric, the second and the third contestant share the ranks 2 and 3; by the second, the ranks
        // are 3, 1, 2.
        let ranks = [1.0 + 1.0 / 3.0, 1.0 / 2.5 + 1.0, 1.0 / 2.5 + 1.0 / 2.0];
        assert_values(&by(Strategy::Rank), &ranks.map(Some));
        let places = [1.0 + 0.0, 0.0 + 1.0, 0.0 + 2.0 / 3.0];
        assert_values(&by(Strategy::NormalizeMean), &places.map(Some));
        assert_eq!(Strategy::ALL.map(|strategy| by(strategy).best), [0, 1, 0]);
    }

    /// From AutoRAG 0.3.27's own `select_best` on random tables. Of 3,000 tables all choices were the same, but for ten
    /// in which two contestants tie by rank and AutoRAG takes the later one, whose sum came out higher by a last digit.
    #[test]
    fn as_autorag_chooses() {
        let chosen = |table: &[SelectionInput]| Strategy::ALL.map(|strategy| best(table, strategy));
        let first: [&[f64]; 5] = [
            &[0.7, 0.63, 0.7, 0.465, 0.576],
            &[0.4, 0.217, 0.89, 0.442, 0.297],
            &[0.216, 0.763, 0.8, 0.9, 0.5],
            &[0.778, 0.9, 0.283, 0.138, 0.5],
            &[0.493, 0.2, 0.244, 0.838, 0.1],
        ];
        assert_eq!(chosen(&contestants(&first)), [2, 3, 0]);
        let second: [&[f64]; 4] =
            [&[0.474, 0.4, 0.587, 0.627], &[0.2, 0.702, 0.266, 0.8], &[0.0, 0.107, 0.9, 0.9], &[0.61, 0.5, 0.229, 0.7]];
        assert_eq!(chosen(&contestants(&second)), [0, 2, 1]);
        let third: [&[f64]; 4] = [&[0.3, 0.4, 0.581], &[0.369, 0.4, 0.2], &[0.05, 0.4, 0.704], &[0.986, 0.4, 0.128]];
        assert_eq!(chosen(&contestants(&third)), [3, 2, 0]);
    }

    /// 1 + 1/2 + 1/3 + 1 and 1/2 + 1 + 1 + 1/3 differ by a last digit. AutoRAG takes the second here.
    #[test]
    fn sums_of_the_same_parts_tie_and_the_first_wins() {
        let ranks = contestants(&[&[0.9, 0.5, 0.1, 0.9], &[0.5, 0.9, 0.9, 0.1], &[0.1, 0.1, 0.5, 0.5]]);
        let choice = choose(&ranks, Strategy::Rank, None).unwrap();
        assert!(choice.values[0] < choice.values[1], "{choice:?}");
        assert_eq!(choice.best, 0);
        for strategy in Strategy::ALL {
            assert_eq!(best(&contestants(&[&[0.3], &[0.1 + 0.2]]), strategy), 0, "{strategy}");
        }
        assert_values(
            &choose(&contestants(&[&[0.3], &[0.1 + 0.2]]), Strategy::Rank, None).unwrap(),
            &[Some(1.0 / 1.5), Some(1.0 / 1.5)],
        );
    }

    #[test]
    fn a_metric_in_which_all_tie_gives_nothing() {
        let choice = choose(&contestants(&[&[0.4, 0.1], &[0.4, 0.2]]), Strategy::NormalizeMean, None).unwrap();
        assert_values(&choice, &[Some(0.0), Some(1.0)]);
        assert_eq!(best(&contestants(&[&[0.4], &[0.4]]), Strategy::NormalizeMean), 0);
    }

    #[test]
    fn the_slow_are_left_out_before_anything_is_counted() {
        let mut three = contestants(&[&[0.9], &[0.5], &[0.7]]);
        three[0].seconds = 1.5;
        let choice = choose(&three, Strategy::Rank, Some(1.0)).unwrap();
        assert_values(&choice, &[None, Some(1.0 / 2.0), Some(1.0)]);
        assert_eq!(choice.best, 2);
        assert_eq!(choose(&three, Strategy::NormalizeMean, Some(0.5)), None);
    }

    #[test]
    fn there_may_be_nobody_or_nothing_to_choose_by() {
        for strategy in Strategy::ALL {
            assert_eq!(choose(&[], strategy, Some(1.0)), None);
            assert_eq!(best(&contestants(&[&[], &[]]), strategy), 0);
        }
    }

    fn table() -> impl Values<Value = Vec<SelectionInput>> {
        (1usize..6, 1usize..5).prop_flat_map(|(contestants, metrics)| {
            let contestant =
                (proptest::collection::vec(0u8..6, metrics), 0u8..4).prop_map(|(tenths, seconds)| SelectionInput {
                    metrics: tenths.into_iter().map(|tenth| f64::from(tenth) / 10.0).collect(),
                    seconds: f64::from(seconds),
                });
            proptest::collection::vec(contestant, contestants)
        })
    }

    proptest! {
        #[test]
        fn the_order_of_the_metrics_does_not_matter(table in table(), slowest in proptest::option::of(0.0f64..4.0)) {
            let mut turned = table.clone();
            for contestant in &mut turned {
                contestant.metrics.reverse();
            }
            for strategy in Strategy::ALL {
                let slow = |index: usize| slowest.is_some_and(|slowest| table[index].seconds > slowest);
                let Some(choice) = choose(&table, strategy, slowest) else {
                    prop_assert!((0..table.len()).all(slow));
                    continue;
                };
                prop_assert_eq!(Some(choice.best), choose(&turned, strategy, slowest).map(|choice| choice.best));
                let chosen = choice.values[choice.best].unwrap();
                prop_assert!(choice.values.iter().flatten().all(|value| *value <= chosen + 1e-9));
                for (index, value) in choice.values.iter().enumerate() {
                    prop_assert_eq!(value.is_none(), slow(index));
                }
            }
        }

        #[test]
        fn who_is_better_in_everything_is_chosen(table in table(), at in 0usize..6) {
            let mut table = table;
            let at = at % table.len();
            for metric in &mut table[at].metrics {
                *metric += 1.0;
            }
            for strategy in Strategy::ALL {
                prop_assert_eq!(best(&table, strategy), at);
            }
        }
    }
}
