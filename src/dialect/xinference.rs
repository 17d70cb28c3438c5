//! Xinference (`POST /v1/rerank`, client 4.1.0): Cohere's first version with tokens in `meta`. Its client first asks
//! `/v1/cluster/auth` and `/v1/models/{id}`.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;

/// Xinference, in the shape of Cohere's first version.
pub static XINFERENCE: CohereFamily = CohereFamily {
    name: "xinference",
    object: "list",
    has_data: false,
    document: DocumentForm::WithText,
    top_n_field: TopNField::TopN,
    returns_documents: false,
    api_version: None,
};
