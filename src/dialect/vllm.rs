//! vLLM (`POST /rerank`, `/v1/rerank`, `/v2/rerank`; `vllm/entrypoints/pooling/scoring/protocol.py`, 2026).
//!
//! vLLM knows no `return_documents` and always sends documents back, as objects; clients such as MaxKB read them without asking. Its
//! `top_n` is 0 unless set, which means all.

use super::echo::DocumentForm;
use super::superset::{Cut, Superset};

/// Always with documents.
pub static VLLM: Superset = Superset {
    name: "vllm",
    object: "list",
    has_data: true,
    document: DocumentForm::WithText,
    cut: Cut::TopNOrZero,
    echoes: true,
    api_version: None,
};
