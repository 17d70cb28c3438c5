//! Alibaba DashScope (`POST /api/v1/services/rerank/text-rerank/text-rerank`, SDK 2.0.2): the request is folded into `input` and
//! `parameters`, the answer into `output`.

use bytes::Bytes;
use serde::Serialize;

use super::echo::{Document, DocumentForm};
use super::fields::Fields;
use super::problem::{ErrorAnswer, plain};
use super::scale::Form;
use super::{Dialect, json};
use crate::error::Error;
use crate::rerank::request::{RerankRequest, ScoringOptions};
use crate::rerank::response::{RankedPassage, RerankResponse};

/// The dialect. Its errors are `{code, message, request_id}`, which ours are anyway.
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
        let own_instruction = fields.text("parameters/instruct")?.filter(|text| !text.trim().is_empty());
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
        let result = |ranked: &RankedPassage| AnswerResult {
            index: ranked.position,
            relevance_score: form.shown(ranked, response),
            document: request.return_documents.then(|| DocumentForm::WithText.of(&request.passages[ranked.position])),
        };
        json(&Answer {
            output: Output { results: response.ranking.iter().map(result).collect() },
            usage: Usage { total_tokens: response.usage.tokens.unwrap_or(0) },
            request_id,
        })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        plain(request_id, error)
    }
}
