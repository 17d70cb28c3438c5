//! Cohere (`POST /v1/rerank` and `/v2/rerank`, docs.cohere.com/reference/rerank, late 2026) and the servers that copy
//! it: LiteLLM's proxy, Azure, Weaviate's `reranker-cohere`.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;

/// Version 2, which current clients use.
pub static V2: CohereFamily = CohereFamily {
    name: "cohere",
    object: "list",
    has_data: false,
    document: DocumentForm::WithText,
    top_n_field: TopNField::TopN,
    returns_documents: false,
    api_version: Some("2"),
};

/// Version 1. Cohere takes objects and `rank_fields` only here; rerankd takes them in version 2 as well.
pub static V1: CohereFamily = CohereFamily { name: "cohere-v1", api_version: Some("1"), ..V2 };
