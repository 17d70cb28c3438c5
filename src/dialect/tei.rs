//! Hugging Face Text Embeddings Inference (`POST /rerank`, its API document 1.9.3): `texts` in, a bare list out.
//!
//! TEI itself ignores `model` and `top_n`. A client that sends them means them, so they apply here.

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::passage::ListDocuments;
use super::problem::{self, ErrorAnswer};
use super::request_fields::{Field, FieldKind, MODEL, ObjectShape, QUERY, RAW_SCORES, TOP_K, TOP_N};
use super::scale::Form;
use super::{Dialect, json};

/// The TEI dialect.
#[derive(Debug)]
pub struct Tei;

const TEXTS: Field = Field::required("texts", FieldKind::Texts);
const RETURN_TEXT: Field = Field::optional("return_text", FieldKind::Flag { default: false })
    .about("True to return each result with its text.");

/// The fields of a request.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "TeiBody",
    description: "A request in the format of TEI.",
    fields: &[
        QUERY,
        TEXTS,
        MODEL.about("Name of the model. TEI itself has only one."),
        TOP_N.about("Number of results to return; all if left out. TEI itself returns all."),
        RETURN_TEXT,
        RAW_SCORES,
    ],
    example: r#"{"query": "capital of Korea", "texts": ["Busan is a port.", "Seoul is the capital."]}"#,
};

/// Ranked texts, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = TeiAnswer)]
pub(crate) struct Answer<'a>(Vec<Rank<'a>>);

/// One text with its score.
#[derive(Serialize, ToSchema)]
#[schema(as = TeiRank)]
struct Rank<'a> {
    #[schema(example = 1)]
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String)]
    text: Option<&'a str>,
    #[schema(example = 0.98)]
    score: Option<f64>,
}

impl Dialect for Tei {
    fn name(&self) -> &'static str {
        "tei"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request(QUERY.path)?;
        let passages = fields.passages(TEXTS.path, ListDocuments::PartsOnly)?;
        Ok(RerankRequest {
            top_n: fields.top_n(TOP_N.path, TOP_K.path)?,
            return_documents: fields.flag_of(&RETURN_TEXT)?,
            ..passages.added_to(request)
        })
    }

    fn numbers_ranks(&self) -> bool {
        true
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::asked_for(request);
        let mut ranks = Vec::with_capacity(response.ranking.len());
        for (at, ranked) in response.ranking.iter().enumerate() {
            let text = request.passages.get(ranked.position).text;
            ranks.push(Rank {
                index: ranked.position,
                text: request.return_documents.then_some(text),
                score: form.score_or_rank(at, request, response),
            });
        }
        json(&Answer(ranks))
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        problem::tei(request_id, error)
    }
}
