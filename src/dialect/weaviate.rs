//! Weaviate's `reranker-transformers` container (`POST /rerank`): scores in input order, each with its document. Its
//! client sends no key, no Content-Type and no model.

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::passage::ListDocuments;
use super::problem::{ErrorAnswer, error_text};
use super::request_fields::{Field, FieldKind, ObjectShape, QUERY};
use super::scale::Form;
use super::{Dialect, in_input_order, json};

/// The Weaviate dialect.
#[derive(Debug)]
pub struct Weaviate;

const DOCUMENTS: Field = Field::required("documents", FieldKind::Texts);
/// The field that only clients of Weaviate send.
pub(super) const PROPERTY: Field = Field::optional("property", FieldKind::Hint);

/// The fields of a request.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "WeaviateBody",
    description: "A request in the format of Weaviate's inference container.",
    fields: &[QUERY, DOCUMENTS, PROPERTY],
    example: r#"{
        "query": "capital of Korea",
        "documents": ["Busan is a port.", "Seoul is the capital."],
        "property": ""
    }"#,
};

/// The scores, in the order of the documents.
#[derive(Serialize, ToSchema)]
#[schema(as = WeaviateAnswer)]
pub(crate) struct Answer<'a> {
    scores: Vec<DocumentScore<'a>>,
}

/// One document with its score.
#[derive(Serialize, ToSchema)]
#[schema(as = WeaviateScore)]
struct DocumentScore<'a> {
    document: &'a str,
    #[schema(example = 0.98)]
    score: Option<f64>,
}

impl Dialect for Weaviate {
    fn name(&self) -> &'static str {
        "weaviate"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request(QUERY.path)?;
        let passages = fields.passages(DOCUMENTS.path, ListDocuments::PartsOnly)?;
        // The answer holds every document, asked for or not. By this flag `echoed_bytes` tells how large it is.
        Ok(RerankRequest { return_documents: true, ..passages.added_to(request) })
    }

    fn numbers_ranks(&self) -> bool {
        true
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::asked_for(request);
        let mut scores = Vec::with_capacity(response.ranking.len());
        for at in in_input_order(response) {
            let document = request.passages.get(response.ranking[at].position).text;
            scores.push(DocumentScore { document, score: form.score_or_rank(at, request, response) });
        }
        json(&Answer { scores })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        error_text(request_id, error)
    }
}
