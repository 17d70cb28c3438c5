//! What the figures say: who is best, who may be as good, who is no better than no reranker.

use super::super::results::{Comparison, Contestant, Estimate, Kind, Results};
use super::figures::{probability, usd};

/// The verdict on who never answered.
pub(super) const NO_ANSWERS: &str = "no answers";

/// Fewer queries than these say little about small differences.
pub(super) const FEW_QUERIES: usize = 50;

/// How a contestant stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Measurably better.
    Better,
    /// The difference may well be chance.
    Noise,
    /// Measurably worse.
    Worse,
}

impl Standing {
    pub(super) fn of(comparison: &Comparison) -> Self {
        match comparison.difference.mean {
            _ if comparison.is_noise => Self::Noise,
            difference if difference > 0.0 => Self::Better,
            difference if difference < 0.0 => Self::Worse,
            _ => Self::Noise,
        }
    }
}

impl Results {
    /// The metric that decides.
    pub(super) fn decisive(&self) -> &str {
        self.metrics.first().map_or("metric", String::as_str)
    }

    /// The contestant with the best mean.
    pub(super) fn best(&self) -> Option<&Contestant> {
        self.contestants.first()
    }

    /// The order of the first stage.
    pub(super) fn none(&self) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.kind == Kind::None)
    }

    /// Everybody but the order of the first stage.
    pub(super) fn rerankers(&self) -> impl Iterator<Item = &Contestant> {
        self.contestants.iter().filter(|contestant| contestant.kind != Kind::None)
    }

    /// Rerankers that may be as good as the best.
    pub(super) fn peers(&self) -> Vec<&Contestant> {
        self.rerankers().filter(|contestant| contestant.against_best.as_ref().is_some_and(|it| it.is_noise)).collect()
    }

    /// A contestant's value and that of the order of the first stage, by the decisive metric, for each query (its
    /// place in [`Results::queries`]) that has both.
    pub(super) fn changes(&self, contestant: &Contestant) -> Vec<Change> {
        let metric = self.decisive();
        let Some(none) = self.none() else { return Vec::new() };
        let pairs = none.by_query.iter().zip(&contestant.by_query).take(self.queries.len()).enumerate();
        pairs
            .filter_map(|(query, (before, after))| {
                let change = Change { query, before: *before.get(metric)?, after: *after.get(metric)? };
                change.difference().is_finite().then_some(change)
            })
            .collect()
    }
}

impl Contestant {
    /// The mean of `metric`, if there is one.
    pub(super) fn estimate(&self, metric: &str) -> Option<Estimate> {
        self.metrics.get(metric).copied().filter(|estimate| estimate.mean.is_finite())
    }

    /// US dollars for 1,000 queries.
    pub(super) fn usd(&self) -> Option<f64> {
        usd(self.cost.as_ref())
    }

    /// How it stands to the best contestant; nothing for the best.
    pub(super) fn to_best(&self) -> Option<Standing> {
        self.against_best.as_ref().map(Standing::of)
    }

    /// How it stands to the order of the first stage; nothing for that order.
    pub(super) fn to_none(&self) -> Option<Standing> {
        self.against_none.as_ref().map(Standing::of)
    }

    /// In a few words: `best`, `noise`, `worse, p=0.003`, and whether it is any better than no reranker; over how many queries, if not over all.
    pub(super) fn verdict(&self) -> String {
        let failed: usize = self.failures.values().sum();
        let queries = self.by_query.len();
        let share = if failed > 0 {
            format!("; answered {} of {queries}", queries.saturating_sub(failed))
        } else {
            String::new()
        };
        format!("{}{share}", self.merit())
    }

    fn merit(&self) -> String {
        let verdict = match &self.against_best {
            None if matches!(self.to_none(), Some(Standing::Noise | Standing::Worse)) => "highest mean".to_owned(),
            None => "best".to_owned(),
            Some(comparison) if Standing::of(comparison) == Standing::Worse => {
                format!("worse, {}", probability(comparison.p_adjusted))
            }
            Some(_) => "noise".to_owned(),
        };
        match self.to_none() {
            None | Some(Standing::Better) => verdict,
            Some(Standing::Noise) => format!("{verdict}; not better than none"),
            Some(Standing::Worse) => format!("{verdict}; worse than none"),
        }
    }
}

/// What a reranker did to a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Its place in [`Results::queries`].
    pub query: usize,
    /// The decisive metric with the order of the first stage.
    pub before: f64,
    /// The decisive metric with the contestant's order.
    pub after: f64,
}

impl Change {
    pub(super) fn difference(self) -> f64 {
        let difference = self.after - self.before;
        if difference.abs() < 1e-9 { 0.0 } else { difference } // summing in another order is no change
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn compared(difference: f64, p: f64) -> Comparison {
        let difference = Estimate { mean: difference, low: difference - 0.01, high: difference + 0.01 };
        Comparison { difference, p, p_adjusted: p, is_noise: p >= 0.05 }
    }

    #[test]
    fn verdicts_are_plain() {
        let mut contestant = sample::results(60).contestants.remove(1);
        contestant.failures.clear();
        let mut verdict = |best: Option<Comparison>, none: Option<Comparison>| {
            contestant.against_best = best;
            contestant.against_none = none;
            contestant.verdict()
        };
        let better = Some(compared(0.1, 0.001));
        assert_eq!(verdict(None, better), "best");
        assert_eq!(verdict(None, Some(compared(0.01, 0.4))), "highest mean; not better than none");
        assert_eq!(verdict(Some(compared(-0.01, 0.4)), better), "noise");
        assert_eq!(verdict(Some(compared(-0.05, 0.0031)), better), "worse, p=0.003");
        assert_eq!(
            verdict(Some(compared(-0.2, 0.0001)), Some(compared(-0.1, 0.01))),
            "worse, p<0.001; worse than none"
        );
        assert_eq!(
            verdict(Some(compared(-0.2, 0.0001)), Some(compared(0.0, 1.0))),
            "worse, p<0.001; not better than none"
        );
        assert_eq!(verdict(Some(compared(-0.2, 0.0001)), None), "worse, p<0.001");
        assert_eq!(verdict(Some(compared(0.0, 0.01)), None), "noise");
        contestant.failures = [("upstream_timeout".to_owned(), 2), ("upstream_rejected".to_owned(), 1)].into();
        assert_eq!(contestant.verdict(), "noise; answered 57 of 60");
    }

    #[test]
    fn queries_without_a_number_are_no_change() {
        let mut results = sample::results(3);
        let metric = results.decisive().to_owned();
        results.contestants[0].by_query[0].insert(metric.clone(), f64::NAN);
        results.contestants[0].by_query[1].remove(&metric);
        let places: Vec<_> = results.changes(&results.contestants[0]).iter().map(|change| change.query).collect();
        assert_eq!(places, [2]);
        results.contestants.retain(|contestant| contestant.kind != Kind::None);
        assert_eq!(results.changes(&results.contestants[0]), []);
    }
}
