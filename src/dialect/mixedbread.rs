//! Mixedbread (`POST /v1/reranking`, SDK 0.54.0): documents in `input`, scores in `data[].score`.

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::passages::Passage;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::cohere_family::Tokens;
use super::echo::{Document, DocumentForm};
use super::fields::Fields;
use super::passage::ListDocuments;
use super::problem::{ErrorAnswer, plain};
use super::request_fields::{Field, FieldKind, MODEL, ObjectShape, QUERY, RANK_FIELDS, TOP_K, TOP_N};
use super::scale::Form;
use super::{Dialect, json};

/// The Mixedbread dialect.
#[derive(Debug)]
pub struct Mixedbread;

const INPUT: Field = Field::required("input", FieldKind::Documents);
const RETURN_INPUT: Field = Field::optional("return_input", FieldKind::Flag { default: false })
    .about("True to return each result with its input.");

/// The fields of a request.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "MixedbreadBody",
    description: "A request in the format of Mixedbread.",
    fields: &[MODEL, QUERY, INPUT, TOP_K, RETURN_INPUT, RANK_FIELDS],
    example: r#"{"query": "capital of Korea", "input": ["Busan is a port.", "Seoul is the capital."], "top_k": 1}"#,
};

/// Ranked inputs, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = MixedbreadAnswer)]
pub(crate) struct Answer<'a> {
    #[schema(example = "list")]
    object: &'static str,
    #[schema(example = "default")]
    model: &'a str,
    data: Vec<AnswerResult<'a>>,
    usage: Tokens,
    #[schema(example = 3)]
    top_k: usize,
    return_input: bool,
}

/// One input with its score.
#[derive(Serialize, ToSchema)]
#[schema(as = MixedbreadRank)]
struct AnswerResult<'a> {
    #[schema(example = 1)]
    index: usize,
    #[schema(example = 0.98)]
    score: Option<f64>,
    /// The input as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = serde_json::Value)]
    input: Option<Document<'a>>,
    #[schema(example = "rank_result")]
    object: &'static str,
}

impl Dialect for Mixedbread {
    fn name(&self) -> &'static str {
        "mixedbread"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request(QUERY.path)?;
        let passages = fields.passages(INPUT.path, ListDocuments::Any)?;
        Ok(RerankRequest {
            // The API document's default is -1, which means all.
            top_n: if fields.is_negative(TOP_K.path) { None } else { fields.top_n(TOP_K.path, TOP_N.path)? },
            return_documents: fields.flag_of(&RETURN_INPUT)?,
            ..passages.added_to(request)
        })
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::asked_for(request);
        let mut data = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            let passage = request.passages.get(ranked.position);
            data.push(AnswerResult {
                index: ranked.position,
                score: form.score(ranked, response),
                input: request.return_documents.then(|| input(passage)),
                object: "rank_result",
            });
        }
        json(&Answer {
            object: "list",
            model: &response.model,
            data,
            usage: Tokens::of(response),
            top_k: request.top_n.unwrap_or(request.passages.len()),
            return_input: request.return_documents,
        })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        plain(request_id, error)
    }
}

/// The document of a passage in the form in which it came: an object, or a text.
fn input(passage: Passage<'_>) -> Document<'_> {
    let form = if passage.object.is_some() { DocumentForm::Object } else { DocumentForm::Text };
    form.of(passage)
}
