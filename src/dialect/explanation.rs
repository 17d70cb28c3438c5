//! The explanation of a result, as answers write it.
//!
//! The docs of types that derive `ToSchema` are published: they become the descriptions in `openapi/openapi.json`.

use rerankd_core::types::response::{CountingChunk, RerankResponse};
use serde::Serialize;
use utoipa::ToSchema;

/// The text that a result was scored for, and the move in rank.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResultExplanation)]
pub(super) struct ResultExplanationBody<'a> {
    /// Rank in the request's order, from 1.
    #[schema(example = 2)]
    rank_before: usize,
    /// Rank in the answer, from 1.
    #[schema(example = 1)]
    rank_after: usize,
    /// Characters of the text that the score was computed for, after `rank_fields`, truncation and chunking; 0 if no
    /// model gave a score.
    #[schema(example = 29)]
    scored_characters: usize,
    /// True if a beginning of the document alone was scored, by rerankd's own cut or the embedded cross-encoder's. Null
    /// where a provider may have read less than it was sent, which it does not tell: the pair has over 512 tokens,
    /// estimated high, or over `max_tokens_per_doc`.
    #[schema(example = false)]
    truncated: Option<bool>,
    /// The chunk whose score counts; only for a document that was cut into several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = CountingChunkBody)]
    chunk: Option<CountingChunkBody>,
    /// Words of the query that the lexical scorer found in the document, in lower case; only with `local/lexical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Vec<String>, example = json!(["capital", "korea"]))]
    matched_words: Option<&'a [String]>,
    /// True if the selector picked the document, false if it left it out; only for selectors, which give no scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = bool, example = true)]
    picked: Option<bool>,
}

/// The chunk of a document whose score counts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CountingChunk)]
struct CountingChunkBody {
    /// Number of the chunk, from 1.
    #[schema(example = 2)]
    number: usize,
    /// Number of all chunks of the document.
    #[schema(example = 4)]
    of: usize,
}

impl<'a> ResultExplanationBody<'a> {
    /// The explanation of the result at index `at` of the ranking.
    pub(super) fn of(response: &'a RerankResponse, at: usize) -> Self {
        let rank_before = response.ranking[at].position + 1;
        let unscored = Self {
            rank_before,
            rank_after: at + 1,
            scored_characters: 0,
            truncated: Some(false),
            chunk: None,
            matched_words: None,
            picked: None,
        };
        // An answer in input order has none.
        let Some(explanation) = response.explanations.get(at) else { return unscored };
        Self {
            scored_characters: explanation.scored_characters,
            truncated: explanation.is_truncated,
            chunk: explanation.chunk.map(|CountingChunk { number, of }| CountingChunkBody { number, of }),
            matched_words: explanation.matched_words.as_deref(),
            picked: explanation.is_picked,
            ..unscored
        }
    }
}
