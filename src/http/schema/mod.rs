//! The native dialect's request and answer, as the OpenAPI document shows them.
//!
//! These types are only descriptions, and no value of them exists: the dialect reads raw fields and writes borrowed
//! ones. `tests/it/contract.rs` compares both, in both directions.

pub mod dialects;

use serde::Serialize;
use utoipa::ToSchema;

use crate::dialect::provenance::{ProvenanceBody, ScoreSourceName};

/// A query and its passages. Unknown fields are ignored, and null means the same as an absent field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "query": "Which city is the capital of Korea?",
    "documents": ["Busan is Korea's largest port.", {"id": "a1", "text": "Seoul is the capital of Korea."}],
    "top_n": 1
}))]
pub struct RerankBody {
    /// Name of the model; `default` if left out. See `GET /v1/models`.
    #[schema(required = false, nullable, example = "default")]
    model: String,
    /// Search text; must not be blank.
    #[schema(min_length = 1, pattern = r"\S", example = "Which city is the capital of Korea?")]
    query: String,
    /// Texts to score, at most `server.max_documents` (10,000 unless configured).
    documents: Vec<InputDocument>,
    /// Number of results to return; all if left out.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_n: u32,
    /// Voyage's name for `top_n`. A body with this field is treated as a request in Voyage's dialect.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_k: u32,
    /// Fields of an object to score, in this order, one a line. `metadata.title` names a field of a nested object.
    #[schema(required = false, nullable, max_items = 32, example = json!(["title", "text"]))]
    rank_fields: Vec<String>,
    /// True to return each result with its document.
    #[schema(required = false, nullable, default = false)]
    return_documents: bool,
    /// Definition of "relevant" for models that follow instructions. Other models ignore it and say so in `warnings`.
    #[schema(required = false, nullable, example = "Prefer official sources.")]
    instruction: String,
    /// Length in tokens at which the provider cuts passages, if it can; 0 for no limit.
    #[schema(required = false, nullable, minimum = 0, example = 512)]
    max_tokens_per_doc: u32,
    /// Deadline in milliseconds from the start of the request. The server's own applies if it is lower.
    #[schema(required = false, nullable, minimum = 1, example = 300)]
    timeout_ms: u32,
    /// True to report the source of each score and the targets that were tried.
    #[schema(required = false, nullable, default = false)]
    explain: bool,
}

/// A passage, as its text or as an object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum InputDocument {
    /// The text itself.
    Text(String),
    /// A text with further fields. Only the text is sent upstream; without one, the whole object is written as text.
    Object(InputObject),
}

/// A passage with further fields, all of which are returned with the document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "a1", "text": "Seoul is the capital of Korea.", "metadata": {"page": 3}}))]
pub struct InputObject {
    /// Any value; returned with the result.
    #[schema(required = false, nullable, example = "a1")]
    id: serde_json::Value,
    /// Text to score.
    #[schema(required = false, nullable)]
    text: String,
}

/// The documents, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RerankAnswer {
    /// Id of the request, the same as in the header `X-Request-Id`.
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    id: String,
    /// `rerank` at `/rerank`, `list` at paths with a version.
    #[schema(example = "rerank")]
    object: String,
    /// Name of the model that was used.
    #[schema(example = "default")]
    model: String,
    /// Results, best first, ties in input order. An answer that is not reranked has every document in input order.
    results: Vec<RerankResult>,
    /// The same results for clients of Voyage and OpenAI-like servers, with documents as texts; not at `/v2/rerank`.
    #[schema(required = false)]
    data: Vec<DataResult>,
    usage: AnswerUsage,
    meta: AnswerMeta,
}

/// One document with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct RerankResult {
    /// Position of the document in the request, from 0.
    #[schema(example = 1)]
    index: usize,
    /// Id of the document, if the request had one.
    #[schema(required = false, example = "a1")]
    id: serde_json::Value,
    /// Score; higher is more relevant, see `meta.rerankd.score_scale`. Null in an answer that is not reranked, and for
    /// blank documents on a scale without a floor.
    #[schema(example = 0.98)]
    relevance_score: Option<f64>,
    /// The document, if `return_documents` was set: the object as it was sent, or `{"text": …}`.
    #[schema(required = false, value_type = Object, example = json!({"text": "Seoul is the capital of Korea."}))]
    document: serde_json::Value,
    /// Source of the score; only with `explain`.
    #[schema(required = false)]
    source: ScoreSourceName,
}

/// One document with its score, in Voyage's format.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataResult {
    #[schema(example = 1)]
    index: usize,
    #[schema(required = false, example = "a1")]
    id: serde_json::Value,
    #[schema(example = 0.98)]
    relevance_score: Option<f64>,
    /// The text, if `return_documents` was set.
    #[schema(required = false, example = "Seoul is the capital of Korea.")]
    document: String,
    #[schema(required = false)]
    source: ScoreSourceName,
}

/// Tokens that providers have read for the request.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub struct AnswerUsage {
    /// The same as `total_tokens`: a reranker generates nothing.
    #[schema(example = 123)]
    prompt_tokens: u64,
    /// Always 0: a reranker generates nothing.
    #[schema(example = 0)]
    completion_tokens: u64,
    /// Tokens as reported by providers; 0 for those that report none.
    #[schema(example = 123)]
    total_tokens: u64,
}

/// Billing, and the provenance of the scores.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerMeta {
    /// Version of Cohere's API; only in Cohere's dialect.
    #[schema(required = false)]
    api_version: ApiVersion,
    billed_units: AnswerBilledUnits,
    tokens: AnswerTokens,
    rerankd: ProvenanceBody<'static>,
}

/// A version of Cohere's API.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiVersion {
    #[schema(example = "2")]
    version: String,
}

/// Tokens under Cohere's names.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerTokens {
    /// The same as `usage.total_tokens`.
    #[schema(example = 123)]
    input_tokens: u64,
    /// Always 0: a reranker generates nothing.
    #[schema(example = 0)]
    output_tokens: u64,
}

/// Units that providers have billed for the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerBilledUnits {
    /// Search units; 0 if the provider bills by tokens or reports nothing.
    #[schema(example = 1)]
    search_units: u64,
    /// Tokens, if the provider reports them.
    #[schema(required = false, example = 123)]
    input_tokens: u64,
}
