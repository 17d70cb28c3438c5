//! The answer to one query, as a line of the answer log holds it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A contestant's answer to one query.
///
/// The names of the fields are the format of the answer log. They also tell the variants apart, hence
/// `deny_unknown_fields`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// An order of all candidates.
    Ranked(Ranked),
    /// An error, after all retries and fallbacks.
    Failed(Failed),
}

/// A ranking of the query's candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranked {
    /// Id of the query, as in the collection.
    #[serde(rename = "query")]
    pub query_id: String,
    /// Indices of the candidates with their scores, best first; `None` for passages that the model did not score.
    pub ranking: Vec<(usize, Option<f64>)>,
    /// `UPSTREAM/MODEL` that answered; `None` if the candidates came back unranked.
    pub answered_by: Option<String>,
    /// Number of targets that failed before one answered.
    #[serde(default)]
    pub fallbacks: usize,
    /// Reasons why the answer is worse than requested; empty in a good answer.
    pub degraded: Vec<String>,
    /// Milliseconds until the answer; `None` if some of its scores were cached.
    pub cold_ms: Option<f64>,
    /// Milliseconds that the same request took right after it, all from the cache; `None` if the cache could not
    /// answer.
    pub warm_ms: Option<f64>,
    /// Tokens charged; `None` if the provider did not say, or some scores were cached.
    pub tokens: Option<u64>,
    /// Search units charged; `None` as with `tokens`.
    pub search_units: Option<u64>,
    /// US dollars at list price; `None` as with `tokens`, or if the price is unknown.
    pub cost_usd: Option<f64>,
}

/// A query without an answer, and the scores that were paid for all the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Id of the query, as in the collection.
    #[serde(rename = "query")]
    pub query_id: String,
    /// Code of the error, as in `docs/errors.md`.
    pub code: String,
    /// Message of the error.
    pub message: String,
    /// `UPSTREAM/MODEL` to the scores that it had given by then, each with the index of the candidate.
    pub known: BTreeMap<String, Vec<(usize, f64)>>,
}

impl Ranked {
    /// The ranking of a query without candidates, about which nobody was asked.
    pub(crate) fn of_nothing(query_id: &str) -> Self {
        Self {
            query_id: query_id.to_owned(),
            ranking: Vec::new(),
            answered_by: None,
            fallbacks: 0,
            degraded: Vec::new(),
            cold_ms: None,
            warm_ms: None,
            tokens: None,
            search_units: None,
            cost_usd: None,
        }
    }
}

impl Answer {
    /// The ranking; `None` of a failure.
    #[must_use]
    pub fn ranked(&self) -> Option<&Ranked> {
        match self {
            Self::Ranked(ranked) => Some(ranked),
            Self::Failed(_) => None,
        }
    }

    /// The failure; `None` of a ranking.
    #[must_use]
    pub fn failed(&self) -> Option<&Failed> {
        match self {
            Self::Ranked(_) => None,
            Self::Failed(failed) => Some(failed),
        }
    }

    /// Returns true if the first target gave a ranking. A fallback's ranking is provisional: the first target may have
    /// recovered by the next run.
    pub(super) fn is_final(&self) -> bool {
        self.ranked().is_some_and(|ranked| ranked.fallbacks == 0)
    }

    /// Id of the query, as in the collection.
    #[must_use]
    pub fn query_id(&self) -> &str {
        match self {
            Self::Ranked(ranked) => &ranked.query_id,
            Self::Failed(failed) => &failed.query_id,
        }
    }

    /// The scores that `target`, an `UPSTREAM/MODEL`, gave: one for each of `count` candidates; `None` where it gave
    /// none.
    pub(super) fn scores_of(&self, target: &str, count: usize) -> Vec<Option<f64>> {
        let mut scores = vec![None; count];
        match self {
            Self::Ranked(ranked) if ranked.answered_by.as_deref() == Some(target) => {
                for &(candidate_index, score) in &ranked.ranking {
                    // The answer log is a file that can be edited, so an index may be anything.
                    if let (Some(slot), Some(_)) = (scores.get_mut(candidate_index), score) {
                        *slot = score;
                    }
                }
            }
            Self::Ranked(_) => {}
            Self::Failed(failed) => {
                for &(candidate_index, score) in failed.known.get(target).into_iter().flatten() {
                    if let Some(slot) = scores.get_mut(candidate_index) {
                        *slot = Some(score);
                    }
                }
            }
        }
        scores
    }
}

impl Failed {
    /// A failure without any known score.
    #[must_use]
    pub fn new(query_id: &str, code: &str, message: &str) -> Self {
        Self {
            query_id: query_id.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            known: BTreeMap::new(),
        }
    }

    /// Keeps the scores that `target`, an `UPSTREAM/MODEL`, gave: one for each candidate, `None` where it gave none.
    pub(super) fn keep(&mut self, target: &str, scores: &[Option<f64>]) {
        let mut known = Vec::new();
        for (candidate_index, score) in scores.iter().enumerate() {
            if let Some(score) = score {
                known.push((candidate_index, *score));
            }
        }
        if !known.is_empty() {
            self.known.insert(target.to_owned(), known);
        }
    }
}
