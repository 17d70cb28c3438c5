//! The native dialect's request and answer as the OpenAPI document shows them.
//!
//! They describe and are never made: the dialect reads raw fields and writes borrowed ones. `tests/it/contract.rs` holds the
//! two together in both directions.

pub mod dialects;

use serde::Serialize;
use utoipa::ToSchema;

use crate::rerank::response::{Provenance, ScoreSource};

/// A query and its passages. Unknown fields are ignored, and null is as good as absent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "query": "Which city is the capital of Korea?",
    "documents": ["Busan is Korea's largest port.", {"id": "a1", "text": "Seoul is the capital of Korea."}],
    "top_n": 1
}))]
pub struct RerankBody {
    /// The model to ask; `default` if left out. See `GET /v1/models`.
    #[schema(required = false, nullable, example = "default")]
    model: String,
    /// The search text; must not be blank.
    #[schema(min_length = 1, pattern = r"\S", example = "Which city is the capital of Korea?")]
    query: String,
    /// The texts to be scored; `server.max_documents` at most (10,000 unless configured).
    documents: Vec<InputDocument>,
    /// How many results to return; all if left out.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_n: u32,
    /// Voyage's name for `top_n`. A body that has it is taken for one of Voyage's clients.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_k: u32,
    /// The fields of an object to score, in this order, a line each; `metadata.title` leads into an object.
    #[schema(required = false, nullable, max_items = 32, example = json!(["title", "text"]))]
    rank_fields: Vec<String>,
    /// Whether results carry their document.
    #[schema(required = false, nullable, default = false)]
    return_documents: bool,
    /// What "relevant" means here, for models that follow instructions; others say so in `warnings`.
    #[schema(required = false, nullable, example = "Prefer official sources.")]
    instruction: String,
    /// Passages longer than this are cut by the provider, where it can; 0 is no limit.
    #[schema(required = false, nullable, minimum = 0, example = 512)]
    max_tokens_per_doc: u32,
    /// Deadline in milliseconds; the server's own holds if it is lower.
    #[schema(required = false, nullable, minimum = 1, example = 300)]
    timeout_ms: u32,
    /// Whether to say where each score came from and which targets were tried.
    #[schema(required = false, nullable, default = false)]
    explain: bool,
}

/// A passage: its text, or an object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum InputDocument {
    /// The text.
    Text(String),
    /// A text with what belongs to it. Only the text is sent upstream; without one, the whole object is laid out as text.
    Object(InputObject),
}

/// A passage with what belongs to it; other fields are kept and returned with the document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "a1", "text": "Seoul is the capital of Korea.", "metadata": {"page": 3}}))]
pub struct InputObject {
    /// Returned with the result.
    #[schema(required = false, nullable, example = "a1")]
    id: serde_json::Value,
    /// The text to be scored.
    #[schema(required = false, nullable)]
    text: String,
}

/// The documents, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RerankAnswer {
    /// The request's id.
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    id: String,
    /// `rerank` at `/rerank`, `list` below a version.
    #[schema(example = "rerank")]
    object: String,
    /// The model that was used.
    #[schema(example = "default")]
    model: String,
    /// Best first; ties in input order. An answer that is not reranked holds every document in input order.
    results: Vec<RerankResult>,
    /// The results again for clients of Voyage and of OpenAI-like servers, where a document is its text; not at `/v2/rerank`.
    #[schema(required = false)]
    data: Vec<DataResult>,
    usage: AnswerUsage,
    meta: AnswerMeta,
}

/// One result.
#[derive(Debug, Serialize, ToSchema)]
pub struct RerankResult {
    /// The document's place in the request, from 0.
    #[schema(example = 1)]
    index: usize,
    /// The document's id, if it came with one.
    #[schema(required = false, example = "a1")]
    id: serde_json::Value,
    /// Higher is more relevant; null in an answer that is not reranked, and for blank documents on a scale without a floor. See `meta.rerankd.score_scale`.
    #[schema(example = 0.98)]
    relevance_score: Option<f64>,
    /// The document, if `return_documents` was set: the object as it came, or `{"text": …}`.
    #[schema(required = false, value_type = Object, example = json!({"text": "Seoul is the capital of Korea."}))]
    document: serde_json::Value,
    /// Where the score came from; with `explain`.
    #[schema(required = false)]
    source: ScoreSource,
}

/// One result, as Voyage writes it.
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
    source: ScoreSource,
}

/// Tokens used.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub struct AnswerUsage {
    /// The same as `total_tokens`: a reranker writes nothing.
    #[schema(example = 123)]
    prompt_tokens: u64,
    /// 0.
    #[schema(example = 0)]
    completion_tokens: u64,
    /// Tokens that providers say they read for this request; 0 where they do not say.
    #[schema(example = 123)]
    total_tokens: u64,
}

/// What was billed, and where the scores come from.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerMeta {
    /// The version of Cohere's API; only in that dialect.
    #[schema(required = false)]
    api_version: ApiVersion,
    billed_units: AnswerBilledUnits,
    tokens: AnswerTokens,
    rerankd: Provenance,
}

/// A version of Cohere's API.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiVersion {
    #[schema(example = "2")]
    version: String,
}

/// Tokens in Cohere's words.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerTokens {
    /// The same as `usage.total_tokens`.
    #[schema(example = 123)]
    input_tokens: u64,
    /// 0.
    #[schema(example = 0)]
    output_tokens: u64,
}

/// What the provider billed for this request.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerBilledUnits {
    /// Search units; 0 where the provider bills by tokens or does not say.
    #[schema(example = 1)]
    search_units: u64,
    /// Tokens, where the provider says.
    #[schema(required = false, example = 123)]
    input_tokens: u64,
}
