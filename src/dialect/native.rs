//! rerankd's own shape, a superset of Cohere's. The plain paths speak it unless the body gives another dialect away.

use super::cohere_family::{CohereFamily, TopNField};
use super::echo::DocumentForm;
use super::request_fields::{
    DOCUMENTS, EXPLAIN, INSTRUCTION, MAX_TOKENS_PER_DOC, MODEL, ObjectShape, QUERY, RANK_FIELDS, RETURN_DOCUMENTS,
    TIMEOUT_MS, TOP_K, TOP_N,
};

/// The fields of a request, which serve the whole family.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "RerankBody",
    description: "A query and its passages. Fields that are not read are ignored unless `X-Rerankd-Strict` is true, \
        and null means the same as an absent field.",
    fields: &[
        MODEL,
        QUERY,
        DOCUMENTS,
        TOP_N,
        TOP_K.about("Voyage's name for `top_n`. A body with this field is treated as a request in Voyage's dialect."),
        RANK_FIELDS,
        RETURN_DOCUMENTS,
        INSTRUCTION,
        MAX_TOKENS_PER_DOC,
        TIMEOUT_MS,
        EXPLAIN,
    ],
    example: r#"{
        "query": "Which city is the capital of Korea?",
        "documents": ["Busan is Korea's largest port.", {"id": "a1", "text": "Seoul is the capital of Korea."}],
        "top_n": 1
    }"#,
};

/// The form at `POST /rerank`. Clients of Infinity accept nothing but `rerank` as `object` here.
pub static BARE: CohereFamily = CohereFamily {
    name: "native",
    object: "rerank",
    has_data: false,
    document: DocumentForm::WithText,
    top_n_field: TopNField::TopN,
    returns_documents: false,
    api_version: None,
};

/// The form at `POST /v1/rerank`. Clients of Voyage accept nothing but `list` as `object` here, and read `data`. Those
/// that send no `top_k` send the same bytes as clients of Cohere, so the body cannot tell them apart.
pub static VERSIONED: CohereFamily = CohereFamily { object: "list", has_data: true, ..BARE };
