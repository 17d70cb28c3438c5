//! What came of one query: a line of the ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a contestant made of one query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// A ranking.
    Ranked(Ranked),
    /// None.
    Failed(Failed),
}

/// A ranking of the query's candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranked {
    /// The query's id.
    pub query: String,
    /// Places of the candidates with their scores, best first; `None` for passages that the model did not score.
    pub ranking: Vec<(usize, Option<f64>)>,
    /// `UPSTREAM/MODEL` that answered; `None` if nobody did and the candidates came back as they were.
    pub answered_by: Option<String>,
    /// Targets that failed before one answered.
    #[serde(default)]
    pub fallbacks: usize,
    /// Why the answer is less than what was asked for; empty in a good answer.
    pub degraded: Vec<String>,
    /// Milliseconds that the answer took; `None` if some of its scores were known before.
    pub cold_ms: Option<f64>,
    /// Milliseconds that the same request took right after it.
    pub warm_ms: Option<f64>,
    /// Tokens charged, if the provider told and nothing was known before.
    pub tokens: Option<u64>,
    /// Search units charged, under the same conditions.
    pub search_units: Option<u64>,
    /// US dollars at list price, under the same conditions and if the price is known.
    pub cost_usd: Option<f64>,
}

/// A query that got no answer, and the scores that were paid for all the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// The query's id.
    pub query: String,
    /// The code of the error.
    pub code: String,
    /// What happened.
    pub message: String,
    /// `UPSTREAM/MODEL` to the scores that it had given by then, by the place of the candidate.
    pub known: BTreeMap<String, Vec<(usize, f64)>>,
}

impl Answer {
    /// The ranking, if there is one.
    #[must_use]
    pub fn ranked(&self) -> Option<&Ranked> {
        match self {
            Self::Ranked(ranked) => Some(ranked),
            Self::Failed(_) => None,
        }
    }

    /// The failure, if it is one.
    #[must_use]
    pub fn failed(&self) -> Option<&Failed> {
        match self {
            Self::Ranked(_) => None,
            Self::Failed(failed) => Some(failed),
        }
    }

    /// Whether the first target gave a ranking. What a fallback gave, because something failed that may be well by now, is not the last word.
    pub(super) fn is_final(&self) -> bool {
        self.ranked().is_some_and(|ranked| ranked.fallbacks == 0)
    }

    /// The query's id.
    #[must_use]
    pub fn query(&self) -> &str {
        match self {
            Self::Ranked(ranked) => &ranked.query,
            Self::Failed(failed) => &failed.query,
        }
    }

    /// What `target` is known to have scored of `count` candidates, by their places.
    pub(super) fn scores_of(&self, target: &str, count: usize) -> Vec<Option<f64>> {
        let known: BTreeMap<usize, f64> = match self {
            Self::Ranked(ranked) if ranked.answered_by.as_deref() == Some(target) => {
                ranked.ranking.iter().filter_map(|&(place, score)| Some((place, score?))).collect()
            }
            Self::Ranked(_) => BTreeMap::new(),
            Self::Failed(failed) => failed.known.get(target).into_iter().flatten().copied().collect(),
        };
        (0..count).map(|place| known.get(&place).copied()).collect()
    }
}

impl Failed {
    /// A failure that left nothing behind.
    #[must_use]
    pub fn new(query: &str, code: &str, message: &str) -> Self {
        Self { query: query.to_owned(), code: code.to_owned(), message: message.to_owned(), known: BTreeMap::new() }
    }

    /// Keeps what `target` had scored, by the places of the candidates.
    pub(super) fn keep(&mut self, target: &str, scores: &[Option<f64>]) {
        let known: Vec<_> = (0..).zip(scores).filter_map(|(place, score)| Some((place, (*score)?))).collect();
        if !known.is_empty() {
            self.known.insert(target.to_owned(), known);
        }
    }
}
