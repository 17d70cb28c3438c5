//! Infinity (`POST /rerank`, its API document 0.0.77). A document is a text, and `object` is `rerank`, because its
//! client refuses any other value.

use super::echo::DocumentForm;
use super::superset::{Superset, TopNField};

/// Infinity, whose documents are texts.
pub static INFINITY: Superset = Superset {
    name: "infinity",
    object: "rerank",
    has_data: false,
    document: DocumentForm::Text,
    top_n_field: TopNField::TopN,
    returns_documents: false,
    api_version: None,
};
