//! Jina AI (`POST /v1/rerank`) and the many servers of the same shape: SiliconFlow, GPUStack, LocalAI, llama.cpp,
//! Together, Novita.
//!
//! Jina itself sends documents back unless told not to. No client of its shape is known to need them unasked, and they
//! make an answer as large as its request, so they are sent back only on request.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;

/// Jina, whose shape most self-hosted servers use.
pub static JINA: CohereFamily = CohereFamily {
    name: "jina",
    object: "list",
    has_data: false,
    document: DocumentForm::WithText,
    top_n_field: TopNField::TopN,
    returns_documents: false,
    api_version: None,
};
