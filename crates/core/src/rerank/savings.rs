//! The money that known scores saved, in the unit in which the provider bills.
//!
//! ```text
//!  pairs       known ×99, new ×1            price without the known ones   saved
//!  by token    99 pairs' tokens + 1 pair's  1 pair's tokens                99 pairs' tokens
//!  by search   1 unit of 100 documents      1 unit of 100 documents        nothing
//!  by call     1 call                       1 call                         nothing
//! ```
//! Both sides are counted here alike, never one here and one by the provider: an answer without known scores has saved
//! exactly nothing.

use super::plan::Plan;
use crate::provider::Scoring;
use crate::route::Target;
use crate::types::as_f64;
use crate::types::facts::{BILLED_DOCUMENT_TOKENS, Billing, SEARCH_UNIT_DOCUMENTS};
use crate::types::request::RerankRequest;
use crate::types::response::{PairCounts, Saved, ScoreSource};

/// Bytes of text of one token, for an amount of money. Tokenizers of rerankers take about four bytes of English, and of
/// Korean, Japanese and Chinese. [`crate::upstream::size::estimate_tokens`] counts a third more, because it must never
/// be too low.
const BYTES_PER_TOKEN: usize = 4;

/// The price of the scores of `plan` that were known, or came from calls of other requests.
pub(super) fn saved(plan: &Plan, target: &Target, request: &RerankRequest) -> Saved {
    match target.facts.billing {
        Billing::Free => Saved::NOTHING,
        Billing::Unknown => Saved::default(),
        Billing::SearchUnits(usd) => {
            let units = saved_units(plan, target.passages_per_call(), request);
            Saved { usd: Some(usd * as_f64(units.count)), is_estimate: units.is_estimate }
        }
        Billing::Calls(usd) => {
            let calls = saved_calls(plan, target.passages_per_call());
            // Calls that are also cut by the size of texts are counted here by their passages alone.
            Saved { usd: Some(usd * as_f64(calls)), is_estimate: calls > 0 && target.limits_call_text() }
        }
        Billing::Tokens(_) => {
            let tokens = saved_tokens(plan, target.facts.scoring, request);
            Saved { usd: target.facts.billing.cost(0, Some(tokens), None), is_estimate: tokens > 0 }
        }
    }
}

/// Calls for all scores of `plan`, less those for the scores that the request had to have computed.
fn saved_calls(plan: &Plan, max_passages: usize) -> usize {
    let PairCounts { scored, hit, coalesced, .. } = plan.counts();
    (scored + hit + coalesced).div_ceil(max_passages) - scored.div_ceil(max_passages)
}

/// Search units that were not billed.
struct SavedUnits {
    count: usize,
    /// True if a document is so long that it may count as several.
    is_estimate: bool,
}

/// Search units of all scores of `plan`, less those of the scores that the request had to have computed.
fn saved_units(plan: &Plan, max_passages: usize, request: &RerankRequest) -> SavedUnits {
    let mut all = SearchUnits::of_calls(max_passages);
    let mut computed = SearchUnits::of_calls(max_passages);
    let mut has_known = false;
    let mut has_long = false;
    for (source, text) in plan.sourced_texts(&request.passages) {
        let documents = billed_documents(request.query.len() + text.len());
        match source {
            ScoreSource::Scored => computed.add(documents),
            ScoreSource::Cache | ScoreSource::Coalesced => has_known = true,
            ScoreSource::Stale | ScoreSource::Refused | ScoreSource::Blank | ScoreSource::Unscored => continue,
        }
        has_long |= documents > 1;
        all.add(documents);
    }
    SavedUnits { count: all.count.saturating_sub(computed.count), is_estimate: has_known && has_long }
}

/// Documents that a pair of this many bytes counts as.
pub(super) fn billed_documents(pair_bytes: usize) -> usize {
    (pair_bytes / BYTES_PER_TOKEN).div_ceil(BILLED_DOCUMENT_TOKENS).max(1)
}

/// A count of search units over passages that are cut into calls.
struct SearchUnits {
    max_passages: usize,
    count: usize,
    /// Passages of the call that is being filled.
    passages: usize,
    /// Documents that they count as.
    documents: usize,
}

impl SearchUnits {
    /// No passages yet, in calls of at most `max_passages`.
    const fn of_calls(max_passages: usize) -> Self {
        Self { max_passages, count: 0, passages: 0, documents: 0 }
    }

    /// Adds a passage that counts as this many documents.
    fn add(&mut self, documents: usize) {
        if self.passages == self.max_passages {
            self.passages = 0;
            self.documents = 0;
        }
        let before = self.documents.div_ceil(SEARCH_UNIT_DOCUMENTS);
        self.passages += 1;
        self.documents += documents;
        self.count += self.documents.div_ceil(SEARCH_UNIT_DOCUMENTS) - before;
    }
}

/// Estimated tokens of the known pairs. A pointwise model reads the query once a passage, a listwise one once a list.
fn saved_tokens(plan: &Plan, scoring: Scoring, request: &RerankRequest) -> u64 {
    let mut pairs = 0;
    let mut bytes = 0;
    for (source, text) in plan.sourced_texts(&request.passages) {
        if matches!(source, ScoreSource::Cache | ScoreSource::Coalesced) {
            pairs += 1;
            bytes += text.len();
        }
    }
    let queries = match scoring {
        Scoring::Pointwise => pairs,
        Scoring::Listwise | Scoring::Selector => pairs.min(1),
    };
    ((bytes + queries * request.query.len()) / BYTES_PER_TOKEN) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(documents: impl IntoIterator<Item = usize>, max_passages: usize) -> usize {
        let mut units = SearchUnits::of_calls(max_passages);
        for count in documents {
            units.add(count);
        }
        units.count
    }

    #[test]
    fn every_started_hundred_of_a_call_is_a_unit() {
        for (passages, max_passages, expected) in
            [(0, 1000, 0), (1, 1000, 1), (100, 1000, 1), (101, 1000, 2), (1000, 1000, 10), (1001, 1000, 11), (3, 2, 2)]
        {
            assert_eq!(units(vec![1; passages], max_passages), expected, "{passages} in calls of {max_passages}");
        }
        assert_eq!(units([60, 41], 1000), 2, "a long document counts as several");
        assert_eq!(units([250], 1000), 3);
    }

    #[test]
    fn a_document_counts_once_for_each_started_500_tokens() {
        for (bytes, expected) in [(0, 1), (2_000, 1), (2_003, 1), (2_004, 2), (4_000, 2), (8_004, 5)] {
            assert_eq!(billed_documents(bytes), expected, "{bytes} bytes");
        }
    }
}
