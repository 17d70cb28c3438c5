//! What a ranking is measured by.

use super::Terms;
use crate::eval::autorag::AutoragMetric;
use crate::eval::collection::{Collection, JudgedQuery};
use crate::eval::metrics::Metric;

/// One metric.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    /// As `trec_eval` defines it.
    Trec(Metric),
    /// As AutoRAG computes it, on this many passages.
    Autorag(AutoragMetric, usize),
}

impl Measure {
    /// All that are told, the decisive one first.
    pub(super) fn all(terms: &Terms) -> Vec<Self> {
        let k = terms.k;
        let trec = [
            Metric::Ndcg(k),
            Metric::ReciprocalRank(k),
            Metric::AveragePrecision,
            Metric::Precision(k),
            Metric::Recall(k),
            Metric::F1(k),
        ];
        let autorag = AutoragMetric::ALL.into_iter().filter(|_| terms.autorag);
        trec.map(Self::Trec).into_iter().chain(autorag.map(|metric| Self::Autorag(metric, k))).collect()
    }

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

    /// What `ranking`, places among the query's candidates, is worth; `None` where the metric is not defined.
    pub(super) fn value(&self, collection: &Collection, query: &JudgedQuery, ranking: &[usize]) -> Option<f64> {
        let passage = |&place: &usize| &collection.passages[query.candidates[place]];
        match self {
            Self::Trec(metric) => {
                let grades: Vec<_> = ranking.iter().map(|place| query.grade(passage(place))).collect();
                let judged: Vec<i32> = query.judgments.values().copied().collect();
                Some(metric.value(&grades, &judged))
            }
            Self::Autorag(metric, k) => {
                let returned: Vec<&str> = ranking.iter().take(*k).map(|place| &*passage(place).id).collect();
                let groups: Vec<Vec<&str>> =
                    query.groups.iter().map(|group| group.iter().map(String::as_str).collect()).collect();
                metric.value(&groups, &returned)
            }
        }
    }
}
