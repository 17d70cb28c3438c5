//! Voyage AI (`POST /v1/rerank`, its API document of 2025-03 and client 0.5.0): results in `data`, documents as texts,
//! `top_k` for the number of results.
//!
//! An answer also has `results`, because a body with `top_k` alone may come from a client of any dialect.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;

/// Voyage, whose clients read `data`.
pub static VOYAGE: CohereFamily = CohereFamily {
    name: "voyage",
    object: "list",
    has_data: true,
    document: DocumentForm::WithText,
    top_n_field: TopNField::TopK,
    returns_documents: false,
    api_version: None,
};
