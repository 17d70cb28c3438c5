//! Pinecone inference (`POST /rerank`, API 2026-04): objects in, `data[].score` out. Its clients are recognised by
//! `X-Pinecone-Api-Version`.

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::echo::{Document, DocumentForm};
use super::fields::Fields;
use super::passage::ListDocuments;
use super::problem::{self, ErrorAnswer};
use super::request_fields::{self, DOCUMENTS, Field, FieldKind, MODEL, ObjectShape, QUERY, RANK_FIELDS, TOP_K, TOP_N};
use super::scale::Form;
use super::{Dialect, json};

/// The Pinecone dialect.
#[derive(Debug)]
pub struct Pinecone;

const RETURN_DOCUMENTS: Field = Field { kind: FieldKind::Flag { default: true }, ..request_fields::RETURN_DOCUMENTS };

/// The fields of a request.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "PineconeBody",
    description: "A request in the format of Pinecone.",
    fields: &[MODEL, QUERY, DOCUMENTS, TOP_N, RETURN_DOCUMENTS, RANK_FIELDS.example(r#"["text"]"#)],
    example: r#"{
        "query": "capital of Korea",
        "documents": [{"id": "1", "text": "Busan is a port."}, {"id": "2", "text": "Seoul is the capital."}]
    }"#,
};

/// Ranked documents, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = PineconeAnswer)]
pub(crate) struct Answer<'a> {
    #[schema(example = "default")]
    model: &'a str,
    data: Vec<RankedDocument<'a>>,
    usage: Usage,
}

/// One document with its score.
#[derive(Serialize, ToSchema)]
#[schema(as = PineconeRank)]
struct RankedDocument<'a> {
    #[schema(example = 1)]
    index: usize,
    #[schema(example = 0.98)]
    score: Option<f64>,
    /// The object as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Object, example = json!({"id": "2", "text": "Seoul is the capital."}))]
    document: Option<Document<'a>>,
}

/// Units that were billed for the request.
#[derive(Serialize, ToSchema)]
#[schema(as = RerankUnits)]
struct Usage {
    #[schema(example = 1)]
    rerank_units: u64,
}

impl Dialect for Pinecone {
    fn name(&self) -> &'static str {
        "pinecone"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request(QUERY.path)?;
        let passages = fields.passages(DOCUMENTS.path, ListDocuments::PartsOnly)?;
        Ok(RerankRequest {
            top_n: fields.top_n(TOP_N.path, TOP_K.path)?,
            return_documents: fields.flag_of(&RETURN_DOCUMENTS)?,
            ..passages.added_to(request)
        })
    }

    fn numbers_ranks(&self) -> bool {
        true
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::asked_for(request);
        let mut data = Vec::with_capacity(response.ranking.len());
        for (at, ranked) in response.ranking.iter().enumerate() {
            let passage = request.passages.get(ranked.position);
            data.push(RankedDocument {
                index: ranked.position,
                score: form.score_or_rank(at, request, response),
                document: request.return_documents.then(|| DocumentForm::Object.of(passage)),
            });
        }
        let usage = Usage { rerank_units: response.usage.search_units.unwrap_or(0) };
        json(&Answer { model: &response.model, data, usage })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        problem::pinecone(request_id, error)
    }
}
