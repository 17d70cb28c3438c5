//! Xinference (`POST /v1/rerank`, client 4.1.0): Cohere's first version with tokens in `meta`. Its client asks `/v1/cluster/auth` and
//! `/v1/models/{id}` first.

use super::echo::DocumentForm;
use super::superset::{Cut, Superset};

/// Cohere's first version.
pub static XINFERENCE: Superset = Superset {
    name: "xinference",
    object: "list",
    has_data: false,
    document: DocumentForm::WithText,
    cut: Cut::TopN,
    echoes: false,
    api_version: None,
};
