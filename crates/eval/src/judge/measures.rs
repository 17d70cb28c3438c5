//! The metrics of an evaluation, `trec_eval`'s and AutoRAG's under one type.

use super::Criteria;
use crate::autorag_metrics::AutoragMetric;
use crate::collection::{Collection, JudgedQuery, PassageRecord};
use crate::ranking_metrics::Metric;

/// A metric of either kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    /// As `trec_eval` defines it.
    Trec(Metric),
    /// As AutoRAG computes it, on this many passages from the top.
    Autorag(AutoragMetric, usize),
}

impl Measure {
    /// The metric that contestants are sorted by, and that significance and the Pareto front go by; `choose` goes by
    /// AutoRAG's metrics if they are wanted.
    pub(super) const fn decisive(k: usize) -> Self {
        Self::Trec(Metric::Ndcg(k))
    }

    /// All metrics of a report, the decisive one first.
    pub(super) fn all(criteria: &Criteria) -> Vec<Self> {
        let k = criteria.k;
        let mut measures = vec![
            Self::decisive(k),
            Self::Trec(Metric::ReciprocalRank(k)),
            Self::Trec(Metric::AveragePrecision),
            Self::Trec(Metric::Precision(k)),
            Self::Trec(Metric::Recall(k)),
            Self::Trec(Metric::F1(k)),
        ];
        if criteria.autorag {
            for metric in AutoragMetric::ALL {
                measures.push(Self::Autorag(metric, k));
            }
        }
        measures
    }

    /// The key of the metric in `results.json`; `autorag_` keeps the two families apart.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Trec(metric) => metric.to_string(),
            Self::Autorag(metric, _) => format!("autorag_{}", metric.name()),
        }
    }

    pub(super) const fn definition(&self) -> &'static str {
        match self {
            Self::Trec(metric) => metric.definition(),
            Self::Autorag(metric, _) => metric.definition(),
        }
    }

    pub(super) const fn is_autorag(&self) -> bool {
        matches!(self, Self::Autorag(..))
    }

    /// The value of `ranking`, which holds indices into the query's candidates; `None` where the metric is not defined.
    pub(super) fn value(&self, collection: &Collection, query: &JudgedQuery, ranking: &[usize]) -> Option<f64> {
        match self {
            Self::Trec(metric) => {
                let mut grades = Vec::with_capacity(ranking.len());
                for &index in ranking {
                    grades.push(query.grade(candidate(collection, query, index)));
                }
                let judged: Vec<i32> = query.judgments.values().copied().collect();
                Some(metric.value(&grades, &judged))
            }
            Self::Autorag(metric, k) => {
                // AutoRAG's metrics have no depth of their own; its `top_k` cuts the list before.
                let top = ranking.iter().take(*k);
                let returned: Vec<&str> = top.map(|&index| &*candidate(collection, query, index).id).collect();
                let mut groups: Vec<Vec<&str>> = Vec::with_capacity(query.groups.len());
                for group in &query.groups {
                    groups.push(group.iter().map(String::as_str).collect());
                }
                metric.value(&groups, &returned)
            }
        }
    }
}

/// The passage at an index of the query's candidates.
fn candidate<'a>(collection: &'a Collection, query: &JudgedQuery, index: usize) -> &'a PassageRecord {
    &collection.passages[query.candidates[index]]
}
