//! Parts that several replies share.

use serde::Deserialize;

use super::count;

/// One scored passage. Most call the score `relevance_score`; Mixedbread and TEI say `score`.
#[derive(Deserialize)]
pub(super) struct Scored {
    index: i64,
    #[serde(alias = "score")]
    relevance_score: f64,
}

/// `usage`, where only the total matters.
#[derive(Deserialize)]
pub(super) struct TokenUsage {
    #[serde(default)]
    total_tokens: Option<f64>,
}

/// Position and score of each, in the upstream's order.
pub(super) fn scores(results: &[Scored]) -> Vec<(i64, f64)> {
    results.iter().map(|scored| (scored.index, scored.relevance_score)).collect()
}

/// The total, if there is one.
pub(super) fn total_tokens(usage: Option<&TokenUsage>) -> Option<u64> {
    count(usage?.total_tokens)
}
