//! Jina AI (`POST /v1/rerank`) and the many servers of the same shape: SiliconFlow, GPUStack, LocalAI, llama.cpp, Together, Novita.
//!
//! Jina itself sends documents back unless told not to. No client of its shape was found that needs that without asking, and
//! documents make an answer as large as its request, so they come back only when asked for.

use super::echo::DocumentForm;
use super::superset::{Cut, Superset};

/// The usual shape of self-hosted servers.
pub static JINA: Superset = Superset {
    name: "jina",
    object: "list",
    has_data: true,
    document: DocumentForm::WithText,
    cut: Cut::TopN,
    echoes: false,
    api_version: None,
};
