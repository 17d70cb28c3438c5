//! The requests and answers of dialects that share nothing with Cohere's, as the OpenAPI document
//! shows them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{AnswerUsage, InputDocument};

/// A request in the format of TEI.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"query": "capital of Korea", "texts": ["Busan is a port.", "Seoul is the capital."]}))]
pub struct TeiBody {
    #[schema(min_length = 1, pattern = r"\S", example = "capital of Korea")]
    query: String,
    texts: Vec<String>,
    /// Name of the model. TEI itself has only one.
    #[schema(required = false, nullable, example = "default")]
    model: String,
    /// Number of results to return; all if left out. TEI itself returns all.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_n: u32,
    /// True to return each result with its text.
    #[schema(required = false, nullable, default = false)]
    return_text: bool,
    /// True for scores as logits instead of numbers between 0 and 1.
    #[schema(required = false, nullable, default = false)]
    raw_scores: bool,
}

/// Ranked texts, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeiAnswer(Vec<TeiRank>);

/// One text with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeiRank {
    #[schema(example = 1)]
    index: usize,
    #[schema(example = 0.98)]
    score: Option<f64>,
    #[schema(required = false)]
    text: String,
}

/// A request in the format of Mixedbread.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "query": "capital of Korea",
    "input": ["Busan is a port.", "Seoul is the capital."],
    "top_k": 1
}))]
pub struct MixedbreadBody {
    #[schema(required = false, nullable, example = "default")]
    model: String,
    #[schema(min_length = 1, pattern = r"\S", example = "capital of Korea")]
    query: String,
    input: Vec<InputDocument>,
    /// Number of results to return; all if left out.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_k: u32,
    /// True to return each result with its input.
    #[schema(required = false, nullable, default = false)]
    return_input: bool,
    /// Fields of an object to score, in this order.
    #[schema(required = false, nullable, max_items = 32, example = json!(["title", "text"]))]
    rank_fields: Vec<String>,
}

/// Ranked inputs, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct MixedbreadAnswer {
    #[schema(example = "list")]
    object: String,
    #[schema(example = "default")]
    model: String,
    data: Vec<MixedbreadRank>,
    usage: AnswerUsage,
    #[schema(example = 3)]
    top_k: usize,
    return_input: bool,
}

/// One input with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct MixedbreadRank {
    #[schema(example = 1)]
    index: usize,
    #[schema(example = 0.98)]
    score: Option<f64>,
    /// The input as it was sent.
    #[schema(required = false)]
    input: serde_json::Value,
    #[schema(example = "rank_result")]
    object: String,
}

/// A text in an object.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"text": "Seoul is the capital."}))]
pub struct TextObject {
    text: String,
}

/// A request in the format of NVIDIA NIM.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "query": {"text": "capital of Korea"},
    "passages": [{"text": "Busan is a port."}, {"text": "Seoul is the capital."}]
}))]
pub struct NvidiaBody {
    #[schema(required = false, nullable, example = "default")]
    model: String,
    query: TextObject,
    passages: Vec<TextObject>,
    /// Number of results to return; all if left out.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_k: u32,
}

/// Ranked passages, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct NvidiaAnswer {
    rankings: Vec<NvidiaRanking>,
    usage: AnswerUsage,
}

/// One passage with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct NvidiaRanking {
    #[schema(example = 1)]
    index: usize,
    /// Score without bounds; its sigmoid is between 0 and 1.
    #[schema(example = 3.89)]
    logit: Option<f64>,
}

/// A request in the format of DashScope.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "input": {"query": "capital of Korea", "documents": ["Busan is a port.", "Seoul is the capital."]},
    "parameters": {"top_n": 1}
}))]
pub struct DashScopeBody {
    #[schema(required = false, nullable, example = "default")]
    model: String,
    input: DashScopeInput,
    #[schema(required = false, nullable, value_type = DashScopeParameters)]
    parameters: DashScopeParameters,
}

/// The query and the documents to rank.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashScopeInput {
    #[schema(min_length = 1, pattern = r"\S", example = "capital of Korea")]
    query: String,
    documents: Vec<String>,
}

/// Parameters of the ranking.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashScopeParameters {
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_n: u32,
    #[schema(required = false, nullable, default = false)]
    return_documents: bool,
    #[schema(required = false, nullable, example = "Prefer official sources.")]
    instruct: String,
}

/// Ranked documents, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashScopeAnswer {
    output: DashScopeOutput,
    usage: TotalTokens,
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    request_id: String,
}

/// Container of the results.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashScopeOutput {
    results: Vec<DashScopeResult>,
}

/// One document with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashScopeResult {
    #[schema(example = 1)]
    index: usize,
    #[schema(example = 0.98)]
    relevance_score: Option<f64>,
    #[schema(required = false, value_type = Object, example = json!({"text": "Seoul is the capital."}))]
    document: serde_json::Value,
}

/// Tokens that providers have read for the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotalTokens {
    #[schema(example = 123)]
    total_tokens: u64,
}

/// A request in the format of DeepInfra: the same query once for each document, or only once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "queries": ["capital of Korea", "capital of Korea"],
    "documents": ["Busan is a port.", "Seoul is the capital."]
}))]
pub struct DeepInfraBody {
    queries: Vec<String>,
    documents: Vec<String>,
    #[schema(required = false, nullable, example = "Prefer official sources.")]
    instruction: String,
}

/// The scores, in the order of the documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeepInfraAnswer {
    #[schema(example = json!([0.02, 0.98]))]
    scores: Vec<Option<f64>>,
    #[schema(example = 123)]
    input_tokens: u64,
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    request_id: String,
}

/// A request in the format of Weaviate's inference container.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "query": "capital of Korea",
    "documents": ["Busan is a port.", "Seoul is the capital."],
    "property": ""
}))]
pub struct WeaviateBody {
    #[schema(min_length = 1, pattern = r"\S", example = "capital of Korea")]
    query: String,
    documents: Vec<String>,
    #[schema(required = false, nullable)]
    property: String,
}

/// The scores, in the order of the documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct WeaviateAnswer {
    scores: Vec<WeaviateScore>,
}

/// One document with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct WeaviateScore {
    document: String,
    #[schema(example = 0.98)]
    score: Option<f64>,
}

/// A request in the format of Pinecone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "query": "capital of Korea",
    "documents": [{"id": "1", "text": "Busan is a port."}, {"id": "2", "text": "Seoul is the capital."}]
}))]
pub struct PineconeBody {
    #[schema(required = false, nullable, example = "default")]
    model: String,
    #[schema(min_length = 1, pattern = r"\S", example = "capital of Korea")]
    query: String,
    documents: Vec<InputDocument>,
    /// Number of results to return; all if left out.
    #[schema(required = false, nullable, minimum = 0, example = 3)]
    top_n: u32,
    /// True to return each result with its document.
    #[schema(required = false, nullable, default = true)]
    return_documents: bool,
    /// Fields of an object to score, in this order.
    #[schema(required = false, nullable, max_items = 32, example = json!(["text"]))]
    rank_fields: Vec<String>,
}

/// Ranked documents, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct PineconeAnswer {
    #[schema(example = "default")]
    model: String,
    data: Vec<PineconeRank>,
    usage: RerankUnits,
}

/// One document with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct PineconeRank {
    #[schema(example = 1)]
    index: usize,
    #[schema(example = 0.98)]
    score: Option<f64>,
    /// The object as it was sent.
    #[schema(required = false, value_type = Object, example = json!({"id": "2", "text": "Seoul is the capital."}))]
    document: serde_json::Value,
}

/// Units that were billed for the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct RerankUnits {
    #[schema(example = 1)]
    rerank_units: u64,
}
