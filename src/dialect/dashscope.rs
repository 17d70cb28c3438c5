//! Alibaba DashScope (`POST /api/v1/services/rerank/text-rerank/text-rerank`, SDK 2.0.2): the request is split into
//! `input` and `parameters`, and the results stand in `output`.

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::request::{RerankRequest, ScoringOptions};
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::echo::{Document, DocumentForm};
use super::fields::{Fields, unless_blank};
use super::passage::ListDocuments;
use super::problem::{ErrorAnswer, plain};
use super::request_fields::{self, Field, FieldKind, MODEL, ObjectShape};
use super::scale::Form;
use super::{Dialect, json};

/// The DashScope dialect. Its errors are `{code, message, request_id}`, all of which every error of rerankd has.
#[derive(Debug)]
pub struct DashScope;

const QUERY: Field = Field { path: "input/query", ..request_fields::QUERY };
const DOCUMENTS: Field = Field::required("input/documents", FieldKind::Texts);
const TOP_N: Field = Field { path: "parameters/top_n", ..request_fields::TOP_N };
const RETURN_DOCUMENTS: Field = Field { path: "parameters/return_documents", ..request_fields::RETURN_DOCUMENTS };
const INSTRUCT: Field = Field { path: "parameters/instruct", ..request_fields::INSTRUCTION };

static INPUT: ObjectShape = ObjectShape {
    name: "DashScopeInput",
    description: "The query and the documents to rank.",
    fields: &[QUERY, DOCUMENTS],
    example: "",
};

static PARAMETERS: ObjectShape = ObjectShape {
    name: "DashScopeParameters",
    description: "Parameters of the ranking.",
    fields: &[TOP_N, RETURN_DOCUMENTS, INSTRUCT],
    example: "",
};

/// The fields of a request.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "DashScopeBody",
    description: "A request in the format of DashScope.",
    fields: &[
        MODEL,
        Field::required("input", FieldKind::Object(&INPUT)),
        Field::optional("parameters", FieldKind::Object(&PARAMETERS)),
    ],
    example: r#"{
        "input": {"query": "capital of Korea", "documents": ["Busan is a port.", "Seoul is the capital."]},
        "parameters": {"top_n": 1}
    }"#,
};

/// Ranked documents, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = DashScopeAnswer)]
pub(crate) struct Answer<'a> {
    output: Output<'a>,
    usage: Usage,
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    request_id: &'a str,
}

/// Container of the results.
#[derive(Serialize, ToSchema)]
#[schema(as = DashScopeOutput)]
struct Output<'a> {
    results: Vec<AnswerResult<'a>>,
}

/// One document with its score.
#[derive(Serialize, ToSchema)]
#[schema(as = DashScopeResult)]
struct AnswerResult<'a> {
    #[schema(example = 1)]
    index: usize,
    #[schema(example = 0.98)]
    relevance_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Object, example = json!({"text": "Seoul is the capital."}))]
    document: Option<Document<'a>>,
}

/// Tokens that providers have read for the request.
#[derive(Serialize, ToSchema)]
#[schema(as = TotalTokens)]
struct Usage {
    #[schema(example = 123)]
    total_tokens: u64,
}

impl Dialect for DashScope {
    fn name(&self) -> &'static str {
        "dashscope"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request(QUERY.path)?;
        // DashScope's own field wins over one at the top level of the body.
        let own_instruction = unless_blank(fields.text(INSTRUCT.path)?);
        let instruction = own_instruction.or(request.options.instruction.clone());
        let passages = fields.passages(DOCUMENTS.path, ListDocuments::PartsOnly)?;
        Ok(RerankRequest {
            top_n: fields.top_n(TOP_N.path, "parameters/top_k")?,
            return_documents: fields.flag_of(&RETURN_DOCUMENTS)?,
            options: ScoringOptions { instruction, ..request.options.clone() },
            ..passages.added_to(request)
        })
    }

    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::asked_for(request);
        let mut results = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            let passage = request.passages.get(ranked.position);
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
