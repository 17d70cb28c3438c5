//! Alibaba DashScope (`POST /api/v1/services/rerank/text-rerank/text-rerank`, SDK 2.0.2): the request is split into
//! `input` and `parameters`, and the results stand in `output`.

use bytes::Bytes;
use serde::Serialize;

use super::echo::{Document, DocumentForm};
use super::fields::{Fields, unless_blank};
use super::problem::{ErrorAnswer, plain};
use super::scale::Form;
use super::{Dialect, json};
use crate::error::Error;
use crate::types::request::{RerankRequest, ScoringOptions};
use crate::types::response::RerankResponse;

/// The DashScope dialect. Its errors are `{code, message, request_id}`, all of which every error of rerankd has.
#[derive(Debug)]
pub struct DashScope;

#[derive(Serialize)]
struct Answer<'a> {
    output: Output<'a>,
    usage: Usage,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Output<'a> {
    results: Vec<AnswerResult<'a>>,
}

#[derive(Serialize)]
struct AnswerResult<'a> {
    index: usize,
    relevance_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document<'a>>,
}

#[derive(Serialize)]
struct Usage {
    total_tokens: u64,
}

impl Dialect for DashScope {
    fn name(&self) -> &'static str {
        "dashscope"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request("input/query")?;
        // DashScope's own field wins over one at the top level of the body.
        let own_instruction = unless_blank(fields.text("parameters/instruct")?);
        let instruction = own_instruction.or(request.options.instruction.clone());
        let passages = fields.passages("input/documents", false)?;
        Ok(RerankRequest {
            top_n: fields.top_n("parameters/top_n", "parameters/top_k")?,
            return_documents: fields.flag("parameters/return_documents")?.unwrap_or(false),
            options: ScoringOptions { instruction, ..request.options.clone() },
            ..passages.added_to(request)
        })
    }

    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::raw(request.raw_scores);
        let mut results = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            let passage = &request.passages[ranked.position];
            results.push(AnswerResult {
                index: ranked.position,
                relevance_score: form.score(ranked, response),
                document: request.return_documents.then(|| DocumentForm::WithText.of(passage)),
            });
        }
        let usage = Usage { total_tokens: response.usage.tokens.unwrap_or(0) };
        json(&Answer { output: Output { results }, usage, request_id })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        plain(request_id, error)
    }
}
