//! rerankd's own shape, a superset of Cohere's. The plain paths speak it unless the body gives another dialect away.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;

/// The form at `POST /rerank`. Clients of Infinity accept nothing but `rerank` as `object` here.
pub static BARE: CohereFamily = CohereFamily {
    name: "native",
    object: "rerank",
    has_data: true,
    document: DocumentForm::WithText,
    top_n_field: TopNField::TopN,
    returns_documents: false,
    api_version: None,
};

/// The form at `POST /v1/rerank`. Clients of Voyage accept nothing but `list` as `object` here.
pub static VERSIONED: CohereFamily = CohereFamily { object: "list", ..BARE };
