//! The statistical conclusions of the report: the best contestant, its equals, and the contestants that are no better
//! than no reranker.

use super::super::results::{Comparison, Contestant, Estimate, Kind, Results};
use super::figures::{probability, usd};

/// The verdict on a contestant that never answered.
pub(super) const NO_ANSWERS: &str = "no answers";

/// The verdict on the contestant with the best mean, where that is not shown to be more than chance.
const HIGHEST_MEAN: &str = "highest mean";

/// The verdict on a first stage that stands in the order of the judgments.
const SORTED_BY_GRADE: &str = "sorted by grade";

/// The verdict on a difference that few queries cannot tell from chance.
const TOO_FEW: &str = "too few queries to tell";

/// Number of queries below which small differences mean little.
pub(super) const FEW_QUERIES: usize = 50;

/// Fewest queries whose candidates are all sorted by grade that look sorted by hand. Fewer may be by chance.
const SORTED_BY_HAND: usize = 3;

/// The outcome of comparing one contestant with another.
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
    /// The standing of the contestant that the comparison belongs to.
    pub(super) fn of(comparison: &Comparison) -> Self {
        let difference = comparison.difference.mean;
        if comparison.is_noise {
            Self::Noise
        } else if difference > 0.0 {
            Self::Better
        } else if difference < 0.0 {
            Self::Worse
        } else {
            // Zero and NaN favour neither side, whatever the test says.
            Self::Noise
        }
    }
}

impl Comparison {
    /// Returns true if the interval of the difference and the adjusted p-value say different things: one that the
    /// difference may be chance, the other that it is not.
    pub(super) fn is_contradictory(&self) -> bool {
        let Estimate { low, high, .. } = self.difference;
        let excludes_zero = low > 0.0 || high < 0.0;
        excludes_zero == self.is_noise && low.is_finite()
    }
}

impl Results {
    /// The name of the metric that ranks the contestants, or `metric` if none was computed.
    pub(super) fn decisive(&self) -> &str {
        match self.metrics.first() {
            Some(metric) => metric,
            None => "metric",
        }
    }

    /// The contestant with the best mean; `None` if nothing was evaluated.
    pub(super) fn best(&self) -> Option<&Contestant> {
        self.contestants.first()
    }

    /// The contestant that keeps the order of the first stage.
    pub(super) fn first_stage(&self) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.kind == Kind::None)
    }

    /// All contestants except the first stage, best first.
    pub(super) fn rerankers(&self) -> impl Iterator<Item = &Contestant> {
        self.contestants.iter().filter(|contestant| contestant.kind != Kind::None)
    }

    /// Rerankers that may be as good as the best contestant, which is not one of them.
    pub(super) fn peers(&self) -> Vec<&Contestant> {
        let mut peers = Vec::new();
        for contestant in self.rerankers() {
            if let Some(comparison) = &contestant.against_best
                && comparison.is_noise
            {
                peers.push(contestant);
            }
        }
        peers
    }

    /// Returns true if the first stage has every query's candidates in the order of their grades, over enough queries
    /// that it looks like the order of the judgments and not of a search.
    pub(super) fn is_first_stage_sorted_by_grade(&self) -> bool {
        let collection = &self.collection;
        let left_out = &collection.left_out;
        let alike = collection.undecidable_queries + left_out.queries_without_candidates;
        left_out.queries_sorted_by_grade >= SORTED_BY_HAND
            && left_out.queries_sorted_by_grade + alike == collection.queries
    }

    /// Returns true if the first stage has the best mean, over so few queries that some reranker may be better.
    pub(super) fn is_lead_of_first_stage_unclear(&self) -> bool {
        self.best().is_some_and(|best| best.kind == Kind::None)
            && self.collection.queries < FEW_QUERIES
            && self.rerankers().any(|contestant| contestant.standing_to_first_stage() == Some(Standing::Noise))
    }

    /// The conclusion on `contestant` in a few words, as [`Contestant::verdict`], which knows nothing of the others.
    pub(super) fn verdict(&self, contestant: &Contestant) -> String {
        if contestant.kind == Kind::None && self.is_first_stage_sorted_by_grade() {
            return SORTED_BY_GRADE.to_owned();
        }
        if contestant.kind == Kind::None && self.is_lead_of_first_stage_unclear() {
            return format!("{HIGHEST_MEAN}; {TOO_FEW}");
        }
        contestant.verdict()
    }

    /// Values of the decisive metric before and after `contestant` reranked, in the order of [`Results::queries`].
    /// Queries without a finite value on both sides are left out.
    pub(super) fn changes(&self, contestant: &Contestant) -> Vec<Change> {
        let metric = self.decisive();
        let Some(first_stage) = self.first_stage() else { return Vec::new() };
        let by_query = first_stage.by_query.iter().zip(&contestant.by_query).take(self.queries.len());
        let mut changes = Vec::new();
        for (query, (values_before, values_after)) in by_query.enumerate() {
            let Some(&before) = values_before.get(metric) else { continue };
            let Some(&after) = values_after.get(metric) else { continue };
            let change = Change { query, before, after };
            if change.difference().is_finite() {
                changes.push(change);
            }
        }
        changes
    }
}

impl Contestant {
    /// The estimate of `metric`, if its mean is finite.
    pub(super) fn estimate(&self, metric: &str) -> Option<Estimate> {
        let estimate = *self.metrics.get(metric)?;
        estimate.mean.is_finite().then_some(estimate)
    }

    /// US dollars for 1,000 queries, if known.
    pub(super) fn usd(&self) -> Option<f64> {
        usd(self.cost.as_ref())
    }

    /// The standing against the best contestant; `None` for the best one.
    pub(super) fn standing_to_best(&self) -> Option<Standing> {
        self.against_best.as_ref().map(Standing::of)
    }

    /// The standing against the first stage; `None` for the first stage itself.
    pub(super) fn standing_to_first_stage(&self) -> Option<Standing> {
        self.against_none.as_ref().map(Standing::of)
    }

    /// The conclusion in a few words, such as `best`, `as good as the best` or `worse, p=0.003; not better than none`.
    /// The number of answered queries follows if some failed.
    fn verdict(&self) -> String {
        let mut verdict = self.merit();
        let failed: usize = self.failures.values().sum();
        if failed > 0 {
            let queries = self.by_query.len();
            let answered = queries.saturating_sub(failed);
            verdict.push_str(&format!("; answered {answered} of {queries}"));
        }
        verdict
    }

    /// The verdict without the number of answered queries.
    fn merit(&self) -> String {
        // Over few queries a large difference may be chance, too: nothing shows that two contestants are alike.
        let undecided = if self.by_query.len() < FEW_QUERIES { TOO_FEW } else { "as good as the best" };
        let standing = self.standing_to_first_stage();
        let verdict = match &self.against_best {
            // The first stage may have the same quality for free, so the highest mean alone does not make it the best.
            None if matches!(standing, Some(Standing::Noise | Standing::Worse)) => HIGHEST_MEAN.to_owned(),
            None => "best".to_owned(),
            Some(comparison) if Standing::of(comparison) == Standing::Worse => {
                format!("worse, {}", probability(comparison.p_adjusted))
            }
            Some(_) => undecided.to_owned(),
        };
        match standing {
            None | Some(Standing::Better) => verdict,
            Some(Standing::Noise) if undecided == TOO_FEW && verdict == TOO_FEW => verdict,
            Some(Standing::Noise) if undecided == TOO_FEW && self.against_best.is_none() => {
                format!("{verdict}; {TOO_FEW}")
            }
            Some(Standing::Noise) => format!("{verdict}; not better than none"),
            Some(Standing::Worse) => format!("{verdict}; worse than none"),
        }
    }
}

/// The effect of a reranker on one query, in values of the decisive metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Index into [`Results::queries`].
    pub query: usize,
    /// Value in the order of the first stage.
    pub before: f64,
    /// Value in the contestant's order.
    pub after: f64,
}

impl Change {
    /// `after` minus `before`; 0 if they differ only by rounding.
    pub(super) fn difference(self) -> f64 {
        let difference = self.after - self.before;
        // The same gains summed in another order differ in their last digits.
        if difference.abs() < 1e-9 { 0.0 } else { difference }
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
        assert_eq!(verdict(Some(compared(-0.01, 0.4)), better), "as good as the best");
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
        assert_eq!(verdict(Some(compared(0.0, 0.01)), None), "as good as the best");
        contestant.failures = [("upstream_timeout".to_owned(), 2), ("upstream_rejected".to_owned(), 1)].into();
        assert_eq!(contestant.verdict(), "as good as the best; answered 57 of 60");

        contestant.failures.clear();
        contestant.by_query.truncate(10);
        let mut verdict = |best: Option<Comparison>, none: Option<Comparison>| {
            contestant.against_best = best;
            contestant.against_none = none;
            contestant.verdict()
        };
        let noise = Some(compared(0.4, 0.1));
        assert_eq!(verdict(None, noise), "highest mean; too few queries to tell");
        assert_eq!(verdict(noise, noise), "too few queries to tell");
        assert_eq!(verdict(noise, better), "too few queries to tell");
        assert_eq!(verdict(noise, Some(compared(-0.4, 0.01))), "too few queries to tell; worse than none");
        assert_eq!(verdict(Some(compared(-0.2, 0.0001)), noise), "worse, p<0.001; not better than none");
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
