//! The list price of what is still to be asked, before anything is asked.

use rerankd_core::provider::Billing;
use rerankd_core::route::Route;
use rerankd_core::upstream::size::estimate_tokens;

use super::{AnswerLog, EvalRun, cache_scope};
use crate::collection::JudgedQuery;

/// Passages of one search unit, as Cohere bills them; a call is charged by started hundreds.
const PASSAGES_PER_SEARCH_UNIT: usize = 100;
/// Tokens of a passage and the query together from which the passage is billed as several.
const TOKENS_PER_BILLED_PASSAGE: usize = 500;

/// Questions that one contestant is still to be asked, and their list price if its first target answers all at once.
///
/// Retries and fallbacks are not part of it, and tokens are estimated, on the high side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostEstimate {
    /// Price of the first target.
    pub billing: Billing,
    /// Number of queries to be sent.
    pub queries: usize,
    /// Number of their passages whose scores are not known yet.
    pub passages: usize,
    /// Number of calls.
    pub calls: u64,
    /// Search units to be charged, as a provider counts that bills by them.
    pub search_units: u64,
    /// Tokens to be charged, with the query once per passage.
    pub tokens: u64,
}

impl CostEstimate {
    /// Nothing to be asked, at this price.
    #[must_use]
    pub const fn nothing(billing: Billing) -> Self {
        Self { billing, queries: 0, passages: 0, calls: 0, search_units: 0, tokens: 0 }
    }

    /// US dollars; `None` if the price is not known, 0 if there is nothing to ask.
    #[must_use]
    pub fn usd(&self) -> Option<f64> {
        if self.queries == 0 {
            return Some(0.0);
        }
        self.billing.cost(self.calls, Some(self.tokens), Some(self.search_units))
    }

    /// Adds a query of which `texts` are the passages to be sent, in calls of at most `passages_per_call`.
    fn add(&mut self, query: &str, texts: &[&str], passages_per_call: usize) {
        let query_tokens = estimate_tokens(query);
        self.queries += 1;
        self.passages += texts.len();
        for call in texts.chunks(passages_per_call.max(1)) {
            self.calls += 1;
            let mut billed = 0;
            for text in call {
                let tokens = query_tokens + estimate_tokens(text);
                self.tokens += tokens as u64;
                billed += tokens.div_ceil(TOKENS_PER_BILLED_PASSAGE).max(1);
            }
            self.search_units += billed.div_ceil(PASSAGES_PER_SEARCH_UNIT) as u64;
        }
    }
}

impl EvalRun<'_> {
    /// The estimate for `route`, less what `answer_log` holds and what the cache knows from other answer logs
    /// ([`EvalRun::fill_cache`]). `None` of an answer log is an empty one.
    #[must_use]
    pub fn estimate(&self, route: &Route, answer_log: Option<&AnswerLog>) -> CostEstimate {
        let target = route.targets.first();
        let billing = target.map_or(Billing::Unknown, |target| target.facts.billing);
        let mut estimate = CostEstimate::nothing(billing);
        let passages_per_call = target.map_or(usize::MAX, |target| target.passages_per_call());
        for query in self.collection.askable() {
            if answer_log.is_some_and(|answer_log| answer_log.has_answer(&query.id)) {
                continue;
            }
            let texts = self.unknown_passages(route, query);
            if !texts.is_empty() {
                estimate.add(&query.text, &texts, passages_per_call);
            }
        }
        estimate
    }

    /// The passages of a query that the first target would be sent.
    fn unknown_passages(&self, route: &Route, query: &JudgedQuery) -> Vec<&str> {
        let mut texts = Vec::with_capacity(query.candidates.len());
        for &index in &query.candidates {
            texts.push(&*self.collection.passages[index].text);
        }
        let Some(target) = route.targets.first() else { return texts };
        let known = self.reranker.known(target, &self.request(query), cache_scope(route));
        let all_known = known.iter().all(Option::is_some);
        // A part of a list means nothing to a listwise model or a selector, so it is sent the whole.
        if target.facts.scoring.is_of_list() && !all_known {
            return texts;
        }
        let mut unknown = Vec::with_capacity(texts.len());
        for (text, score) in texts.into_iter().zip(known) {
            if score.is_none() {
                unknown.push(text);
            }
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(billing: Billing, query: &str, passages: &[&str], passages_per_call: usize) -> CostEstimate {
        let mut estimate = CostEstimate::nothing(billing);
        estimate.add(query, passages, passages_per_call);
        estimate
    }

    #[test]
    fn searches_are_charged_by_started_hundreds_of_a_call() {
        let billing = Billing::SearchUnits(0.002);
        for (passages, passages_per_call, search_units) in [(1, 1000, 1), (100, 1000, 1), (101, 1000, 2), (101, 50, 3)]
        {
            let estimate = of(billing, "q", &vec!["short"; passages], passages_per_call);
            assert_eq!((estimate.search_units, estimate.passages), (search_units, passages));
        }
        // A long passage counts as several.
        let long = "word ".repeat(60_000);
        assert!(of(billing, "q", &[&long], 1000).search_units > 1);
        assert_eq!(of(billing, "q", &["short"], 10).usd(), Some(0.002));
    }

    #[test]
    fn calls_are_charged_whatever_their_size() {
        for (passages, calls, usd) in [(1, 1, 0.25), (50, 1, 0.25), (51, 2, 0.5), (101, 3, 0.75)] {
            let estimate = of(Billing::Calls(0.25), "q", &vec!["text"; passages], 50);
            assert_eq!((estimate.calls, estimate.usd()), (calls, Some(usd)), "{passages}");
        }
    }

    #[test]
    fn tokens_count_the_query_once_a_passage() {
        let one = of(Billing::Tokens(1.0), "a query of some words", &["passage"], 10);
        let three = of(Billing::Tokens(1.0), "a query of some words", &["passage"; 3], 10);
        assert_eq!(three.tokens, 3 * one.tokens);
        assert_eq!(of(Billing::Unknown, "q", &["p"], 10).usd(), None);
        assert_eq!(CostEstimate { queries: 0, ..of(Billing::Unknown, "q", &["p"], 10) }.usd(), Some(0.0));
    }
}
