//! Weaviate's `reranker-transformers` container (`POST /rerank`): scores in input order, each with its document. Its client sends
//! neither a key nor a Content-Type nor a model.

use bytes::Bytes;
use serde::Serialize;

use super::fields::Fields;
use super::problem::{ErrorAnswer, error_text};
use super::scale::Form;
use super::{Dialect, in_input_order, json};
use crate::error::Error;
use crate::rerank::request::RerankRequest;
use crate::rerank::response::{RankedPassage, RerankResponse};

/// The dialect.
#[derive(Debug)]
pub struct Weaviate;

#[derive(Serialize)]
struct Answer<'a> {
    scores: Vec<DocumentScore<'a>>,
}

#[derive(Serialize)]
struct DocumentScore<'a> {
    document: &'a str,
    score: Option<f64>,
}

impl Dialect for Weaviate {
    fn name(&self) -> &'static str {
        "weaviate"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        // Every document is in the answer anyway.
        let request = fields.request("query")?;
        let passages = fields.passages("documents", false)?;
        Ok(RerankRequest { return_documents: true, ..passages.added_to(request) })
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::raw(request.raw_scores);
        let score = |ranked: &RankedPassage| DocumentScore {
            document: &request.passages[ranked.position].text,
            score: form.shown(ranked, response),
        };
        json(&Answer { scores: in_input_order(response).iter().map(score).collect() })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        error_text(request_id, error)
    }
}
