//! Cohere (`POST /v1/rerank` and `/v2/rerank`, docs.cohere.com/reference/rerank, late 2026), and with it what copies it: LiteLLM's
//! proxy, Azure, Weaviate's `reranker-cohere`.

use super::echo::DocumentForm;
use super::superset::{Cut, Superset};

/// Version 2, the usual one.
pub static V2: Superset = Superset {
    name: "cohere",
    object: "list",
    has_data: false,
    document: DocumentForm::WithText,
    cut: Cut::TopN,
    echoes: false,
    api_version: Some("2"),
};

/// Version 1. Objects and `rank_fields` are its own, but version 2 takes them here as well.
pub static V1: Superset = Superset { name: "cohere-v1", api_version: Some("1"), ..V2 };
