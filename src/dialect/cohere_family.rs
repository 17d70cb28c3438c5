//! The family of shapes that grew from Cohere's: `documents` in, `index` and `relevance_score` out.
//!
//! Their requests differ in a name or two, and their clients ignore fields they do not know. So one answer serves them
//! all: `results` for clients of Cohere, Jina and vLLM, `data` for those of Voyage and of OpenAI-like servers, `meta`
//! and `usage` for those that insist on one of them. A member of the family is a row of facts that its clients insist
//! on.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::echo::{Document, DocumentForm};
use super::fields::Fields;
use super::problem::{ErrorAnswer, problem_details};
use super::provenance::{ProvenanceBody, ScoreSourceName};
use super::scale::Form;
use super::{Dialect, json, raw_json};
use crate::error::Error;
use crate::types::request::{PassageObject, RerankRequest};
use crate::types::response::RerankResponse;

/// One member of the family.
#[derive(Debug)]
pub struct CohereFamily {
    /// Name in metrics, headers and paths.
    pub(super) name: &'static str,
    /// Value of `object` in an answer.
    pub(super) object: &'static str,
    /// True if an answer repeats the results in `data`.
    pub(super) has_data: bool,
    /// Form of a document in `results`. In `data` it is always a text.
    pub(super) document: DocumentForm,
    /// Field with the number of results to return.
    pub(super) top_n_field: TopNField,
    /// True if documents are sent back unless the client says no.
    pub(super) returns_documents: bool,
    /// Value of `meta.api_version`, if there is one.
    pub(super) api_version: Option<&'static str>,
}

/// The field that wins if a client sends both `top_n` and `top_k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopNField {
    TopN,
    TopK,
    /// `top_n`, where 0 and negative numbers mean all.
    TopNOrZero,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    object: &'static str,
    model: &'a str,
    results: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    usage: Tokens,
    meta: Meta<'a>,
}

#[derive(Serialize)]
struct AnswerResult<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    relevance_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<ScoreSourceName>,
}

/// Numbers of tokens as OpenAI-like servers report them.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub(super) struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<ApiVersion>,
    billed_units: BilledUnits,
    tokens: MetaTokens,
    rerankd: ProvenanceBody<'a>,
}

#[derive(Serialize)]
struct ApiVersion {
    version: &'static str,
}

#[derive(Serialize)]
struct BilledUnits {
    search_units: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
}

#[derive(Serialize)]
struct MetaTokens {
    input_tokens: u64,
    output_tokens: u64,
}

impl Dialect for CohereFamily {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request("query")?;
        let top_n = match self.top_n_field {
            TopNField::TopN => fields.top_n("top_n", "top_k")?,
            TopNField::TopK => fields.top_n("top_k", "top_n")?,
            TopNField::TopNOrZero if fields.is_negative("top_n") => None,
            TopNField::TopNOrZero => match fields.top_n("top_n", "top_k")? {
                Some(0) => None,
                count => count,
            },
        };
        let passages = fields.passages("documents", false)?;
        Ok(RerankRequest {
            top_n,
            return_documents: fields.flag("return_documents")?.unwrap_or(self.returns_documents),
            ..passages.added_to(request)
        })
    }

    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let results = Self::results(request, response, self.document);
        // Without documents the two lists are the same, so the JSON of one serves as both.
        let data = match (self.has_data, request.return_documents) {
            (true, true) => Some(Self::results(request, response, DocumentForm::Text)),
            (true, false) => Some(results.clone()),
            (false, _) => None,
        };
        let usage = response.usage;
        let provenance = &response.provenance;
        let scale = Form::raw(request.raw_scores).scale(provenance.score_scale);
        let tokens = usage.tokens.unwrap_or(0);
        json(&Answer {
            id: request_id,
            object: self.object,
            model: &response.model,
            results: &results,
            data: data.as_deref(),
            usage: Tokens::of(response),
            meta: Meta {
                api_version: self.api_version.map(|version| ApiVersion { version }),
                billed_units: BilledUnits { search_units: usage.search_units.unwrap_or(0), input_tokens: usage.tokens },
                tokens: MetaTokens { input_tokens: tokens, output_tokens: 0 },
                rerankd: ProvenanceBody::new(provenance, scale),
            },
        })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        problem_details(request_id, error)
    }
}

impl CohereFamily {
    /// The JSON of the results, best first.
    fn results(request: &RerankRequest, response: &RerankResponse, document: DocumentForm) -> Box<RawValue> {
        let form = Form::raw(request.raw_scores);
        let mut results = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            let passage = &request.passages[ranked.position];
            let id = match passage.object.as_deref() {
                Some(PassageObject { id: Some(id), .. }) => raw_json(id),
                _ => None,
            };
            results.push(AnswerResult {
                index: ranked.position,
                id,
                relevance_score: form.score(ranked, response),
                document: request.return_documents.then(|| document.of(passage)),
                source: request.explain.then_some(ScoreSourceName(ranked.source)),
            });
        }
        // Numbers, strings and JSON that came from a parser can always be written.
        to_raw_value(&results).unwrap_or_default()
    }
}

impl Tokens {
    /// The tokens that the provider reports; 0 if it reports none.
    pub(super) fn of(response: &RerankResponse) -> Self {
        let tokens = response.usage.tokens.unwrap_or(0);
        Self { prompt_tokens: tokens, completion_tokens: 0, total_tokens: tokens }
    }
}
