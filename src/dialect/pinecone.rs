//! Pinecone inference (`POST /rerank`, API 2026-04): objects in, `data[].score` out. Its clients are recognised by
//! `X-Pinecone-Api-Version`.

use bytes::Bytes;
use serde::Serialize;

use super::echo::{Document, DocumentForm};
use super::fields::Fields;
use super::problem::{self, ErrorAnswer};
use super::scale::Form;
use super::{Dialect, json};
use crate::error::Error;
use crate::types::request::RerankRequest;
use crate::types::response::RerankResponse;

/// The Pinecone dialect.
#[derive(Debug)]
pub struct Pinecone;

#[derive(Serialize)]
struct Answer<'a> {
    model: &'a str,
    data: Vec<RankedDocument<'a>>,
    usage: Usage,
}

#[derive(Serialize)]
struct RankedDocument<'a> {
    index: usize,
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document<'a>>,
}

#[derive(Serialize)]
struct Usage {
    rerank_units: u64,
}

impl Dialect for Pinecone {
    fn name(&self) -> &'static str {
        "pinecone"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request("query")?;
        let passages = fields.passages("documents", false)?;
        Ok(RerankRequest {
            top_n: fields.top_n("top_n", "top_k")?,
            return_documents: fields.flag("return_documents")?.unwrap_or(true),
            ..passages.added_to(request)
        })
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::raw(request.raw_scores);
        let mut data = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            let passage = &request.passages[ranked.position];
            data.push(RankedDocument {
                index: ranked.position,
                score: form.score(ranked, response),
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
