//! Hugging Face Text Embeddings Inference (`POST /rerank`, its API document 1.9.3): `texts` in, a bare list out.
//!
//! TEI itself ignores `model` and `top_n`. A client that sends them means them, so they apply here.

use bytes::Bytes;
use serde::Serialize;

use super::fields::Fields;
use super::problem::{self, ErrorAnswer};
use super::scale::Form;
use super::{Dialect, json};
use crate::error::Error;
use crate::types::request::RerankRequest;
use crate::types::response::RerankResponse;

/// The TEI dialect.
#[derive(Debug)]
pub struct Tei;

#[derive(Serialize)]
struct Rank<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    score: Option<f64>,
}

impl Dialect for Tei {
    fn name(&self) -> &'static str {
        "tei"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request("query")?;
        let passages = fields.passages("texts", false)?;
        Ok(RerankRequest {
            top_n: fields.top_n("top_n", "top_k")?,
            return_documents: fields.flag("return_text")?.unwrap_or(false),
            ..passages.added_to(request)
        })
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::raw(request.raw_scores);
        let mut ranks = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            let text = &*request.passages[ranked.position].text;
            ranks.push(Rank {
                index: ranked.position,
                text: request.return_documents.then_some(text),
                score: form.score(ranked, response),
            });
        }
        json(&ranks)
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        problem::tei(request_id, error)
    }
}
