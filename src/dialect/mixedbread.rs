//! Mixedbread (`POST /v1/reranking`, SDK 0.54.0): documents in `input`, scores in `data[].score`.

use bytes::Bytes;
use serde::Serialize;

use super::cohere_family::Tokens;
use super::echo::{Document, DocumentForm};
use super::fields::Fields;
use super::passage::PassageList;
use super::problem::{ErrorAnswer, plain};
use super::scale::Form;
use super::{Dialect, json};
use crate::error::Error;
use crate::types::request::{Passage, RerankRequest};
use crate::types::response::RerankResponse;

/// The Mixedbread dialect.
#[derive(Debug)]
pub struct Mixedbread;

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    model: &'a str,
    data: Vec<AnswerResult<'a>>,
    usage: Tokens,
    top_k: usize,
    return_input: bool,
}

#[derive(Serialize)]
struct AnswerResult<'a> {
    index: usize,
    score: Option<f64>,
    /// The document in the form in which it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Document<'a>>,
    object: &'static str,
}

impl Dialect for Mixedbread {
    fn name(&self) -> &'static str {
        "mixedbread"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request("query")?;
        let PassageList { passages, warnings } = fields.passages("input", true)?;
        Ok(RerankRequest {
            passages,
            warnings,
            // The API document's default is -1, which means all.
            top_n: if fields.is_negative("top_k") { None } else { fields.top_n("top_k", "top_n")? },
            return_documents: fields.flag("return_input")?.unwrap_or(false),
            ..request
        })
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::raw(request.raw_scores);
        let mut data = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            let passage = &request.passages[ranked.position];
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
fn input(passage: &Passage) -> Document<'_> {
    let form = if passage.object.is_some() { DocumentForm::Object } else { DocumentForm::Text };
    form.of(passage)
}
