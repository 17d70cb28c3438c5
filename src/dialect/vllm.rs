//! vLLM (`POST /rerank`, `/v1/rerank`, `/v2/rerank`; `vllm/entrypoints/pooling/scoring/protocol.py`, 2026).
//!
//! vLLM has no `return_documents` and always sends documents back, as objects; clients such as MaxKB read them unasked.
//! Its `top_n` is 0 unless set, which means all.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;

/// vLLM, which always sends documents back.
pub static VLLM: CohereFamily = CohereFamily {
    name: "vllm",
    object: "list",
    has_data: false,
    document: DocumentForm::WithText,
    top_n_field: TopNField::TopNOrZero,
    returns_documents: true,
    api_version: None,
};
