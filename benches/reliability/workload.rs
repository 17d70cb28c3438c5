//! What is asked, and what the right answer is: a score is a hash of its provider, query and passage.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

/// Scores have six decimals.
const STEPS: u32 = 1_000_000;

/// A query and its passages.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    query: String,
    passages: Vec<String>,
}

/// What an answer of status 200 is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every score is that of the upstream which the answer names.
    Right { by_fallback: bool },
    /// No scores, and it says so.
    Degraded,
    /// A score that nobody gave, a document that is missing or comes twice, or a wrong order.
    Wrong,
}

/// The score of a pair, in millionths.
pub(crate) fn score(provider: &str, query: &str, passage: &str) -> u32 {
    let hash = pair(provider, query, passage);
    u32::try_from(hash % u64::from(STEPS)).unwrap()
}

/// What tells a pair from every other.
pub(crate) fn pair(provider: &str, query: &str, passage: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (provider, query, passage).hash(&mut hasher);
    hasher.finish()
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Scored>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    relevance_score: Option<f64>,
}

#[derive(Deserialize)]
struct Meta {
    rerankd: Provenance,
}

#[derive(Deserialize)]
struct Provenance {
    upstream: Option<String>,
    reranked: bool,
    fallbacks: usize,
}

impl Question {
    /// Query number `query` and the passages of these numbers.
    pub(crate) fn new(query: u64, passages: impl IntoIterator<Item = u64>) -> Self {
        let passage = |number| format!("passage {number} {}", "of words that mean little ".repeat(8));
        Self { query: format!("query {query}"), passages: passages.into_iter().map(passage).collect() }
    }

    /// A question like no other.
    pub(crate) fn unique(number: u64, passages: u64) -> Self {
        Self::new(number, number * 1_000..number * 1_000 + passages)
    }

    pub(crate) fn body(&self) -> Bytes {
        json!({ "query": self.query, "documents": self.passages }).to_string().into()
    }

    /// Holds an answer against what the upstream that it names must have said.
    pub(crate) fn judge(&self, answer: &[u8]) -> Verdict {
        let Ok(Answer { results, meta: Meta { rerankd } }) = serde_json::from_slice(answer) else {
            return Verdict::Wrong;
        };
        let mut seen = vec![false; self.passages.len()];
        let is_whole = results.len() == seen.len()
            && results
                .iter()
                .all(|result| seen.get_mut(result.index).is_some_and(|seen| !std::mem::replace(seen, true)));
        let is_right = match &rerankd.upstream {
            Some(upstream) => self.is_scored_by(upstream, &results),
            None => !rerankd.reranked && results.iter().all(|result| result.relevance_score.is_none()),
        };
        match (is_whole && is_right, rerankd.reranked) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right { by_fallback: rerankd.fallbacks > 0 },
            (true, false) => Verdict::Degraded,
        }
    }

    fn is_scored_by(&self, upstream: &str, results: &[Scored]) -> bool {
        let given = |result: &Scored| result.relevance_score.unwrap_or(f64::NAN);
        let wanted =
            |result: &Scored| f64::from(score(upstream, &self.query, &self.passages[result.index])) / f64::from(STEPS);
        results.iter().all(|result| given(result).total_cmp(&wanted(result)).is_eq())
            && results.is_sorted_by(|left, right| given(left) >= given(right))
    }
}
