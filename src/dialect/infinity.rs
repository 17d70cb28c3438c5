//! Infinity (`POST /rerank`, its API document 0.0.77). A document is a text, and `object` is `rerank`, because its
//! client refuses any other value.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;

/// Infinity, whose documents are texts.
pub static INFINITY: CohereFamily = CohereFamily {
    name: "infinity",
    object: "rerank",
    has_data: false,
    document: DocumentForm::Text,
    top_n_field: TopNField::TopN,
    returns_documents: false,
    api_version: None,
};
